#include "common/config/settings.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <utility>

namespace mimeo {

namespace {

constexpr std::string_view kConfig = "config";

std::string variable_of(std::string_view name) {
  std::string out = "MIMEO_";
  for (const char c : name) {
    out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

Settings::Settings(std::string program, std::string purpose)
    : program_(std::move(program)), purpose_(std::move(purpose)) {
  add(std::string(kConfig), &config_file_, "File with lines `name = value`");
}

void Settings::add_field(Field field) {
  if (find(field.name) != nullptr) std::abort();  // Two settings of one name: a bug in main.
  fields_.push_back(std::move(field));
}

void Settings::add_choice(std::string name, std::string* field, std::vector<std::string> choices,
                          std::string description) {
  std::string words;
  for (const auto& choice : choices) words += (words.empty() ? "" : "|") + choice;
  add_field({std::move(name), std::move(description) + " (" + words + ")", *field,
             [field, choices = std::move(choices), words](std::string_view text) -> Status {
               if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
                 return absl::InvalidArgumentError("\"" + std::string(text) + "\" is none of " +
                                                   words);
               }
               *field = text;
               return absl::OkStatus();
             },
             Kind::kValue, Need::kOptional});
}

Settings::Field* Settings::find(std::string_view name) {
  const auto at = std::find_if(fields_.begin(), fields_.end(),
                               [name](const Field& field) { return field.name == name; });
  return at == fields_.end() ? nullptr : &*at;
}

Status Settings::set(Field& field, std::string_view text, const std::string& source) {
  if (field.is_set) return absl::OkStatus();  // By something that counts more.
  MIMEO_RETURN_IF_ERROR(with_context(field.read(text), source));
  field.is_set = true;
  return absl::OkStatus();
}

Status Settings::read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::InvalidArgumentError("config: cannot read the file " + path);
  std::string text;
  std::map<std::string, int> seen;
  for (int number = 1; std::getline(file, text); ++number) {
    const std::string_view line = trimmed(text);
    if (line.empty() || line.front() == '#') continue;
    const std::string place = path + ":" + std::to_string(number);
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) {
      return absl::InvalidArgumentError(place + ": expected `name = value`");
    }
    const std::string name(trimmed(line.substr(0, equals)));
    std::string_view value = trimmed(line.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    Field* field = find(name);
    if (field == nullptr || name == kConfig) {
      return absl::InvalidArgumentError(place + ": " + program_ + " has no setting \"" + name +
                                        "\"");
    }
    if (const auto [at, is_new] = seen.emplace(name, number); !is_new) {
      return absl::InvalidArgumentError(place + ": " + name + " is already set in line " +
                                        std::to_string(at->second));
    }
    MIMEO_RETURN_IF_ERROR(set(*field, value, place + ": " + name));
  }
  return absl::OkStatus();
}

namespace {

// CLI11 knows the spelling of flags and prints the help; values are read by us, so that all three
// sources say the same about a bad one.
struct CommandLine {
  explicit CommandLine(const std::string& purpose, const std::string& program)
      : app(purpose, program) {
    app.set_help_flag("--help", "Print this and exit");
    const std::string version_text = "Print the version and exit";
    app.add_flag("--version", version_text);
  }
  void add(const std::string& name, const std::string& description, const std::string& fallback,
           bool is_flag) {
    const std::string text = description + " [" + variable_of(name) + "]";
    CLI::Option* option = nullptr;
    if (is_flag) {
      option = app.add_flag("--" + name, text);
    } else {
      option =
          app.add_option("--" + name, text)->type_name("")->take_last()->allow_extra_args(false);
      option->expected(1);
    }
    if (!fallback.empty()) option->default_str(fallback);
  }
  CLI::App app;
};

}  // namespace

std::string Settings::help() const {
  CommandLine line(purpose_, program_);
  for (const auto& field : fields_) {
    const std::string need = field.need == Need::kRequired ? " (required)" : "";
    line.add(field.name, field.description + need, field.default_text, field.kind == Kind::kFlag);
  }
  return line.app.help() +
         "\nEach setting is a flag, the variable shown, or a line `name = value` " +
         "of the file; the first that is set wins.\n";
}

std::string Settings::version() const { return program_ + " " MIMEO_VERSION; }

Result<Settings::Outcome> Settings::parse(const std::vector<std::string>& arguments,
                                          const Environment& environment) {
  CommandLine line(purpose_, program_);
  for (const auto& field : fields_) {
    line.add(field.name, field.description, field.default_text, field.kind == Kind::kFlag);
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(),
                                      arguments.rend());  // As CLI11 wants them.
    line.app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    return Outcome::kHelp;
  } catch (const CLI::ParseError& e) {
    return absl::InvalidArgumentError(e.what());
  }
  if (line.app.count("--version") > 0) return Outcome::kVersion;

  for (auto& field : fields_) field.is_set = false;

  for (auto& field : fields_) {
    const CLI::Option* option = line.app.get_option("--" + field.name);
    if (option->count() == 0) continue;
    MIMEO_RETURN_IF_ERROR(set(field, option->results().back(), "--" + field.name));
  }
  for (auto& field : fields_) {
    const std::string variable = variable_of(field.name);
    const auto value = environment(variable);
    if (!value || value->empty()) continue;
    MIMEO_RETURN_IF_ERROR(set(field, *value, variable));
  }
  if (!config_file_.empty()) MIMEO_RETURN_IF_ERROR(read_file(config_file_));
  for (const auto& field : fields_) {
    if (field.need == Need::kRequired && !field.is_set) {
      return absl::InvalidArgumentError("--" + field.name + " is required: " + field.description);
    }
  }
  return Outcome::kRun;
}

std::optional<int> Settings::parse(int argc, const char* const* argv) {
  const auto outcome =
      parse(std::vector<std::string>(argv + std::min(argc, 1), argv + argc),
            [](const std::string& variable) -> std::optional<std::string> {
              const char* value = std::getenv(variable.c_str());
              return value == nullptr ? std::nullopt : std::optional<std::string>(value);
            });
  if (!outcome.ok()) {
    std::cerr << program_ << ": " << outcome.status().message() << "\nTry --help.\n";
    return 2;
  }
  if (*outcome == Outcome::kHelp) {
    std::cout << help();
    return 0;
  }
  if (*outcome == Outcome::kVersion) {
    std::cout << version() << "\n";
    return 0;
  }
  return std::nullopt;
}

}  // namespace mimeo
