// The model of the conformance suite. MIMEO_PROBE says which of its forms an image has, because
// what a version's schema promises is fixed when it is built:
//
//   value    an object that tells what came in; files at any depth, metrics, failures on request
//   stream   a text, piece by piece as the input says
//   files    a list of files that grows
//   trainer  like value, and can be trained
//
// MIMEO_PROBE_SETUP_S delays the setup, MIMEO_PROBE_SETUP_ERROR makes it fail with that message.

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "sdk/cpp/model.h"

namespace {

namespace sdk = mimeo::sdk;
using sdk::Json;
using sdk::Prediction;

constexpr int kSlots = 32;
constexpr std::size_t kShownBytes = 200;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::filesystem::path write_file(Prediction& p, const std::string& name, const std::string& text) {
  const auto path = p.scratch() / name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

// What a file held: its size, its name and the beginning of its text.
Json describe_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string content(std::istreambuf_iterator<char>(in), {});
  return {{"name", path.filename().string()},
          {"size", content.size()},
          {"text", content.substr(0, kShownBytes)}};
}

void wait(Prediction& p, std::chrono::milliseconds duration) {
  if (!p.sleep_for(duration)) throw sdk::Canceled{};
}

void add_common_inputs(sdk::Model& model) {
  model.input(sdk::string("text").describe("Comes back").default_value("").max_length(2'000'000));
  model.input(sdk::integer("delay_ms")
                  .describe("Pause before each item of the output")
                  .default_value(0)
                  .at_least(0)
                  .at_most(3'600'000));
  model.input(sdk::string("fail").describe("Fail with this message").default_value(""));
  model.input(
      sdk::integer("lines").describe("Lines to log").default_value(0).at_least(0).at_most(1000));
}

// The delay, the lines of the log and the failure that were asked for.
void obey_common_inputs(Prediction& p) {
  for (std::int64_t i = 0; i < p.integer("lines"); ++i) p.log("line " + std::to_string(i));
  wait(p, std::chrono::milliseconds(p.integer("delay_ms")));
  if (!p.text("fail").empty()) throw std::runtime_error(p.text("fail"));
}

void add_value_inputs(sdk::Model& model) {
  add_common_inputs(model);
  model.input(
      sdk::integer("count").describe("A whole number").default_value(1).at_least(1).at_most(4));
  model.input(
      sdk::string("format").describe("A choice").choices({"jpg", "png"}).default_value("png"));
  model.input(sdk::secret("password").describe("Only its length comes back").optional());
  model.input(sdk::file("document").describe("Its beginning comes back").optional());
  model.input(sdk::file("documents").list().describe("The same of several").optional());
  model.input(
      sdk::boolean("with_files").describe("Put files into the output").default_value(false));
}

Json predict_value(Prediction& p) {
  obey_common_inputs(p);
  p.metric("input_token_count", 3);
  p.metric("output_token_count", 5);
  p.metric("tokens_per_second", 2.5);
  Json out = {
      {"text", p.text("text")}, {"count", p.integer("count")}, {"format", p.text("format")}};
  if (p.has("password")) out["password_length"] = p.text("password").size();
  if (p.has("document")) out["document"] = describe_file(p.file("document"));
  if (p.has("documents")) {
    out["documents"] = Json::array();
    for (const auto& path : p.files("documents")) out["documents"].push_back(describe_file(path));
  }
  if (p.boolean("with_files")) {
    out["nested"] = {{"one", p.upload(write_file(p, "one.txt", "one"))},
                     {"list", Json::array({p.upload(write_file(p, "two.txt", "two")),
                                           p.upload(write_file(p, "three.txt", "three"))})}};
  }
  return out;
}

Json predict_stream(Prediction& p) {
  const std::chrono::milliseconds delay(p.integer("delay_ms"));
  const Json& inputs = p.inputs();
  for (std::int64_t i = 0; i < p.integer("lines"); ++i) p.log("line " + std::to_string(i));
  for (const Json& chunk : inputs.at("chunks")) {
    wait(p, delay);
    p.emit(chunk);
  }
  if (!p.text("fail").empty()) throw std::runtime_error(p.text("fail"));
  return nullptr;
}

Json predict_files(Prediction& p) {
  const std::chrono::milliseconds delay(p.integer("delay_ms"));
  for (std::int64_t i = 0; i < p.integer("count"); ++i) {
    wait(p, delay);
    p.emit_file(write_file(p, "part-" + std::to_string(i) + ".txt", p.text("text")));
  }
  return nullptr;
}

Json train(Prediction& p) {
  p.log("training on " + p.text("text"));
  wait(p, std::chrono::milliseconds(p.integer("delay_ms")));
  if (!p.text("fail").empty()) throw std::runtime_error(p.text("fail"));
  return {{"weights", p.upload(write_file(p, "trained_model.tar", p.text("text")))}};
}

void set_up(const sdk::SetupLog& log) {
  const std::string seconds = environment("MIMEO_PROBE_SETUP_S");
  if (!seconds.empty()) {
    log("setup takes " + seconds + " s");
    std::this_thread::sleep_for(std::chrono::seconds(std::stoi(seconds)));
  }
  const std::string error = environment("MIMEO_PROBE_SETUP_ERROR");
  if (!error.empty()) throw std::runtime_error(error);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string form = environment("MIMEO_PROBE");
  sdk::Model model;
  model.concurrency(kSlots);
  model.setup(set_up);
  if (form == "stream") {
    model.input(sdk::string("chunks").list().describe("The pieces of the text"));
    add_common_inputs(model);
    model.output(sdk::Output::text_stream());
    model.predict(predict_stream);
  } else if (form == "files") {
    add_common_inputs(model);
    model.input(
        sdk::integer("count").describe("How many").default_value(2).at_least(0).at_most(20));
    model.output(sdk::Output::iterator(sdk::Output::file()));
    model.predict(predict_files);
  } else {
    add_value_inputs(model);
    model.output(sdk::Output::object());
    model.predict(predict_value);
  }
  if (form == "trainer") {
    model.training_input(sdk::string("text").describe("What to learn").default_value("words"));
    model.training_input(
        sdk::integer("delay_ms").describe("How long it takes").default_value(0).at_least(0));
    model.training_input(sdk::string("fail").describe("Fail with this").default_value(""));
    model.train(train);
    model.concurrency(1);
  }
  return sdk::serve(argc, argv, model);
}
