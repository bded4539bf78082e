// Write a model server in C++: describe the inputs, give a function, call serve().
//
//   #include "sdk/cpp/model.h"
//
//   int main(int argc, char** argv) {
//     mimeo::sdk::Model model;
//     model.input(mimeo::sdk::string("text").describe("Whom to greet"));
//     model.output(mimeo::sdk::Output::string());
//     model.predict([](mimeo::sdk::Prediction& p) { return "Hello " + p.text("text") + "!"; });
//     return mimeo::sdk::serve(argc, argv, model);
//   }
//
// The program speaks Cog's container protocol (the generation of cog 0.21 and newer), so that it
// runs wherever a Cog image runs: Mimeo, Replicate, `cog predict`. `program --openapi-schema`
// prints the schema that belongs into the image's label run.cog.openapi_schema.

#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mimeo::sdk {

using Json = nlohmann::ordered_json;

enum class InputType { kString, kInteger, kNumber, kBoolean, kFile, kSecret };

// One input of the model. Made by the functions below; setters chain. The order in which inputs are
// given to the model is the order of the form.
class Input {
 public:
  Input(InputType type, std::string name) : type_(type), name_(std::move(name)) {}

  Input& describe(std::string text);
  // Makes the input optional with this value. Must fit the type and the limits.
  Input& default_value(Json value);
  // Optional without a value: Prediction::has() says whether it came.
  Input& optional();
  Input& at_least(double minimum);  // Integers and numbers.
  Input& at_most(double maximum);
  Input& min_length(std::size_t characters);  // Strings and secrets.
  Input& max_length(std::size_t characters);
  Input& matching(std::string regex);        // ECMAScript, searched anywhere in the string.
  Input& choices(std::vector<Json> values);  // Strings, integers, numbers.
  Input& list();                             // An array of this type.
  Input& accept(std::string mime_types);     // Files: a hint for forms, "image/*".
  Input& deprecated();

 private:
  friend class Schema;
  InputType type_;
  std::string name_;
  std::string description_, pattern_, accept_;
  std::optional<Json> default_;
  std::optional<double> minimum_, maximum_;
  std::optional<std::size_t> min_length_, max_length_;
  std::vector<Json> choices_;
  bool is_list_ = false, is_optional_ = false, is_deprecated_ = false;
};

[[nodiscard]] inline Input string(std::string name) {
  return {InputType::kString, std::move(name)};
}
[[nodiscard]] inline Input integer(std::string name) {
  return {InputType::kInteger, std::move(name)};
}
[[nodiscard]] inline Input number(std::string name) {
  return {InputType::kNumber, std::move(name)};
}
[[nodiscard]] inline Input boolean(std::string name) {
  return {InputType::kBoolean, std::move(name)};
}
// Arrives as a path of a temporary file that is removed after the prediction.
[[nodiscard]] inline Input file(std::string name) { return {InputType::kFile, std::move(name)}; }
// A string that the platform never shows again.
[[nodiscard]] inline Input secret(std::string name) {
  return {InputType::kSecret, std::move(name)};
}

// What the model returns.
class Output {
 public:
  static Output string() { return {R"({"type":"string"})", kValue}; }
  static Output integer() { return {R"({"type":"integer"})", kValue}; }
  static Output number() { return {R"({"type":"number"})", kValue}; }
  static Output boolean() { return {R"({"type":"boolean"})", kValue}; }
  static Output object() { return {R"({"type":"object"})", kValue}; }
  static Output file() { return {R"({"type":"string","format":"uri"})", kValue}; }
  static Output files() {
    return {R"({"type":"array","items":{"type":"string","format":"uri"}})", kList};
  }
  // A list that grows while the model runs: Prediction::emit().
  static Output iterator(const Output& item) { return {item.schema_, kIterator}; }
  // Pieces of one text, shown joined.
  static Output text_stream() { return {R"({"type":"string"})", kConcatenate}; }

 private:
  friend class Schema;
  enum Kind { kValue, kList, kIterator, kConcatenate };
  Output(std::string schema, Kind kind) : schema_(std::move(schema)), kind_(kind) {}
  std::string schema_;
  Kind kind_;
};

// Thrown by Prediction::check_canceled(); ends the prediction as canceled. Do not swallow it.
struct Canceled {};

// What becomes of a metric's earlier value.
enum class MetricMode {
  kReplace,    // The new value takes its place; null removes it.
  kIncrement,  // Numbers are added.
  kAppend,     // The values become a list.
};

// What a model function gets. Valid during the call only; all methods may be called from any thread
// of the model.
class Prediction {
 public:
  virtual ~Prediction() = default;

  // Validated inputs with defaults filled in. Asking for an unknown or absent input, or another
  // type, throws std::out_of_range or a nlohmann exception: a bug in the model.
  [[nodiscard]] virtual const Json& inputs() const = 0;
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] double number(std::string_view name) const;
  [[nodiscard]] bool boolean(std::string_view name) const;
  [[nodiscard]] std::filesystem::path file(std::string_view name) const;
  [[nodiscard]] std::vector<std::filesystem::path> files(std::string_view name) const;

  // Adds one item to an iterator's or list's output; readers of the stream get it at once.
  virtual void emit(Json item) = 0;
  // The same with a file, which is uploaded (or inlined) now.
  virtual void emit_file(const std::filesystem::path& path) = 0;
  // Turns a file into an output value, for Output::file() and files inside of objects.
  [[nodiscard]] virtual Json upload(const std::filesystem::path& path) = 0;
  // Appends to the prediction's logs. A newline is added when missing.
  virtual void log(std::string_view line) = 0;
  // Records metrics[name]. Names begin with a letter and may have up to four parts, joined by dots,
  // which become nested objects; "predict_time" and "cog.*" are the platform's. Throws
  // std::invalid_argument for other names and for values that do not fit the mode.
  virtual void metric(std::string_view name, Json value, MetricMode mode) = 0;
  void metric(std::string_view name, Json value) {
    metric(name, std::move(value), MetricMode::kReplace);
  }

  [[nodiscard]] virtual bool is_canceled() const = 0;
  void check_canceled() const;
  // Waits; false as soon as the prediction is canceled.
  virtual bool sleep_for(std::chrono::milliseconds duration) = 0;
  // Predictions running in this process now, this one included.
  [[nodiscard]] virtual int in_flight() const = 0;
  // A fresh directory for this prediction, removed afterwards.
  [[nodiscard]] virtual std::filesystem::path scratch() = 0;
  [[nodiscard]] virtual const std::string& id() const = 0;
  // What the caller sent beside the inputs: an object of strings.
  [[nodiscard]] virtual const Json& context() const = 0;
};

// Where setup() writes what the owner shall see.
using SetupLog = std::function<void(std::string_view line)>;
// The file that a training made, in versions that came out of one; nullopt in all others.
using Weights = std::optional<std::filesystem::path>;

class Model {
 public:
  // Loads weights and so on; an exception makes the instance fail with its message.
  Model& setup(std::function<void(const SetupLog&)> function);
  // The same, with the weights (COG_WEIGHTS) that this version was trained to.
  Model& setup(std::function<void(const SetupLog&, const Weights&)> function);
  Model& input(Input input);
  Model& output(Output output);
  // The return value is the output; ignored for iterators, whose output is what was emitted.
  // An exception fails the prediction with its message.
  Model& predict(std::function<Json(Prediction&)> function);
  // Predictions at once; the function must be thread-safe above 1. COG_MAX_CONCURRENCY overrides.
  Model& concurrency(int slots);
  // Asked on every health check; false or an exception makes the instance unhealthy.
  Model& healthcheck(std::function<bool()> function);
  // Training, run by `--x-mode train` under /trainings, one at a time. The function returns the
  // weights, `p.upload(path)`: they become those of a new version, whose setup() gets them.
  Model& training_input(Input input);
  // A file unless said otherwise; Output::object() for one whose `weights` is the file.
  Model& training_output(Output output);
  Model& train(std::function<Json(Prediction&)> function);

 private:
  friend class Schema;
  friend class Server;
  friend int serve(int argc, char** argv, Model& model);
  std::function<void(const SetupLog&, const Weights&)> setup_;
  std::function<Json(Prediction&)> predict_, train_;
  std::function<bool()> healthcheck_;
  std::vector<Input> inputs_, training_inputs_;
  Output output_ = Output::object();
  Output training_output_ = Output::file();
  int slots_ = 1;
};

// Runs the server until SIGTERM, SIGINT or POST /shutdown, lets running predictions finish (a
// second signal cancels them) and ends the process; returns only when it could not start, with the
// exit code. Environment: PORT (5000), COG_MAX_CONCURRENCY, COG_SETUP_TIMEOUT, COG_WEIGHTS,
// COG_THROTTLE_RESPONSE_INTERVAL, WEBHOOK_AUTH_TOKEN. Flags as Cog's server: --host, --upload-url,
// --await-explicit-shutdown, --x-mode, --threads; and --openapi-schema, --version, --help. A
// leading "python -m cog.server.http" is skipped, because platforms start Cog images by it.
int serve(int argc, char** argv, Model& model);

}  // namespace mimeo::sdk
