// For whom a call about tokens, members and logs acts: the caller's own account, or an organization
// that the calling user is a member of.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>

#include "common/store/accounts.h"
#include "control-plane/api/api.h"
#include "control-plane/http/call.h"

namespace mimeo::control {

struct Acting {
  store::Account account;
  Role role = Role::kViewer;  // Of the caller there; an own account's and the operator's: owner.
  AccountId user = 0;         // 0: nobody, the token was made by the operator.
};

// What a member needs besides being one.
enum class ActingNeeds : std::uint8_t {
  kScopesOfRoute,  // A role that has one of the scopes of the route: as with a token of the
                   // organization.
  kMembership,     // Nothing: for leaving, and for the tokens that it made itself.
};

// kNotFound for an account that is not the caller's and of which the calling user is no member;
// kPermissionDenied, with a text for the caller, when its role does not allow the call. A token of
// an organization acts for that one only, whoever made it.
boost::asio::awaitable<Result<Acting>> acting_for(Api* api, Call* call, std::string username,
                                                  ActingNeeds needs);
boost::asio::awaitable<Result<Acting>> acting_for(Api* api, Call* call, AccountId account,
                                                  ActingNeeds needs);
// For the account of the parameter `owner`, by default the caller's own.
boost::asio::awaitable<Result<Acting>> acting_for_owner(Api* api, Call* call, ActingNeeds needs);

}  // namespace mimeo::control
