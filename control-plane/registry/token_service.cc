#include "control-plane/registry/token_service.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/time_format.h"
#include "common/domain/names.h"
#include "common/telemetry/log.h"
#include "control-plane/http/client_address.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr Bytes kMaxForm = 64_KiB;

http::Response json(int status, const nlohmann::ordered_json& body) {
  http::Response response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.headers.set("Cache-Control", "no-store");
  response.body = body.dump();
  return response;
}

// The registry's own form of errors, which its clients show.
http::Response refused(int status, std::string_view code, std::string_view message) {
  return json(status, {{"errors", {{{"code", code}, {"message", message}}}}});
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  while (start <= text.size()) {
    const std::size_t end = std::min(text.find(separator, start), text.size());
    if (end > start) parts.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

// application/x-www-form-urlencoded; malformed fields are left out.
std::vector<std::pair<std::string, std::string>> parse_form(std::string body) {
  for (char& c : body) {
    if (c == '+') c = ' ';
  }
  std::vector<std::pair<std::string, std::string>> fields;
  for (const std::string& field : split(body, '&')) {
    const std::size_t equals = std::min(field.find('='), field.size());
    auto name = http::percent_decode(std::string_view(field).substr(0, equals));
    auto value = http::percent_decode(
        equals < field.size() ? std::string_view(field).substr(equals + 1) : "");
    if (name && value) fields.emplace_back(std::move(*name), std::move(*value));
  }
  return fields;
}

// Whom the registry's notifications name: the account, the member that made the token, the token.
std::string subject_of(const store::TokenOwner& caller) {
  if (caller.account.id == 0) return "";
  return caller.account.username + "#" + std::to_string(caller.token.id) + "#" +
         caller.token.creator;
}

std::optional<std::string> find(const std::vector<std::pair<std::string, std::string>>& fields,
                                std::string_view name) {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return std::nullopt;
}

http::Response our_fault(const Status& status) {
  log::error("what a client of the registry may do cannot be told: {}", status.ToString());
  return refused(503, "UNAVAILABLE", "try again");
}

// For a token that is no good: `status_code`, unless there were too many or the fault is ours.
http::Response refusal_of(const CheckedToken& checked, int status_code) {
  if (!absl::IsUnauthenticated(checked.status)) return our_fault(checked.status);
  if (checked.tries.is_allowed) {
    return refused(status_code, status_code == 404 ? "UNKNOWN" : "UNAUTHORIZED",
                   "this is no API token that works: unknown, disabled or expired");
  }
  http::Response response = refused(429, "TOOMANYREQUESTS", "too many tokens that do not work");
  response.headers.set("Retry-After", std::to_string(checked.tries.retry_after_s));
  return response;
}

bool may_push(const std::vector<crypto::RegistryAccess>& access) {
  return std::any_of(access.begin(), access.end(), [](const crypto::RegistryAccess& one) {
    return std::find(one.actions.begin(), one.actions.end(), "push") != one.actions.end();
  });
}

}  // namespace

std::optional<RegistryScope> parse_scope(std::string_view text) {
  const std::size_t first = text.find(':');
  const std::size_t last = text.rfind(':');
  if (first == std::string_view::npos || last <= first + 1) return std::nullopt;
  RegistryScope scope;
  scope.type = std::string(text.substr(0, first));
  scope.name = std::string(text.substr(first + 1, last - first - 1));
  scope.actions = split(text.substr(last + 1), ',');
  return scope;
}

std::optional<std::pair<std::string, std::string>> parse_basic(std::string_view header) {
  constexpr std::string_view kScheme = "basic ";
  if (header.size() <= kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    if ((header[i] | 0x20) != kScheme[i]) return std::nullopt;  // Schemes compare without case.
  }
  const auto decoded = crypto::base64_decode(header.substr(kScheme.size()));
  if (!decoded) return std::nullopt;
  const std::size_t colon = decoded->find(':');
  if (colon == std::string::npos) return std::nullopt;
  return std::pair{decoded->substr(0, colon), decoded->substr(colon + 1)};
}

RegistryTokens::RegistryTokens(Parts parts, RegistryTokenOptions options)
    : parts_(std::move(parts)), options_(std::move(options)) {}

asio::awaitable<void> RegistryTokens::handle_token(http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  std::optional<std::string> password;
  Parameters parameters = head.query;
  if (head.method == "POST") {  // OAuth2 form of the same (newer clients).
    auto body = co_await exchange.read_body(kMaxForm);
    if (!body.ok()) {
      http::Response response = refused(400, "UNSUPPORTED", std::string(body.status().message()));
      co_await exchange.respond(std::move(response));
      co_return;
    }
    parameters = parse_form(std::move(*body));
    if (find(parameters, "grant_type").value_or("") != "password") {
      http::Response response = refused(400, "UNSUPPORTED", "grant_type must be password");
      co_await exchange.respond(std::move(response));
      co_return;
    }
    password = find(parameters, "password");
  }
  const std::string_view authorization = head.headers.get("Authorization");
  if (!authorization.empty()) {
    auto credentials = parse_basic(authorization);
    if (!credentials) {
      http::Response response = refused(401, "UNAUTHORIZED", "send a user name and an API token");
      co_await exchange.respond(std::move(response));
      co_return;
    }
    password = std::move(credentials->second);
  }
  co_await grant(&exchange, std::move(password), std::move(parameters));
}

asio::awaitable<void> RegistryTokens::grant(http::Exchange* exchange,
                                            std::optional<std::string> password,
                                            Parameters parameters) {
  store::TokenOwner caller;  // Account 0: nobody.
  if (password) {
    const CheckedToken known = co_await check(&exchange->head(), std::move(*password));
    if (known.owner == nullptr) {
      http::Response response = refusal_of(known, 401);
      co_await exchange->respond(std::move(response));
      co_return;
    }
    caller = *known.owner;
  }
  std::vector<crypto::RegistryAccess> access;
  for (const auto& [name, value] : parameters) {
    if (name != "scope") continue;
    for (const std::string& one : split(value, ' ')) {
      auto scope = parse_scope(one);
      if (!scope || access.size() >= 32) continue;
      store::TokenOwner who = caller;
      auto entry = co_await allowed(std::move(*scope), std::move(who));
      if (!entry.ok()) {
        http::Response response = our_fault(entry.status());
        co_await exchange->respond(std::move(response));
        co_return;
      }
      access.push_back(*std::move(entry));
    }
  }
  const auto lifetime = may_push(access) ? options_.lifetime : options_.client_pull_lifetime;
  const std::string token = sign(subject_of(caller), access, lifetime);
  http::Response response = json(200, {{"token", token},
                                       {"access_token", token},
                                       {"expires_in", lifetime.count()},
                                       {"issued_at", to_rfc3339(parts_.clock.now())}});
  co_await exchange->respond(std::move(response));
}

asio::awaitable<CheckedToken> RegistryTokens::check(const http::RequestHead* head,
                                                    std::string token) {
  std::string client = client_address(*head, parts_.trusted_proxies);
  CheckedToken checked = co_await check_token(&parts_.authenticator, &parts_.limiter,
                                              std::move(client), std::move(token));
  co_return checked;
}

// Own repositories: pull and push. Public models of others: pull.
asio::awaitable<Result<crypto::RegistryAccess>> RegistryTokens::allowed(RegistryScope scope,
                                                                        store::TokenOwner caller) {
  crypto::RegistryAccess access;
  access.type = scope.type;
  access.repository = scope.name;
  const auto model = split_model_name(scope.name);
  if (scope.type != "repository" || !model.ok() || caller.account.id == 0) co_return access;
  const Scopes scopes = caller.scopes();
  const bool is_own = model->first == caller.account.username;
  const bool may_push = is_own && scopes.has(Scope::kModels);
  bool may_pull = scopes.has(Scope::kModels) || scopes.has(Scope::kRead);
  if (may_pull && !is_own) {
    auto read = [catalog = &parts_.catalog, owner = model->first, name = model->second,
                 viewer = caller.account.id] { return catalog->get_model(owner, name, viewer); };
    const auto found = co_await parts_.pool.run(std::move(read));
    if (!found.ok() && !absl::IsNotFound(found.status())) co_return found.status();
    may_pull = found.ok();
  }
  for (const std::string& action : scope.actions) {
    if ((action == "pull" && may_pull) || (action == "push" && may_push))
      access.actions.push_back(action);
  }
  co_return access;
}

asio::awaitable<void> RegistryTokens::handle_display_token_url(http::Exchange& exchange) {
  http::Response response = json(200, {{"url", options_.account_url}});
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> RegistryTokens::handle_verify_token(http::Exchange& exchange) {
  auto body = co_await exchange.read_body(kMaxForm);
  http::Response response = refused(400, "UNSUPPORTED", "send a form with the token");
  if (body.ok()) {
    std::string token = find(parse_form(std::move(*body)), "token").value_or("");
    const CheckedToken known = co_await check(&exchange.head(), std::move(token));
    response = known.owner == nullptr ? refusal_of(known, 404)
                                      : json(200, {{"username", known.owner->account.username}});
  }
  co_await exchange.respond(std::move(response));
}

std::string RegistryTokens::pull_token(std::string_view repository) const {
  crypto::RegistryAccess access;
  access.repository = std::string(repository);
  access.actions = {"pull"};
  return sign("mimeo-worker", {access}, options_.pull_lifetime);
}

std::string RegistryTokens::push_token(const std::string& repository,
                                       const std::string& from) const {
  std::vector<crypto::RegistryAccess> access(1);
  access[0].repository = repository;
  access[0].actions = {"pull", "push"};
  if (!from.empty() && from != repository) {
    crypto::RegistryAccess& source = access.emplace_back();
    source.repository = from;
    source.actions = {"pull"};
  }
  // Blobs are large, but each request has a token of its own.
  return sign("mimeo-control-plane", access, options_.pull_lifetime);
}

std::string RegistryTokens::reader_token(const std::vector<std::string>& repositories) const {
  std::vector<crypto::RegistryAccess> access;
  crypto::RegistryAccess catalog;
  catalog.type = "registry";
  catalog.repository = "catalog";
  catalog.actions = {"*"};
  access.push_back(std::move(catalog));
  for (const std::string& repository : repositories) {
    crypto::RegistryAccess entry;
    entry.repository = repository;
    entry.actions = {"pull"};
    access.push_back(std::move(entry));
  }
  return sign("mimeo-control-plane", access, options_.pull_lifetime);
}

std::string RegistryTokens::sign(std::string_view subject,
                                 const std::vector<crypto::RegistryAccess>& access,
                                 std::chrono::seconds lifetime) const {
  const std::string id = parts_.random.base32(26);
  return parts_.signer.sign_registry_token(options_.issuer, options_.service, subject, access,
                                           parts_.clock.now(), lifetime, id);
}

}  // namespace mimeo::control
