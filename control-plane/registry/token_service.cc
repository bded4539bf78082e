#include "control-plane/registry/token_service.h"

#include <nlohmann/json.hpp>

#include "common/base/time_format.h"
#include "common/domain/names.h"

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

RegistryTokens::RegistryTokens(store::CatalogStore& catalog, BlockingPool& pool,
                               const crypto::TokenSigner& signer, const Clock& clock,
                               Random& random, RegistryTokenOptions options)
    : catalog_(catalog),
      pool_(pool),
      signer_(signer),
      clock_(clock),
      random_(random),
      options_(std::move(options)) {}

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
    auto known = co_await owner_of(std::move(*password));
    if (!known.ok()) {
      const bool is_ours = absl::IsUnauthenticated(known.status());
      http::Response response =
          is_ours ? refused(401, "UNAUTHORIZED", std::string(known.status().message()))
                  : refused(503, "UNAVAILABLE", "try again");
      co_await exchange->respond(std::move(response));
      co_return;
    }
    caller = std::move(*known);
  }
  std::vector<crypto::RegistryAccess> access;
  for (const auto& [name, value] : parameters) {
    if (name != "scope") continue;
    for (const std::string& one : split(value, ' ')) {
      auto scope = parse_scope(one);
      if (!scope || access.size() >= 32) continue;
      store::TokenOwner who = caller;
      crypto::RegistryAccess entry = co_await allowed(std::move(*scope), std::move(who));
      access.push_back(std::move(entry));
    }
  }
  const std::string token = sign(subject_of(caller), access, options_.lifetime);
  http::Response response = json(200, {{"token", token},
                                       {"access_token", token},
                                       {"expires_in", options_.lifetime.count()},
                                       {"issued_at", to_rfc3339(clock_.now())}});
  co_await exchange->respond(std::move(response));
}

asio::awaitable<Result<store::TokenOwner>> RegistryTokens::owner_of(std::string token) {
  auto read = [this, hash = crypto::sha256(token)] { return catalog_.get_token_owner(hash); };
  auto owner = co_await pool_.run(std::move(read));
  if (absl::IsNotFound(owner.status())) co_return absl::UnauthenticatedError("no such API token");
  if (!owner.ok()) co_return owner.status();
  if (owner->token.disabled_at) co_return absl::UnauthenticatedError("this API token is disabled");
  if (owner->token.expires_at && *owner->token.expires_at <= clock_.now()) {
    co_return absl::UnauthenticatedError("this API token has expired");
  }
  if (!owner->is_valid(clock_.now())) {
    co_return absl::UnauthenticatedError("this API token's account is disabled, or its maker left");
  }
  co_return owner;
}

// Own repositories: pull and push. Public models of others: pull.
asio::awaitable<crypto::RegistryAccess> RegistryTokens::allowed(RegistryScope scope,
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
    auto read = [this, owner = model->first, name = model->second, viewer = caller.account.id] {
      return catalog_.get_model(owner, name, viewer);
    };
    const auto found = co_await pool_.run(std::move(read));
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
  http::Response response = refused(404, "UNKNOWN", "no such token");
  if (body.ok()) {
    std::string token = find(parse_form(std::move(*body)), "token").value_or("");
    const auto owner = co_await owner_of(std::move(token));
    if (owner.ok()) response = json(200, {{"username", owner->account.username}});
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
  const std::string id = random_.base32(26);
  return signer_.sign_registry_token(options_.issuer, options_.service, subject, access,
                                     clock_.now(), lifetime, id);
}

}  // namespace mimeo::control
