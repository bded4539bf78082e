// mimeo account retention.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "cli/duration.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;

struct RetentionOptions {
  std::string account;
  bool is_operator = false;
  std::string api;  // "1h", "max", "default"; empty = as it is.
  std::string web;
};

Result<AccountId> account_of(const Stores& stores, const RetentionOptions& options) {
  if (options.is_operator != options.account.empty()) {
    return absl::InvalidArgumentError("name an account, or give --operator");
  }
  if (options.is_operator) return AccountId{0};
  MIMEO_ASSIGN_OR_RETURN(const store::Account account, find_account(stores, options.account));
  return account.id;
}

Status change(store::RetentionStore& retention, AccountId account, PredictionSource source,
              const std::string& wish) {
  if (wish.empty()) return absl::OkStatus();
  if (wish == "default") return retention.reset_keep_rule(account, source);
  if (wish == "max") return retention.set_keep_rule(account, source, std::nullopt);
  MIMEO_ASSIGN_OR_RETURN(const std::chrono::seconds keep, parse_duration(wish));
  return retention.set_keep_rule(account, source, keep);
}

// As `mimeo audit` shows it: what was wished for.
Status log_wishes(CommandLine& line, const Stores& stores, AccountId account,
                  const RetentionOptions& options) {
  Json wishes = Json::object();
  if (!options.api.empty()) wishes["api"] = options.api;
  if (!options.web.empty()) wishes["web"] = options.web;
  if (wishes.empty()) return absl::OkStatus();
  return log_change(line, stores, "retention.set", account,
                    options.is_operator ? "every account" : options.account, wishes);
}

Json row_of(const char* source, const store::KeepFor& keep, bool is_own) {
  return {{"source", source},
          {"seconds", keep ? Json(keep->count()) : Json()},
          {"rule", is_own ? "account" : "operator"}};
}

Result<Json> set_and_show(CommandLine& line, const RetentionOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const AccountId account, account_of(stores, options));
  MIMEO_RETURN_IF_ERROR(change(stores.retention, account, PredictionSource::kApi, options.api));
  MIMEO_RETURN_IF_ERROR(change(stores.retention, account, PredictionSource::kWeb, options.web));
  MIMEO_RETURN_IF_ERROR(log_wishes(line, stores, account, options));
  MIMEO_ASSIGN_OR_RETURN(const store::KeepRules rules, stores.retention.get_keep_rules(account));
  Json rows = Json::array();
  rows.push_back(row_of("api", rules.api, rules.has_own_api));
  rows.push_back(row_of("web", rules.web, rules.has_own_web));
  return rows;
}

}  // namespace

void add_retention_commands(CLI::App& account, CommandLine& line) {
  auto* command = account.add_subcommand(
      "retention", "Show and set how long predictions keep their data after their end");
  const auto options = std::make_shared<RetentionOptions>();
  command->add_option("account", options->account, "Whose rules");
  command->add_flag("--operator", options->is_operator, "The rules of accounts without their own");
  command->add_option("--api", options->api, "Of predictions by the API: 1h, max or default");
  command->add_option("--web", options->web, "Of predictions by the console: 90d, max or default");
  line.on_list(*command, [&line, options] { return set_and_show(line, *options); });
}

}  // namespace mimeo::cli
