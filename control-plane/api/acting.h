// For whom a call about tokens, members and logs acts: the caller's own account, or an organization
// that the calling user is a member of.

#pragma once

#include <boost/asio/awaitable.hpp>
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

// kNotFound for an account that is not the caller's and of which the calling user is no member.
// A token of an organization acts for that one only, whoever made it.
boost::asio::awaitable<Result<Acting>> acting_for(Api* api, const Call* call, std::string username);
boost::asio::awaitable<Result<Acting>> acting_for(Api* api, const Call* call, AccountId account);
// For the account of the parameter `owner`, by default the caller's own.
boost::asio::awaitable<Result<Acting>> acting_for_owner(Api* api, const Call* call);

}  // namespace mimeo::control
