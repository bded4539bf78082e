#include "control-plane/api/acting.h"

#include <utility>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

Acting own(const Call& call) {
  const store::TokenOwner& caller = *call.caller;
  Acting acting;
  acting.account = caller.account;
  acting.role = caller.creator_role.value_or(Role::kOwner);
  const bool is_user = caller.account.type == store::AccountType::kUser;
  acting.user = is_user ? caller.account.id : caller.token.created_by;
  return acting;
}

// Blocking.
Result<Acting> as_member(store::AccountsStore& accounts, Result<store::Account> account,
                         AccountId user) {
  MIMEO_RETURN_IF_ERROR(account.status());
  MIMEO_ASSIGN_OR_RETURN(const std::optional<Role> role, accounts.find_role(account->id, user));
  if (!role || account->disabled_at) return absl::NotFoundError("no such organization");
  Acting acting;
  acting.account = *std::move(account);
  acting.role = *role;
  acting.user = user;
  return acting;
}

// The middleware has looked at the scopes of the token; these are those of the role. A refusal is
// in the organization's log.
Status check_role(const Acting& acting, Call* call, ActingNeeds needs) {
  const bool is_free = needs == ActingNeeds::kMembership || call->needed.is_empty();
  if (is_free || !(scopes_of(acting.role) & call->needed).is_empty()) return absl::OkStatus();
  call->audit.account = acting.account.id;
  return absl::PermissionDeniedError(
      concat("You are ", name_of(acting.role), " of ", acting.account.username,
             ". This needs a role with one of \"", to_text(call->needed), "\"."));
}

}  // namespace

boost::asio::awaitable<Result<Acting>> acting_for(Api* api, Call* call, std::string username,
                                                  ActingNeeds needs) {
  if (username == call->account().username) co_return own(*call);
  if (call->account().type != store::AccountType::kUser) {
    co_return absl::NotFoundError("another account");
  }
  auto read = [parts = &api->parts, username, user = call->viewer()] {
    return as_member(parts->accounts, parts->catalog.get_account_by_username(username), user);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(Acting acting, co_await api->parts.pool.run(std::move(read)));
  MIMEO_CO_RETURN_IF_ERROR(check_role(acting, call, needs));
  co_return acting;
}

boost::asio::awaitable<Result<Acting>> acting_for(Api* api, Call* call, AccountId account,
                                                  ActingNeeds needs) {
  if (account == call->viewer()) co_return own(*call);
  if (call->account().type != store::AccountType::kUser) {
    co_return absl::NotFoundError("another account");
  }
  auto read = [parts = &api->parts, account, user = call->viewer()] {
    return as_member(parts->accounts, parts->catalog.get_account(account), user);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(Acting acting, co_await api->parts.pool.run(std::move(read)));
  MIMEO_CO_RETURN_IF_ERROR(check_role(acting, call, needs));
  co_return acting;
}

boost::asio::awaitable<Result<Acting>> acting_for_owner(Api* api, Call* call, ActingNeeds needs) {
  std::string owner(call->head->parameter("owner").value_or(""));
  if (owner.empty()) owner = call->account().username;
  co_return co_await acting_for(api, call, std::move(owner), needs);
}

}  // namespace mimeo::control
