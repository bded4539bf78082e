#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/table.h"
#include "common/config/settings.h"

namespace mimeo::cli {
namespace {

// What to do about it, where we know.
std::string advice(const Status& status) {
  if (absl::IsUnavailable(status)) {
    return "\nIs the database running, and does --database (or MIMEO_DATABASE) name it?";
  }
  return "";
}

void collect_commands(const CLI::App& group, const std::string& above,
                      std::vector<std::string>& names) {
  const std::function<bool(const CLI::App*)> all;
  for (const CLI::App* command : group.get_subcommands(all)) {
    const std::string name =
        above.empty() ? command->get_name() : above + " " + command->get_name();
    if (command->get_subcommands(all).empty()) {
      names.push_back(name);
    } else {
      collect_commands(*command, name, names);
    }
  }
}

}  // namespace

CommandLine::CommandLine(Surroundings surroundings)
    : surroundings_(std::move(surroundings)),
      app_(std::make_unique<CLI::App>("Mimeo: serve models on your own machines.", "mimeo")) {
  app_->add_option("--database", database_,
                   "Where everything is kept: postgres://user@host/name or key=value pairs "
                   "[MIMEO_DATABASE]");
  app_->add_option("--config", config_file_, "File with a line `database = ...` [MIMEO_CONFIG]");
  app_->require_subcommand(1);
  app_->fallthrough();
  add_setup_commands(*app_, *this);
  add_account_commands(*app_, *this);
  add_member_commands(*app_, *this);
  add_token_commands(*app_, *this);
  add_catalog_commands(*app_, *this);
  add_usage_commands(*app_, *this);
  add_discovery_commands(*app_, *this);
  add_state_commands(*app_, *this);
  add_webhook_commands(*app_, *this);
}

CommandLine::~CommandLine() = default;

std::vector<std::string> CommandLine::commands() const {
  std::vector<std::string> names;
  collect_commands(*app_, "", names);
  return names;
}

int CommandLine::run(std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // As CLI11 wants them.
  try {
    app_->parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    const int code = app_->exit(error, surroundings_.out, surroundings_.error);
    return code == 0 ? 0 : 2;
  }
  const Status status = chosen_();
  if (status.ok()) return 0;
  surroundings_.error << "mimeo: " << std::string(status.message()) << advice(status) << "\n";
  return 1;
}

void CommandLine::on(CLI::App& command, std::function<Status()> action) {
  command.callback([this, action = std::move(action)] { chosen_ = action; });
}

void CommandLine::on_list(CLI::App& command, std::function<Result<nlohmann::ordered_json>()> list) {
  const auto as_json = std::make_shared<bool>(false);
  command.add_flag("--json", *as_json, "Print JSON");
  on(command, [this, as_json, list = std::move(list)]() -> Status {
    MIMEO_ASSIGN_OR_RETURN(const nlohmann::ordered_json rows, list());
    if (*as_json) {
      surroundings_.out << rows.dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
                        << "\n";
    } else {
      surroundings_.out << table_of(rows);
    }
    return absl::OkStatus();
  });
}

Result<std::string> CommandLine::database() {
  if (!database_.empty()) return database_;
  // Environment and file as in the other programs.
  Settings settings("mimeo", "");
  settings.add("database", &database_, "");
  std::vector<std::string> arguments;
  if (!config_file_.empty()) arguments = {"--config", config_file_};
  const auto environment = [](const std::string& variable) -> std::optional<std::string> {
    const char* value = std::getenv(variable.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  MIMEO_RETURN_IF_ERROR(settings.parse(arguments, environment).status());
  if (database_.empty()) {
    return absl::InvalidArgumentError(
        "no database is set: give --database or set MIMEO_DATABASE (`make up` writes it to "
        ".mimeo/env)");
  }
  return database_;
}

Result<Stores> CommandLine::stores() {
  MIMEO_ASSIGN_OR_RETURN(const std::string name, database());
  return surroundings_.open_stores(name);
}

}  // namespace mimeo::cli
