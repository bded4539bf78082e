// /organizations: those of the calling user, their settings and their members. What a role may do
// is in common/domain/access.h; here is who may change roles.

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/time_format.h"
#include "common/crypto/crypto.h"
#include "common/domain/names.h"
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

constexpr std::size_t kPageSize = 100;
constexpr std::size_t kLongestText = 500;

// First segments of our own paths: pages of an owner of that name could not be reached.
constexpr auto kReservedNames = std::to_array<std::string_view>(
    {"account",  "admin",       "api",         "assets",    "auth",
     "cli",      "cog",         "collections", "console",   "create",
     "delivery", "deployments", "docs",        "explore",   "files",
     "hardware", "healthz",     "home",        "login",     "logout",
     "metrics",  "models",      "ops",         "orgs",      "organizations",
     "p",        "predictions", "registry",    "s",         "search",
     "settings", "setup",       "static",      "streams",   "trainings",
     "v1",       "v2",          "webhooks",    "well-known"});

std::string organization_json(const store::Account& account, Role role) {
  JsonWriter json;
  json.begin_object().key("type").string("organization");
  json.key("username").string(account.username).key("name").string(account.name);
  json.key("github_url").string_or_null(account.github_url);
  json.key("avatar_url").string_or_null(account.avatar_url);
  json.key("role").string(name_of(role));
  json.key("created_at").string(to_rfc3339(account.created_at));
  return json.end_object().take();
}

std::string member_json(const store::Membership& member) {
  JsonWriter json;
  json.begin_object().key("username").string(member.username);
  json.key("role").string(name_of(member.role));
  json.key("created_at").string(to_rfc3339(member.created_at));
  return json.end_object().take();
}

std::string role_details(const char* key, Role role) {
  JsonWriter json;
  return json.begin_object().key(key).string(name_of(role)).end_object().take();
}

// The organization of the path, for its members; kNotFound otherwise, kPermissionDenied for those
// whose role is not enough.
boost::asio::awaitable<Result<Acting>> organization_of_path(
    Api* api, Call* call, ActingNeeds needs = ActingNeeds::kScopesOfRoute) {
  MIMEO_CO_ASSIGN_OR_RETURN(Acting acting, co_await acting_for(api, call, call->param(0), needs));
  if (acting.account.type != store::AccountType::kOrganization) {
    co_return absl::NotFoundError("a user is no organization");
  }
  call->audit.account = acting.account.id;
  co_return acting;
}

// The caller's own account and the member that the path names, with its role so far.
struct MemberOfPath {
  Acting acting;
  store::Account user;
  std::optional<Role> role;
};
boost::asio::awaitable<Result<MemberOfPath>> member_of_path(Api* api, Call* call,
                                                            ActingNeeds needs) {
  MemberOfPath found;
  MIMEO_CO_ASSIGN_OR_RETURN(found.acting, co_await organization_of_path(api, call, needs));
  auto read = [parts = &api->parts, name = call->param(1),
               known = found]() mutable -> Result<MemberOfPath> {
    MIMEO_ASSIGN_OR_RETURN(known.user, parts->catalog.get_account_by_username(name));
    MIMEO_ASSIGN_OR_RETURN(known.role,
                           parts->accounts.find_role(known.acting.account.id, known.user.id));
    return known;
  };
  co_return co_await api->parts.pool.run(std::move(read));
}

// Why `acting` may not turn the role `before` into `after` (nullopt = no member); empty if it may.
std::string refusal_of(const Acting& acting, std::optional<Role> before,
                       std::optional<Role> after) {
  if (!is_administrator(acting.role)) {
    return concat("Only owners and admins of ", acting.account.username,
                  " can change its members.");
  }
  const bool is_about_owners = before == Role::kOwner || after == Role::kOwner;
  if (is_about_owners && acting.role != Role::kOwner) {
    return concat("Only owners of ", acting.account.username,
                  " can make, change or remove owners.");
  }
  return "";
}

// Why this token may not give that role; empty if it may. A role can make tokens of its own, so it
// must be no more than what the token may do itself, and no longer.
std::string excess_of(const store::TokenOwner& caller, std::optional<Role> before, Role after) {
  const bool gives_more = !before || after < *before ||  // Administrators alike, but not the same.
                          !scopes_of(*before).contains(scopes_of(after));
  if (!gives_more) return "";
  if (!caller.scopes().contains(scopes_of(after))) {
    return concat("A token cannot give a role that may do more than itself: this one has \"",
                  to_text(caller.scopes()), "\", ", name_of(after), " has \"",
                  to_text(scopes_of(after)), "\".");
  }
  if (is_administrator(after) && caller.token.expires_at) {
    return concat("A token that expires cannot make somebody ", name_of(after), ".");
  }
  return "";
}

// Whether the member of the path is who calls, with a token of its own or one that it made.
bool names_itself(const Call& call) {
  const bool is_user = call.account().type == store::AccountType::kUser;
  return call.param(1) == (is_user ? call.account().username : call.caller->token.creator);
}

// What the change was allowed upon.
store::MemberExpectation expectation_of(const MemberOfPath& path) {
  store::MemberExpectation expected;
  expected.by = path.acting.user;
  expected.by_role = path.acting.role;
  expected.before = path.role;
  return expected;
}

http::Response last_owner() {
  return problem::conflict("An organization needs an owner: make somebody else owner first.");
}

http::Response limit_reached(const Status& status) {
  return problem::unprocessable("Limit reached", concat(message_of(status), "."));
}

std::optional<std::string> changed_text(BodyFields& fields, const char* name) {
  if (!fields.has(name)) return std::nullopt;
  std::string text = fields.text(name).value_or("");
  if (text.size() > kLongestText) {
    fields.add_problem(name, "Ensure this field has no more than 500 characters.");
  }
  return text;
}

store::Account new_organization(BodyFields& fields, AccountId owner, Random& random, WallTime now) {
  store::Account account;
  account.type = store::AccountType::kOrganization;
  account.username = fields.required_text("username");
  account.name = changed_text(fields, "name").value_or("");
  account.github_url = changed_text(fields, "github_url").value_or("");
  account.avatar_url = changed_text(fields, "avatar_url").value_or("");
  account.webhook_secret = crypto::make_webhook_secret(random);
  account.created_by = owner;
  account.created_at = now;
  const Status name = check_name(account.username);
  if (!account.username.empty() && !name.ok()) {
    fields.add_problem("username", message_of(name));
  }
  if (std::find(kReservedNames.begin(), kReservedNames.end(), account.username) !=
      kReservedNames.end()) {
    fields.add_problem("username", "This name is reserved.");
  }
  return account;
}

}  // namespace

Answer list_organizations(Api& api, Call& call) {
  std::vector<std::string> results;
  if (call.account().type == store::AccountType::kOrganization) {
    // A token of an organization sees that one.
    const Role role = call.caller->creator_role.value_or(Role::kOwner);
    results.push_back(organization_json(call.account(), role));
    co_return json_response(200, page_json(std::nullopt, std::nullopt, results));
  }
  auto read = [parts = &api.parts, user = call.viewer()]() -> Result<std::vector<std::string>> {
    MIMEO_ASSIGN_OR_RETURN(const auto memberships, parts->accounts.list_organizations(user));
    std::vector<std::string> found;
    for (const store::Membership& member : memberships) {
      MIMEO_ASSIGN_OR_RETURN(const store::Account account,
                             parts->catalog.get_account(member.organization));
      if (!account.disabled_at) found.push_back(organization_json(account, member.role));
    }
    return found;
  };
  MIMEO_CO_ASSIGN_OR_RETURN(results, co_await api.parts.pool.run(std::move(read)));
  co_return json_response(200, page_json(std::nullopt, std::nullopt, results));
}

Answer create_organization(Api& api, Call& call) {
  if (call.account().type != store::AccountType::kUser) {
    co_return problem::forbidden("Only users can make organizations; this token is one of " +
                                 call.account().username + ".");
  }
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  const store::Account wanted =
      new_organization(fields, call.viewer(), api.parts.random, api.parts.clock.now());
  call.audit.target = wanted.username;
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  auto write = [accounts = &api.parts.accounts, wanted, owner = call.viewer(),
                limits = api.settings.account_bounds,
                entry = entry_of(call, "organization.create", wanted.created_at)] {
    return accounts->add_account(wanted, owner, limits, entry);
  };
  const Result<store::Account> made = co_await api.parts.pool.run(std::move(write));
  if (absl::IsAlreadyExists(made.status())) {
    co_return problem::conflict("A user or an organization of that name exists already.");
  }
  if (absl::IsResourceExhausted(made.status())) co_return limit_reached(made.status());
  if (!made.ok()) co_return made.status();
  call.audit.is_written = true;
  co_return json_response(201, organization_json(*made, Role::kOwner));
}

Answer get_organization(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const Acting acting, co_await organization_of_path(&api, &call));
  co_return json_response(200, organization_json(acting.account, acting.role));
}

Answer update_organization(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const Acting acting, co_await organization_of_path(&api, &call));
  if (!is_administrator(acting.role)) {
    co_return problem::forbidden(
        concat("Only owners and admins of ", acting.account.username, " can change it."));
  }
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  store::AccountChange change;
  change.name = changed_text(fields, "name");
  change.github_url = changed_text(fields, "github_url");
  change.avatar_url = changed_text(fields, "avatar_url");
  if (change.name && change.name->empty()) fields.add_problem("name", "This field is required.");
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  auto write = [accounts = &api.parts.accounts, id = acting.account.id, change,
                entry = entry_of(call, "organization.update", api.parts.clock.now())] {
    return accounts->update_account(id, change, entry);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Account changed,
                            co_await api.parts.pool.run(std::move(write)));
  call.audit.is_written = true;
  api.parts.authenticator.forget(changed.id);  // What tokens show as their account.
  co_return json_response(200, organization_json(changed, acting.role));
}

Answer list_members(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const Acting acting, co_await organization_of_path(&api, &call));
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  auto read = [accounts = &api.parts.accounts, id = acting.account.id,
               after = cursor ? cursor->position : std::string()] {
    return accounts->list_members(id, after, kPageSize + 1);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Membership> members,
                            co_await api.parts.pool.run(std::move(read)));
  std::optional<std::string> next;
  if (members.size() > kPageSize) {
    members.resize(kPageSize);
    const Cursor last{PageDirection::kForward, members.back().username};
    const std::string url =
        api.urls.api(concat("/organizations/", acting.account.username, "/members"));
    next = PageLinks(url, *call.head).to(last);
  }
  std::vector<std::string> results;
  for (const store::Membership& member : members) results.push_back(member_json(member));
  co_return json_response(200, page_json(next, std::nullopt, results));
}

Answer put_member(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const MemberOfPath path,
                            co_await member_of_path(&api, &call, ActingNeeds::kScopesOfRoute));
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  const std::string word = fields.required_text("role");
  const std::optional<Role> role = role_named(word);
  if (!role && !word.empty()) {
    fields.add_problem("role", "Must be owner, admin, developer, viewer or billing.");
  }
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  call.audit.details = role_details("role", *role);
  std::string refusal = refusal_of(path.acting, path.role, role);
  if (refusal.empty()) refusal = excess_of(*call.caller, path.role, *role);
  if (!refusal.empty()) co_return problem::forbidden(refusal);
  if (path.user.type != store::AccountType::kUser) {
    co_return problem::unprocessable("Not a user", "Only users can be members.");
  }
  store::Membership member;
  member.organization = path.acting.account.id;
  member.user = path.user.id;
  member.username = path.user.username;
  member.role = *role;
  member.created_at = api.parts.clock.now();
  auto write = [accounts = &api.parts.accounts, member, expected = expectation_of(path),
                limits = api.settings.account_bounds,
                entry = entry_of(call, "member.set", member.created_at)] {
    return accounts->put_member(member, expected, limits, entry);
  };
  const Status put = co_await api.parts.pool.run(std::move(write));
  api.parts.authenticator.forget(member.organization);
  if (absl::IsFailedPrecondition(put)) co_return last_owner();
  if (absl::IsResourceExhausted(put)) co_return limit_reached(put);
  if (!put.ok()) co_return put;
  call.audit.is_written = true;
  co_return json_response(path.role ? 200 : 201, member_json(member));
}

Answer remove_member(Api& api, Call& call) {
  const bool leaves = names_itself(call);
  const ActingNeeds needs = leaves ? ActingNeeds::kMembership : ActingNeeds::kScopesOfRoute;
  MIMEO_CO_ASSIGN_OR_RETURN(const MemberOfPath path, co_await member_of_path(&api, &call, needs));
  if (!path.role) co_return problem::not_found();
  call.audit.details = role_details("role", *path.role);
  const std::string refusal = refusal_of(path.acting, path.role, std::nullopt);
  if (!leaves && !refusal.empty()) co_return problem::forbidden(refusal);
  auto write = [accounts = &api.parts.accounts, organization = path.acting.account.id,
                user = path.user.id, expected = expectation_of(path),
                entry = entry_of(call, "member.remove", api.parts.clock.now())] {
    return accounts->remove_member(organization, user, expected, entry);
  };
  const Status removed = co_await api.parts.pool.run(std::move(write));
  api.parts.authenticator.forget(path.acting.account.id);
  if (absl::IsFailedPrecondition(removed)) co_return last_owner();
  if (!removed.ok()) co_return removed;
  call.audit.is_written = true;
  co_return empty_response(204);
}

}  // namespace mimeo::control
