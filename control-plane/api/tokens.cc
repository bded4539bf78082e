// /account/tokens: list, make, rename, disable. A member of an organization manages those that it
// made there itself, owners and admins all of them.

#include <utility>

#include "common/base/time_format.h"
#include "common/crypto/crypto.h"
#include "control-plane/api/acting.h"
#include "control-plane/api/body_fields.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/audit_trail.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 50;
constexpr std::size_t kLongestName = 60;
constexpr std::size_t kShownPrefix = 7;  // "r8_abcd"

void write_time(JsonWriter& json, const char* key, const std::optional<WallTime>& at) {
  json.key(key);
  at ? json.string(to_rfc3339(*at)) : json.null();
}

// `text` only where the token was just made.
std::string token_json(const store::Token& token, const std::string& owner,
                       const std::string& text = "") {
  JsonWriter json;
  json.begin_object().key("id").integer(token.id).key("name").string(token.name);
  json.key("prefix").string(token.prefix).key("owner").string(owner);
  json.key("created_by").string_or_null(token.creator).key("scopes").begin_array();
  const std::string scopes = to_text(token.scopes);  // The words below are views into it.
  for (const std::string_view word : split(scopes, " ")) {
    if (!word.empty()) json.string(word);
  }
  json.end_array().key("created_at").string(to_rfc3339(token.created_at));
  write_time(json, "expires_at", token.expires_at);
  write_time(json, "last_used_at", token.last_used_at);
  write_time(json, "disabled_at", token.disabled_at);
  if (!text.empty()) json.key("token").string(text);
  return json.end_object().take();
}

std::string scopes_details(Scopes scopes) {
  JsonWriter json;
  return json.begin_object().key("scopes").string(to_text(scopes)).end_object().take();
}

void check_token_name(BodyFields& fields, const std::string& name) {
  if (name.size() > kLongestName) {
    fields.add_problem("name", "Ensure this field has no more than 60 characters.");
  }
}

// The fields of a new token; problems are in `fields`.
store::Token token_of(BodyFields& fields, WallTime now) {
  store::Token token;
  token.name = fields.required_text("name");
  check_token_name(fields, token.name);
  token.created_at = now;
  if (const auto words = fields.texts("scopes")) {
    token.scopes = {};
    for (const std::string& word : *words) {
      const Result<Scopes> more = add_scope(token.scopes, word);
      if (more.ok()) {
        token.scopes = *more;
      } else {
        fields.add_problem("scopes", message_of(more.status()));
      }
    }
    if (words->empty()) {
      fields.add_problem("scopes", "Name at least one; \"*\" is everything.");
    }
  }
  if (const auto text = fields.text("expires_at")) {
    const Result<WallTime> at = parse_rfc3339(*text);
    if (at.ok() && *at > now) {
      token.expires_at = *at;
    } else {
      fields.add_problem("expires_at", "Must be a time in the future, like 2030-01-31T12:00:00Z.");
    }
  }
  return token;
}

// Why this caller may not make this token; empty if it may. Else a token that may do little, or not
// for long, could make one that may do more.
std::string excess_of(const store::TokenOwner& caller, const store::Token& wanted) {
  if (!caller.scopes().contains(wanted.scopes)) {
    return concat("A token cannot make one that may do more than itself: this one has \"",
                  to_text(caller.scopes()), "\", the new one would have \"", to_text(wanted.scopes),
                  "\".");
  }
  const auto& end = caller.token.expires_at;
  if (end && (!wanted.expires_at || *wanted.expires_at > *end)) {
    return concat("A token cannot make one that lasts longer than itself: this one expires at ",
                  to_rfc3339(*end), ".");
  }
  return "";
}

struct KnownToken {
  store::Token token;
  Acting acting;
};
// The token of the path, if the caller may manage it; kNotFound otherwise.
boost::asio::awaitable<Result<KnownToken>> token_of_path(Api* api, Call* call) {
  const auto id = parse_number<std::int64_t>(call->param(0));
  if (!id) co_return absl::NotFoundError("no such token");
  KnownToken known;
  auto read = [accounts = &api->parts.accounts, id = *id] { return accounts->get_token(id); };
  MIMEO_CO_ASSIGN_OR_RETURN(known.token, co_await api->parts.pool.run(std::move(read)));
  MIMEO_CO_ASSIGN_OR_RETURN(
      known.acting, co_await acting_for(api, call, known.token.account, ActingNeeds::kMembership));
  const Acting& acting = known.acting;
  if (!is_administrator(acting.role) && known.token.created_by != acting.user) {
    co_return absl::NotFoundError("somebody else's token");
  }
  call->audit.account = acting.account.id;
  call->audit.target =
      concat(acting.account.username, "/", known.token.name, " (", known.token.prefix, ")");
  co_return known;
}

// Changes it and makes that known here at once.
boost::asio::awaitable<Result<store::Token>> change_token(Api* api, Call* call, KnownToken known,
                                                          store::TokenChange change) {
  const bool ends = change.disabled_at.has_value();
  auto write =
      [accounts = &api->parts.accounts, id = known.token.id, change,
       entry = entry_of(*call, ends ? "token.disable" : "token.update", api->parts.clock.now())] {
        return accounts->update_token(id, change, entry);
      };
  const Result<store::Token> changed = co_await api->parts.pool.run(std::move(write));
  api->parts.authenticator.forget(known.token.account);
  call->audit.is_written = changed.ok();
  co_return changed;
}

}  // namespace

Answer list_tokens(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const Acting acting,
                            co_await acting_for_owner(&api, &call, ActingNeeds::kMembership));
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  std::int64_t below = 0;
  if (cursor) {
    const auto id = parse_number<std::int64_t>(cursor->position);
    if (!id) co_return problem::bad_request("Invalid cursor");
    below = *id;
  }
  auto read = [accounts = &api.parts.accounts, account = acting.account.id, below,
               maker = is_administrator(acting.role) ? 0 : acting.user] {
    return accounts->page_tokens(account, maker, below, kPageSize + 1);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Token> tokens,
                            co_await api.parts.pool.run(std::move(read)));
  std::optional<std::string> next;
  if (tokens.size() > kPageSize) {
    tokens.resize(kPageSize);
    const Cursor last{PageDirection::kForward, std::to_string(tokens.back().id)};
    next = PageLinks(api.urls.api("/account/tokens"), *call.head).to(last);
  }
  std::vector<std::string> results;
  for (const store::Token& token : tokens) {
    results.push_back(token_json(token, acting.account.username));
  }
  co_return json_response(200, page_json(next, std::nullopt, results));
}

Answer create_token(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  store::Token token = token_of(fields, api.parts.clock.now());
  std::string owner = fields.text("owner").value_or(call.account().username);
  fields.close({"name", "owner", "scopes", "expires_at"});
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  MIMEO_CO_ASSIGN_OR_RETURN(const Acting acting, co_await acting_for(&api, &call, std::move(owner),
                                                                     ActingNeeds::kMembership));
  call.audit.account = acting.account.id;
  call.audit.target = concat(acting.account.username, "/", token.name);
  call.audit.details = scopes_details(token.scopes);
  const std::string excess = excess_of(*call.caller, token);
  if (!excess.empty()) co_return problem::forbidden(excess);
  const std::string text = crypto::make_api_token(api.parts.random);
  token.account = acting.account.id;
  token.hash = crypto::sha256(text);
  token.prefix = text.substr(0, kShownPrefix);
  const bool is_user = acting.account.type == store::AccountType::kUser;
  token.created_by = is_user ? 0 : acting.user;
  auto write = [accounts = &api.parts.accounts, token, limits = api.settings.account_bounds,
                entry = entry_of(call, "token.create", token.created_at)] {
    return accounts->add_token(token, limits, entry);
  };
  const Result<store::Token> made = co_await api.parts.pool.run(std::move(write));
  if (absl::IsResourceExhausted(made.status())) {
    co_return problem::unprocessable("Limit reached",
                                     "This account has as many tokens as it may have. Disable one "
                                     "that is not needed.");
  }
  if (!made.ok()) co_return made.status();
  call.audit.is_written = true;
  http::Response response = json_response(201, token_json(*made, acting.account.username, text));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

Answer get_token(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const KnownToken known, co_await token_of_path(&api, &call));
  co_return json_response(200, token_json(known.token, known.acting.account.username));
}

Answer update_token(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const KnownToken known, co_await token_of_path(&api, &call));
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  store::TokenChange change;
  if (fields.has("name")) change.name = fields.required_text("name");
  if (change.name) check_token_name(fields, *change.name);
  const std::optional<bool> disabled = fields.boolean("disabled");
  fields.close({"name", "disabled"});
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  if (disabled == true) change.disabled_at = api.parts.clock.now();
  if (disabled == false && known.token.disabled_at) {
    co_return problem::conflict("A token that was disabled stays disabled. Make a new one.");
  }
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Token changed,
                            co_await change_token(&api, &call, known, change));
  co_return json_response(200, token_json(changed, known.acting.account.username));
}

Answer delete_token(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const KnownToken known, co_await token_of_path(&api, &call));
  store::TokenChange change;
  change.disabled_at = api.parts.clock.now();
  const Result<store::Token> changed = co_await change_token(&api, &call, known, change);
  if (!changed.ok()) co_return changed.status();
  co_return empty_response(204);
}

}  // namespace mimeo::control
