// Persistence of the limits of calls that operators set for single accounts. Same rules as
// catalog.h.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"

namespace mimeo::store {

// Unset: as for every account. 0 = no limit.
struct AccountLimits {
  AccountId account = 0;
  std::optional<std::int64_t> create_per_minute;
  std::optional<std::int64_t> create_burst;  // At once; unset = as many as in a minute.
  std::optional<std::int64_t> read_per_minute;
  std::optional<std::int64_t> other_per_minute;

  friend bool operator==(const AccountLimits&, const AccountLimits&) = default;
};

class AccountLimitsStore {
 public:
  virtual ~AccountLimitsStore() = default;
  // Those that have any, by account. An organization that has none of its own has those of the user
  // who made it.
  virtual Result<std::vector<AccountLimits>> list_account_limits() = 0;
  // All unset if there are none.
  virtual Result<AccountLimits> get_account_limits(AccountId account) = 0;
  // Replaces them; all unset removes them. kNotFound without the account.
  virtual Status put_account_limits(const AccountLimits& limits) = 0;
};

}  // namespace mimeo::store
