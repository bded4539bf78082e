// The settings of a process: flags, MIMEO_* environment variables and a file, read into the fields
// of a struct. What each process has is in docs/processes.md.
//
//   struct WorkerConfig {
//     std::string state_dir = "/var/lib/mimeo";
//     std::uint16_t metrics_port = 0;
//     std::vector<std::string> schedulers;
//   };
//   WorkerConfig config;
//   Settings settings("mimeo-worker", "Runs model instances on one machine.");
//   settings.add_required("schedulers", &config.schedulers, "Addresses of schedulers");
//   settings.add("state-dir", &config.state_dir, "Where everything local is kept");
//   settings.add("metrics-port", &config.metrics_port, "Port of /metrics; 0 = none");
//   if (const auto exit_code = settings.parse(argc, argv)) return *exit_code;
//
// The setting `metrics-port` is the flag --metrics-port, the variable MIMEO_METRICS_PORT, or the
// line `metrics-port = 9000` in the file given by --config (or MIMEO_CONFIG); the first that is set
// wins, in this order; else the field keeps the value it had.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace mimeo {

namespace config_values {
// Text to value; kInvalidArgument with a reason that reads well behind the setting's name.
Status read(std::string_view text, std::string* out);
Status read(std::string_view text, bool* out);  // true, yes, on, 1 or false, no, off, 0.
Status read(std::string_view text, double* out);
Status read(std::string_view text, std::vector<std::string>* out);   // Comma separated, trimmed.
Status read(std::string_view text, std::chrono::seconds* out);       // For names that end in -s.
Status read(std::string_view text, std::chrono::milliseconds* out);  // For names that end in -ms.
Status read_integer(std::string_view text, std::int64_t lowest, std::int64_t highest,
                    std::int64_t* out);
Status read(std::string_view text, std::uint64_t* out);
template <class T>
Status read_small(std::string_view text, T* out) {
  std::int64_t wide = 0;
  MIMEO_RETURN_IF_ERROR(
      read_integer(text, std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), &wide));
  *out = static_cast<T>(wide);
  return absl::OkStatus();
}
inline Status read(std::string_view text, std::uint16_t* out) { return read_small(text, out); }
inline Status read(std::string_view text, std::int32_t* out) { return read_small(text, out); }
inline Status read(std::string_view text, std::uint32_t* out) { return read_small(text, out); }
inline Status read(std::string_view text, std::int64_t* out) { return read_small(text, out); }

// For the help text; empty when there is nothing to show.
std::string show(const std::string& value);
std::string show(bool value);
std::string show(double value);
std::string show(const std::vector<std::string>& value);
inline std::string show(std::chrono::seconds value) { return std::to_string(value.count()); }
inline std::string show(std::chrono::milliseconds value) { return std::to_string(value.count()); }
inline std::string show(std::int64_t value) { return std::to_string(value); }
inline std::string show(std::uint64_t value) { return std::to_string(value); }
inline std::string show(std::int32_t value) { return std::to_string(value); }
inline std::string show(std::uint32_t value) { return std::to_string(value); }
inline std::string show(std::uint16_t value) { return std::to_string(value); }
}  // namespace config_values

// Made in main, used once. The fields outlive parse(). Names are lower case with hyphens.
class Settings {
 public:
  Settings(std::string program, std::string purpose);

  // The field's value now is the default.
  template <class T>
  void add(std::string name, T* field, std::string description) {
    add_field({std::move(name), std::move(description), config_values::show(*field),
               [field](std::string_view text) { return config_values::read(text, field); },
               std::is_same_v<T, bool> ? Kind::kFlag : Kind::kValue, Need::kOptional});
  }
  // Must be set somewhere.
  template <class T>
  void add_required(std::string name, T* field, std::string description) {
    add_field({std::move(name), std::move(description), "",
               [field](std::string_view text) { return config_values::read(text, field); },
               Kind::kValue, Need::kRequired});
  }
  // One of a few words.
  void add_choice(std::string name, std::string* field, std::vector<std::string> choices,
                  std::string description);

  // For main: nullopt to go on, else the exit code: 0 after --help or --version (on stdout), 2
  // after wrong usage (the reason on stderr).
  [[nodiscard]] std::optional<int> parse(int argc, const char* const* argv);

  // The same without process state, for tests. kInvalidArgument names the setting, where it was
  // set, and the reason.
  enum class Outcome : std::uint8_t { kRun, kHelp, kVersion };
  using Environment = std::function<std::optional<std::string>(const std::string& variable)>;
  [[nodiscard]] Result<Outcome> parse(const std::vector<std::string>& arguments,
                                      const Environment& environment);
  [[nodiscard]] std::string help() const;
  // "mimeo-worker 0.1.0".
  [[nodiscard]] std::string version() const;

 private:
  enum class Kind : std::uint8_t { kValue, kFlag };
  enum class Need : std::uint8_t { kOptional, kRequired };
  struct Field {
    std::string name;
    std::string description;
    std::string default_text;
    std::function<Status(std::string_view)> read;
    Kind kind;
    Need need;
    bool is_set = false;
  };

  void add_field(Field field);
  Field* find(std::string_view name);
  Status set(Field& field, std::string_view text, const std::string& source);
  Status read_file(const std::string& path);

  const std::string program_;
  const std::string purpose_;
  std::vector<Field> fields_;
  std::string config_file_;
};

}  // namespace mimeo
