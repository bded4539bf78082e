// mimeo account, mimeo worker-token, and what the commands about accounts share. `mimeo user` and
// `mimeo org` are in member_commands.cc, `mimeo token` and `mimeo audit` in token_commands.cc.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "cli/command_line.h"
#include "cli/duration.h"
#include "common/base/time_format.h"
#include "common/crypto/crypto.h"
#include "common/domain/names.h"

namespace mimeo::cli {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::optional<WallTime>& at) {
  return at.has_value() ? Json(to_rfc3339(*at)) : Json();
}

Result<store::Account> find_account(const Stores& stores, const std::string& username) {
  auto account = stores.catalog.get_account_by_username(username);
  if (absl::IsNotFound(account.status())) {
    return absl::NotFoundError(absl::StrCat("there is no account `", username,
                                            "`: see `mimeo account list`, or make it with `mimeo "
                                            "account create ",
                                            username, "`"));
  }
  return account;
}

Result<store::Account> find_user(const Stores& stores, const std::string& username) {
  auto account = stores.catalog.get_account_by_username(username);
  if (absl::IsNotFound(account.status())) {
    return absl::NotFoundError(absl::StrCat("there is no user `", username,
                                            "`: make it with `mimeo user create ", username, "`"));
  }
  if (account.ok() && account->type != store::AccountType::kUser) {
    return absl::NotFoundError(
        absl::StrCat("`", username, "` is an organization, no user: see `mimeo org`"));
  }
  return account;
}

Result<store::Account> find_organization(const Stores& stores, const std::string& username) {
  auto account = stores.catalog.get_account_by_username(username);
  if (absl::IsNotFound(account.status())) {
    return absl::NotFoundError(absl::StrCat("there is no organization `", username,
                                            "`: make it with `mimeo org create ", username, "`"));
  }
  if (account.ok() && account->type != store::AccountType::kOrganization) {
    return absl::NotFoundError(
        absl::StrCat("`", username, "` is a user, no organization: see `mimeo user`"));
  }
  return account;
}

store::AuditEntry operator_entry(CommandLine& line, std::string action, AccountId account,
                                 std::string target) {
  store::AuditEntry entry;
  entry.at = line.surroundings().clock.now();
  entry.account = account;
  entry.action = std::move(action);
  entry.target = std::move(target);
  entry.actor = absl::StrCat("operator ", line.surroundings().operator_name);
  return entry;
}

Status log_change(CommandLine& line, const Stores& stores, std::string action, AccountId account,
                  std::string target, const Json& details) {
  store::AuditEntry entry = operator_entry(line, std::move(action), account, std::move(target));
  entry.details = details.dump(-1, ' ', false, Json::error_handler_t::replace);
  return stores.accounts.append_audit(entry);
}

Status create_account(CommandLine& line, store::Account account, AccountId owner) {
  MIMEO_RETURN_IF_ERROR(check_name(account.username));
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  account.webhook_secret = crypto::make_webhook_secret(line.surroundings().random);
  account.created_at = line.surroundings().clock.now();
  const bool is_user = account.type == store::AccountType::kUser;
  const auto made = stores.accounts.add_account(
      account, owner, {},
      operator_entry(line, is_user ? "user.create" : "organization.create", 0, account.username));
  if (absl::IsAlreadyExists(made.status())) {
    return absl::AlreadyExistsError(
        absl::StrCat("the account `", account.username, "` exists already"));
  }
  MIMEO_RETURN_IF_ERROR(made.status());
  line.surroundings().out << made->username << "\n";
  return absl::OkStatus();
}

Result<Json> list_accounts(CommandLine& line, std::optional<store::AccountType> type) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto accounts, stores.catalog.list_accounts());
  Json rows = Json::array();
  for (const store::Account& account : accounts) {
    if (type && account.type != *type) continue;
    const bool is_user = account.type == store::AccountType::kUser;
    rows.push_back({{"username", account.username},
                    {"type", is_user ? "user" : "organization"},
                    {"weight", account.weight},
                    {"max_running", account.max_running},
                    {"max_queued", account.max_queued},
                    {"created_at", to_rfc3339(account.created_at)},
                    {"disabled_at", time_or_null(account.disabled_at)}});
  }
  return rows;
}

namespace {

struct WorkerTokenOptions {
  std::string name = "worker";
  CellId cell = 1;
};

Status create_worker_token(CommandLine& line, const WorkerTokenOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_RETURN_IF_ERROR(stores.fleet.ensure_cell(options.cell));
  const std::string text = crypto::make_token("mimeo_worker_", line.surroundings().random);
  MIMEO_RETURN_IF_ERROR(
      stores.fleet.create_worker_token(crypto::sha256(text), options.name, options.cell));
  MIMEO_RETURN_IF_ERROR(
      log_change(line, stores, "worker-token.create", 0, options.name, {{"cell", options.cell}}));
  line.surroundings().error << "This is the only time that the token is shown.\n";
  line.surroundings().out << text << "\n";
  return absl::OkStatus();
}

}  // namespace

void add_account_commands(CLI::App& app, CommandLine& line) {
  auto* group = app.add_subcommand("account", "Users and organizations together");
  group->require_subcommand(1);
  auto* create = group->add_subcommand("create", "Make an account");
  const auto username = std::make_shared<std::string>();
  const auto is_organization = std::make_shared<bool>(false);
  create->add_option("name", *username, "[a-z0-9] with single '.', '_' or '-' between")->required();
  create->add_flag("--organization", *is_organization, "An organization instead of a user");
  line.on(*create, [&line, username, is_organization] {
    store::Account account;
    account.username = *username;
    if (*is_organization) account.type = store::AccountType::kOrganization;
    return create_account(line, std::move(account), 0);
  });
  line.on_list(*group->add_subcommand("list", "All accounts"),
               [&line] { return list_accounts(line, std::nullopt); });

  add_retention_commands(*group, line);

  auto* worker_group = app.add_subcommand("worker-token", "Tokens by which machines join");
  worker_group->require_subcommand(1);
  auto* create_worker =
      worker_group->add_subcommand("create", "Make a token and print it, this once");
  const auto options = std::make_shared<WorkerTokenOptions>();
  create_worker->add_option("--name", options->name, "To recognise it")->capture_default_str();
  create_worker->add_option("--cell", options->cell, "The cell that its workers join")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  line.on(*create_worker, [&line, options] { return create_worker_token(line, *options); });
}

}  // namespace mimeo::cli
