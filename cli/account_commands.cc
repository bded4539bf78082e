// mimeo account, mimeo token, mimeo worker-token.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <array>
#include <nlohmann/json.hpp>

#include "cli/command_line.h"
#include "cli/duration.h"
#include "common/base/time_format.h"
#include "common/crypto/crypto.h"
#include "common/domain/names.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::optional<WallTime>& at) {
  return at.has_value() ? Json(to_rfc3339(*at)) : Json();
}

Result<store::Account> find_account(store::CatalogStore& catalog, const std::string& username) {
  auto account = catalog.get_account_by_username(username);
  if (absl::IsNotFound(account.status())) {
    return absl::NotFoundError(absl::StrCat("there is no account `", username,
                                            "`: make it with `mimeo account create ", username,
                                            "`"));
  }
  return account;
}

Status create_account(CommandLine& line, const std::string& username, bool is_organization) {
  MIMEO_RETURN_IF_ERROR(check_name(username));
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  store::Account account;
  account.username = username;
  account.type = is_organization ? store::AccountType::kOrganization : store::AccountType::kUser;
  std::array<std::uint8_t, 24> secret;
  line.surroundings().random.fill(secret);
  account.webhook_secret =
      "whsec_" + crypto::base64({reinterpret_cast<const char*>(secret.data()), secret.size()});
  account.created_at = line.surroundings().clock.now();
  const auto made = stores.catalog.create_account(account);
  if (absl::IsAlreadyExists(made.status())) {
    return absl::AlreadyExistsError(absl::StrCat("the account `", username, "` exists already"));
  }
  MIMEO_RETURN_IF_ERROR(made.status());
  line.surroundings().out << made->username << "\n";
  return absl::OkStatus();
}

Result<Json> list_accounts(CommandLine& line) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto accounts, stores.catalog.list_accounts());
  Json rows = Json::array();
  for (const store::Account& account : accounts) {
    const bool is_user = account.type == store::AccountType::kUser;
    rows.push_back({{"username", account.username},
                    {"type", is_user ? "user" : "organization"},
                    {"weight", account.weight},
                    {"max_running", account.max_running},
                    {"max_queued", account.max_queued},
                    {"created_at", to_rfc3339(account.created_at)}});
  }
  return rows;
}

struct TokenOptions {
  std::string account;
  std::string name;
  std::string expires;
};

Status create_token(CommandLine& line, const TokenOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto account, find_account(stores.catalog, options.account));
  const std::string text = crypto::make_api_token(line.surroundings().random);
  store::Token token;
  token.account = account.id;
  token.name = options.name;
  token.hash = crypto::sha256(text);
  token.prefix = text.substr(0, 7);
  token.created_at = line.surroundings().clock.now();
  if (!options.expires.empty() && options.expires != "never") {
    MIMEO_ASSIGN_OR_RETURN(const auto lifetime, parse_duration(options.expires));
    token.expires_at = token.created_at + lifetime;
  }
  MIMEO_RETURN_IF_ERROR(stores.catalog.create_token(token).status());
  line.surroundings().error << "This is the only time that the token is shown.\n";
  line.surroundings().out << text << "\n";
  return absl::OkStatus();
}

Result<Json> list_tokens(CommandLine& line, const std::string& username) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto account, find_account(stores.catalog, username));
  MIMEO_ASSIGN_OR_RETURN(const auto tokens, stores.catalog.list_tokens(account.id));
  Json rows = Json::array();
  for (const store::Token& token : tokens) {
    rows.push_back({{"id", token.id},
                    {"prefix", token.prefix},
                    {"name", token.name},
                    {"created_at", to_rfc3339(token.created_at)},
                    {"expires_at", time_or_null(token.expires_at)},
                    {"disabled_at", time_or_null(token.disabled_at)},
                    {"last_used_at", time_or_null(token.last_used_at)}});
  }
  return rows;
}

Status disable_token(CommandLine& line, std::int64_t id) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  const Status status = stores.catalog.disable_token(id, line.surroundings().clock.now());
  if (absl::IsNotFound(status)) {
    return absl::NotFoundError(
        absl::StrCat("there is no token ", id, ": see `mimeo token list ACCOUNT`"));
  }
  return status;
}

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
  line.surroundings().error << "This is the only time that the token is shown.\n";
  line.surroundings().out << text << "\n";
  return absl::OkStatus();
}

void add_token_commands(CLI::App& app, CommandLine& line) {
  auto* group = app.add_subcommand("token", "API tokens");
  group->require_subcommand(1);
  auto* create = group->add_subcommand("create", "Make a token and print it, this once");
  const auto options = std::make_shared<TokenOptions>();
  create->add_option("account", options->account, "Whose token")->required();
  create->add_option("--name", options->name, "To recognise it in listings");
  create->add_option("--expires", options->expires, "When it ends to work: 30d, 12h, never");
  line.on(*create, [&line, options] { return create_token(line, *options); });

  auto* list = group->add_subcommand("list", "The tokens of an account");
  const auto account = std::make_shared<std::string>();
  list->add_option("account", *account, "Whose tokens")->required();
  line.on_list(*list, [&line, account] { return list_tokens(line, *account); });

  auto* disable = group->add_subcommand("disable", "End a token");
  const auto id = std::make_shared<std::int64_t>();
  disable->add_option("id", *id, "Its number in `mimeo token list`")->required();
  line.on(*disable, [&line, id] { return disable_token(line, *id); });
}

}  // namespace

void add_account_commands(CLI::App& app, CommandLine& line) {
  auto* group = app.add_subcommand("account", "Users and organizations");
  group->require_subcommand(1);
  auto* create = group->add_subcommand("create", "Make an account");
  const auto username = std::make_shared<std::string>();
  const auto is_organization = std::make_shared<bool>(false);
  create->add_option("name", *username, "[a-z0-9] with single '.', '_' or '-' between")->required();
  create->add_flag("--organization", *is_organization, "An organization instead of a user");
  line.on(*create, [&line, username, is_organization] {
    return create_account(line, *username, *is_organization);
  });
  line.on_list(*group->add_subcommand("list", "All accounts"),
               [&line] { return list_accounts(line); });

  add_retention_commands(*group, line);

  add_token_commands(app, line);

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
