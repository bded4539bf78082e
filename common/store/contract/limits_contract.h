// The part of discovery_contract.h, which includes it, for the limits of accounts.

#pragma once

#include <vector>

#include "common/store/contract/discovery_contract.h"

namespace mimeo::store {

TEST_P(DiscoveryContract, LimitsOfAccountsAreKeptWhileThereAreAny) {
  AccountLimits wish;
  wish.account = account_.id;
  EXPECT_EQ(*limits().get_account_limits(account_.id), wish);
  EXPECT_TRUE(limits().list_account_limits()->empty());
  wish.create_per_minute = 6;
  wish.create_burst = 1;
  wish.other_per_minute = 0;
  ASSERT_TRUE(limits().put_account_limits(wish).ok());
  EXPECT_EQ(*limits().get_account_limits(account_.id), wish);
  EXPECT_EQ(limits().list_account_limits()->size(), 1u);
  wish.create_burst.reset();
  wish.read_per_minute = 10;
  ASSERT_TRUE(limits().put_account_limits(wish).ok());
  EXPECT_EQ(*limits().get_account_limits(account_.id), wish);
  AccountLimits none;
  none.account = account_.id;
  ASSERT_TRUE(limits().put_account_limits(none).ok());
  EXPECT_TRUE(limits().list_account_limits()->empty());
  wish.account = account_.id + 1000;
  EXPECT_EQ(code(limits().put_account_limits(wish)), absl::StatusCode::kNotFound);
}

TEST_P(DiscoveryContract, AnOrganizationHasItsMakersLimitsUntilItHasItsOwn) {
  Account wanted;
  wanted.type = AccountType::kOrganization;
  wanted.username = "corp";
  wanted.webhook_secret = "whsec_x";
  wanted.created_by = account_.id;
  const AccountId corp = catalog().create_account(wanted)->id;
  AccountLimits own;
  own.account = account_.id;
  own.create_per_minute = 6;
  ASSERT_TRUE(limits().put_account_limits(own).ok());
  AccountLimits inherited = own;
  inherited.account = corp;
  EXPECT_EQ(*limits().list_account_limits(), (std::vector<AccountLimits>{own, inherited}));
  inherited.create_per_minute = 600;
  ASSERT_TRUE(limits().put_account_limits(inherited).ok());
  EXPECT_EQ(*limits().list_account_limits(), (std::vector<AccountLimits>{own, inherited}));
}

}  // namespace mimeo::store
