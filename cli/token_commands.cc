// mimeo token, mimeo audit.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "cli/duration.h"
#include "common/base/time_format.h"
#include "common/crypto/crypto.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;

struct TokenOptions {
  std::string account;
  std::string name;
  std::string member;
  std::string expires;
  std::vector<std::string> scopes;
};

// Fills who made it: nobody, or the member that `--member` names.
Status set_maker(const Stores& stores, const store::Account& account, const std::string& member,
                 store::Token& token) {
  if (member.empty()) return absl::OkStatus();
  MIMEO_ASSIGN_OR_RETURN(const store::Account user, find_user(stores, member));
  MIMEO_ASSIGN_OR_RETURN(const auto role, stores.accounts.find_role(account.id, user.id));
  if (!role) {
    return absl::NotFoundError(absl::StrCat("`", member, "` is no member of `", account.username,
                                            "`: `mimeo org add-member ", account.username, " ",
                                            member, "`"));
  }
  token.created_by = user.id;
  return absl::OkStatus();
}

Status create_token(CommandLine& line, const TokenOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto account, find_account(stores, options.account));
  const std::string text = crypto::make_api_token(line.surroundings().random);
  store::Token token;
  token.account = account.id;
  token.name = options.name;
  token.hash = crypto::sha256(text);
  token.prefix = text.substr(0, 7);
  token.created_at = line.surroundings().clock.now();
  if (!options.scopes.empty()) token.scopes = {};
  for (const std::string& word : options.scopes) {
    MIMEO_ASSIGN_OR_RETURN(token.scopes, add_scope(token.scopes, word));
  }
  if (!options.expires.empty() && options.expires != "never") {
    MIMEO_ASSIGN_OR_RETURN(const auto lifetime, parse_duration(options.expires));
    token.expires_at = token.created_at + lifetime;
  }
  MIMEO_RETURN_IF_ERROR(set_maker(stores, account, options.member, token));
  store::AuditEntry entry =
      operator_entry(line, "token.create", account.id,
                     absl::StrCat(account.username, "/", token.name, " (", token.prefix, ")"));
  entry.details = Json({{"scopes", to_text(token.scopes)}}).dump();
  MIMEO_RETURN_IF_ERROR(stores.accounts.add_token(token, {}, entry).status());
  line.surroundings().error << "This is the only time that the token is shown.\n";
  line.surroundings().out << text << "\n";
  return absl::OkStatus();
}

Result<Json> list_tokens(CommandLine& line, const std::string& username) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto account, find_account(stores, username));
  MIMEO_ASSIGN_OR_RETURN(const auto tokens, stores.catalog.list_tokens(account.id));
  Json rows = Json::array();
  for (const store::Token& token : tokens) {
    rows.push_back({{"id", token.id},
                    {"prefix", token.prefix},
                    {"name", token.name},
                    {"scopes", to_text(token.scopes)},
                    {"made_by", token.creator.empty() ? Json() : Json(token.creator)},
                    {"created_at", to_rfc3339(token.created_at)},
                    {"expires_at", time_or_null(token.expires_at)},
                    {"disabled_at", time_or_null(token.disabled_at)},
                    {"last_used_at", time_or_null(token.last_used_at)}});
  }
  return rows;
}

Status disable_token(CommandLine& line, std::int64_t id) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  const auto token = stores.accounts.get_token(id);
  if (absl::IsNotFound(token.status())) {
    return absl::NotFoundError(
        absl::StrCat("there is no token ", id, ": see `mimeo token list ACCOUNT`"));
  }
  MIMEO_RETURN_IF_ERROR(token.status());
  if (token->disabled_at) return absl::OkStatus();
  store::TokenChange change;
  change.disabled_at = line.surroundings().clock.now();
  return stores.accounts
      .update_token(id, change,
                    operator_entry(line, "token.disable", token->account,
                                   absl::StrCat(token->name, " (", token->prefix, ")")))
      .status();
}

struct AuditOptions {
  std::string account;
  std::string action;
  std::string actor;
  std::string since;
  std::size_t limit = 50;
};

const char* word(store::AuditOutcome outcome) {
  switch (outcome) {
    case store::AuditOutcome::kDone:
      return "done";
    case store::AuditOutcome::kRefused:
      return "refused";
    case store::AuditOutcome::kFailed:
      return "failed";
  }
  return "failed";
}

Result<Json> list_audit(CommandLine& line, const AuditOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  store::AuditFilter filter;
  filter.action = options.action;
  filter.actor = options.actor;
  filter.limit = options.limit;
  if (!options.account.empty()) {
    MIMEO_ASSIGN_OR_RETURN(const auto account, find_account(stores, options.account));
    filter.account = account.id;
  }
  if (!options.since.empty()) {
    MIMEO_ASSIGN_OR_RETURN(const auto ago, parse_duration(options.since));
    filter.after = line.surroundings().clock.now() - ago;
  }
  MIMEO_ASSIGN_OR_RETURN(const auto entries, stores.accounts.list_audit(filter));
  Json rows = Json::array();
  for (const store::AuditEntry& entry : entries) {
    rows.push_back({{"at", to_rfc3339(entry.at)},
                    {"actor", entry.actor},
                    {"action", entry.action},
                    {"target", entry.target},
                    {"outcome", word(entry.outcome)},
                    {"account", entry.account_name},
                    {"token", entry.token == 0 ? Json() : Json(entry.token)},
                    {"address", entry.address},
                    {"request", entry.request_id},
                    {"details", entry.details}});
  }
  return rows;
}

void add_audit_command(CLI::App& app, CommandLine& line) {
  auto* audit = app.add_subcommand("audit", "Who changed what, newest first");
  const auto options = std::make_shared<AuditOptions>();
  audit->add_option("--account", options->account, "Only changes of this account's things");
  audit->add_option("--action", options->action,
                    "Only this action: model.create, or all of a kind: model.");
  audit->add_option("--actor", options->actor, "Only what this user, or `operator NAME`, did");
  audit->add_option("--since", options->since, "Only the last 7d, 12h, 90m");
  audit->add_option("--limit", options->limit, "How many at most")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  line.on_list(*audit, [&line, options] { return list_audit(line, *options); });
}

}  // namespace

void add_token_commands(CLI::App& app, CommandLine& line) {
  auto* group = app.add_subcommand("token", "API tokens");
  group->require_subcommand(1);
  auto* create = group->add_subcommand("create", "Make a token and print it, this once");
  const auto options = std::make_shared<TokenOptions>();
  create->add_option("account", options->account, "Whose token")->required();
  create->add_option("--name", options->name, "To recognise it in listings");
  create
      ->add_option("--scope", options->scopes,
                   "What it may do, may be repeated: read, predictions, models, deployments, "
                   "files, account, billing; without any: everything")
      ->take_all();
  create->add_option("--expires-in,--expires", options->expires,
                     "When it ends to work: 30d, 12h, never");
  create->add_option("--member", options->member,
                     "Of an organization: the member whose role bounds it and with whose "
                     "membership it ends");
  line.on(*create, [&line, options] { return create_token(line, *options); });

  auto* list = group->add_subcommand("list", "The tokens of an account");
  const auto account = std::make_shared<std::string>();
  list->add_option("account", *account, "Whose tokens")->required();
  line.on_list(*list, [&line, account] { return list_tokens(line, *account); });

  auto* disable = group->add_subcommand("disable", "End a token, at once and for good");
  const auto id = std::make_shared<std::int64_t>();
  disable->add_option("id", *id, "Its number in `mimeo token list`")->required();
  line.on(*disable, [&line, id] { return disable_token(line, *id); });
  add_audit_command(app, line);
}

}  // namespace mimeo::cli
