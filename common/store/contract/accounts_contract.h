// What every AccountsStore is tested with, together with the reads of catalog.h that depend on it.
// Included by one program per implementation.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/store/accounts.h"
#include "common/store/catalog.h"

namespace mimeo::store {

struct AccountsUnderTest {
  std::shared_ptr<void> keep_alive;
  CatalogStore& catalog;
  AccountsStore& accounts;
};
struct AccountsKind {
  std::string name;
  std::function<AccountsUnderTest()> make;  // Empty ones, for one test.
};
inline void PrintTo(const AccountsKind& kind, std::ostream* out) { *out << kind.name; }

// Gives each test the users ada and bob and the organization corp, which ada owns.
class AccountsContract : public testing::TestWithParam<AccountsKind> {
 protected:
  void SetUp() override {
    under_test_.emplace(GetParam().make());
    ada_ = add_user("ada");
    bob_ = add_user("bob");
    corp_ = add_organization("corp", ada_.id);
  }

  CatalogStore& catalog() { return under_test_->catalog; }
  AccountsStore& accounts() { return under_test_->accounts; }

  AuditEntry entry(const std::string& action, AccountId account = 0) {
    AuditEntry told;
    told.at = now_ += std::chrono::seconds(1);
    told.account = account;
    told.action = action;
    told.target = "t";
    told.actor = "ada";
    told.actor_account = 7;
    told.actor_user = 8;
    told.token = 9;
    told.address = "10.0.0.1";
    told.request_id = "req";
    told.details = R"({"role":"viewer"})";
    return told;
  }
  Account add_user(const std::string& name) {
    Account account;
    account.username = name;
    account.webhook_secret = "whsec_x";
    account.created_at = now_;
    return made(accounts().add_account(account, 0, {}, entry("user.create")));
  }
  Account add_organization(const std::string& name, AccountId owner) {
    Account account;
    account.type = AccountType::kOrganization;
    account.username = name;
    account.webhook_secret = "whsec_x";
    account.created_at = now_;
    return made(accounts().add_account(account, owner, {}, entry("organization.create")));
  }
  template <class T>
  static T made(Result<T> result) {
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : T{};
  }
  Status join(AccountId user, Role role, const AccountBounds& limits = {},
              const std::optional<MemberExpectation>& expected = std::nullopt) {
    Membership member;
    member.organization = corp_.id;
    member.user = user;
    member.role = role;
    member.created_at = now_;
    return accounts().put_member(member, expected, limits, entry("member.set", corp_.id));
  }
  Status leave(AccountId user, const std::optional<MemberExpectation>& expected = std::nullopt) {
    return accounts().remove_member(corp_.id, user, expected, entry("member.remove", corp_.id));
  }
  void disable(const Account& account) {
    AccountChange change;
    change.disabled_at = std::optional<WallTime>(now_);
    EXPECT_TRUE(accounts().update_account(account.id, change, entry("user.disable")).ok());
  }
  Token new_token(AccountId account, char digit) {
    Token token;
    token.account = account;
    token.name = "ci";
    token.hash = std::string(32, digit);
    token.prefix = "r8_abcd";
    token.created_at = now_;
    return token;
  }
  Result<Token> add(const Token& token, const AccountBounds& limits = {}) {
    return accounts().add_token(token, limits, entry("token.create", token.account));
  }
  TokenOwner owner_of(char digit) {
    return made(catalog().get_token_owner(std::string(32, digit)));
  }
  std::vector<std::string> actions(const AuditFilter& filter) {
    std::vector<std::string> names;
    for (const AuditEntry& told : made(accounts().list_audit(filter))) names.push_back(told.action);
    return names;
  }

  std::optional<AccountsUnderTest> under_test_;
  WallTime now_ = WallTime(std::chrono::seconds(1'800'000'000));
  Account ada_, bob_, corp_;
};

TEST_P(AccountsContract, WhoMakesAnOrganizationOwnsIt) {
  EXPECT_EQ(made(accounts().find_role(corp_.id, ada_.id)), Role::kOwner);
  EXPECT_EQ(made(accounts().find_role(corp_.id, bob_.id)), std::nullopt);
  const auto mine = made(accounts().list_organizations(ada_.id));
  ASSERT_EQ(mine.size(), 1u);
  EXPECT_EQ(mine[0].organization_name, "corp");
  EXPECT_EQ(mine[0].role, Role::kOwner);
  EXPECT_TRUE(made(accounts().list_organizations(bob_.id)).empty());
}

TEST_P(AccountsContract, ATakenNameIsTakenByUsersAndOrganizations) {
  Account account;
  account.type = AccountType::kOrganization;
  account.username = "ada";
  account.created_at = now_;
  EXPECT_TRUE(absl::IsAlreadyExists(
      accounts().add_account(account, bob_.id, {}, entry("organization.create")).status()));
  EXPECT_TRUE(made(accounts().list_organizations(bob_.id)).empty());
}

TEST_P(AccountsContract, MembersAreListedByNamePageByPage) {
  EXPECT_EQ(join(bob_.id, Role::kViewer), absl::OkStatus());
  const auto first = made(accounts().list_members(corp_.id, "", 1));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].username, "ada");
  const auto rest = made(accounts().list_members(corp_.id, "ada", 10));
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].username, "bob");
  EXPECT_EQ(rest[0].role, Role::kViewer);
}

TEST_P(AccountsContract, AnOrganizationKeepsAnOwner) {
  EXPECT_TRUE(absl::IsFailedPrecondition(join(ada_.id, Role::kAdmin)));
  EXPECT_TRUE(absl::IsFailedPrecondition(leave(ada_.id)));
  EXPECT_EQ(join(bob_.id, Role::kOwner), absl::OkStatus());
  EXPECT_EQ(leave(ada_.id), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(leave(ada_.id)));
}

TEST_P(AccountsContract, AnOwnerWhoseAccountIsDisabledIsNone) {
  ASSERT_EQ(join(bob_.id, Role::kOwner), absl::OkStatus());
  disable(bob_);
  EXPECT_TRUE(absl::IsFailedPrecondition(join(ada_.id, Role::kAdmin)));
  EXPECT_TRUE(absl::IsFailedPrecondition(leave(ada_.id)));
  EXPECT_EQ(leave(bob_.id), absl::OkStatus());
}

TEST_P(AccountsContract, AChangeOfAMemberHappensUponWhatItWasAllowedUponOnly) {
  const Account eve = add_user("eve");
  ASSERT_EQ(join(bob_.id, Role::kAdmin), absl::OkStatus());
  const MemberExpectation by_admin{bob_.id, Role::kAdmin, std::nullopt};
  EXPECT_EQ(join(eve.id, Role::kViewer, {}, by_admin), absl::OkStatus());
  EXPECT_TRUE(absl::IsAborted(join(eve.id, Role::kDeveloper, {}, by_admin))) << "she is one now";
  const MemberExpectation of_viewer{bob_.id, Role::kAdmin, Role::kViewer};
  ASSERT_EQ(join(eve.id, Role::kOwner), absl::OkStatus());
  EXPECT_TRUE(absl::IsAborted(join(eve.id, Role::kBilling, {}, of_viewer))) << "an owner";
  EXPECT_TRUE(absl::IsAborted(leave(eve.id, of_viewer)));
  ASSERT_EQ(join(eve.id, Role::kViewer), absl::OkStatus());
  ASSERT_EQ(join(bob_.id, Role::kViewer), absl::OkStatus());
  EXPECT_TRUE(absl::IsAborted(leave(eve.id, of_viewer))) << "by who is no admin any more";
  const MemberExpectation by_operator{0, Role::kOwner, Role::kViewer};
  EXPECT_EQ(leave(eve.id, by_operator), absl::OkStatus());
}

TEST_P(AccountsContract, OnlyUsersAreMembersAndOnlyOfOrganizations) {
  EXPECT_TRUE(absl::IsNotFound(join(corp_.id, Role::kViewer)));
  EXPECT_TRUE(absl::IsNotFound(join(999'999, Role::kViewer)));
  Membership member;
  member.organization = ada_.id;
  member.user = bob_.id;
  member.created_at = now_;
  EXPECT_TRUE(absl::IsNotFound(accounts().put_member(member, {}, {}, entry("member.set"))));
}

TEST_P(AccountsContract, LimitsBoundMembersOrganizationsAndTokens) {
  AccountBounds limits;
  limits.members = 1;
  EXPECT_TRUE(absl::IsResourceExhausted(join(bob_.id, Role::kViewer, limits)));
  EXPECT_EQ(join(bob_.id, Role::kViewer), absl::OkStatus());
  EXPECT_EQ(join(bob_.id, Role::kAdmin, limits), absl::OkStatus()) << "a change is no new member";
  limits = {};
  limits.organizations = 1;
  Account account;
  account.type = AccountType::kOrganization;
  account.username = "second";
  account.created_at = now_;
  EXPECT_TRUE(absl::IsResourceExhausted(
      accounts().add_account(account, ada_.id, limits, entry("organization.create")).status()));
  EXPECT_TRUE(absl::IsNotFound(catalog().get_account_by_username("second").status()));
  limits = {};
  limits.tokens = 1;
  EXPECT_TRUE(add(new_token(ada_.id, '1'), limits).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(add(new_token(ada_.id, '2'), limits).status()));
  TokenChange disable;
  disable.disabled_at = now_;
  const Token first = owner_of('1').token;
  EXPECT_TRUE(accounts().update_token(first.id, disable, entry("token.disable")).ok());
  EXPECT_TRUE(add(new_token(ada_.id, '2'), limits).ok()) << "disabled ones do not count";
}

TEST_P(AccountsContract, ATokenHasScopesAndAMaker) {
  ASSERT_EQ(join(bob_.id, Role::kDeveloper), absl::OkStatus());
  Token token = new_token(corp_.id, '1');
  token.scopes = {Scope::kRead, Scope::kModels, Scope::kAccount};
  token.created_by = bob_.id;
  const Token stored = made(add(token));
  EXPECT_EQ(stored.scopes, token.scopes);
  EXPECT_EQ(stored.creator, "bob");
  const TokenOwner owner = owner_of('1');
  EXPECT_EQ(owner.token.created_by, bob_.id);
  EXPECT_EQ(owner.account.username, "corp");
  EXPECT_EQ(owner.creator_role, Role::kDeveloper);
  EXPECT_TRUE(owner.is_valid(now_));
  EXPECT_EQ(owner.scopes(), (Scopes{Scope::kRead, Scope::kModels})) << "within the role";
  EXPECT_EQ(made(accounts().get_token(stored.id)).creator, "bob");
  EXPECT_EQ(made(catalog().list_tokens(corp_.id)).at(0).creator, "bob");
}

TEST_P(AccountsContract, ATokenStopsWithItsMakerAndItsAccount) {
  ASSERT_EQ(join(bob_.id, Role::kDeveloper), absl::OkStatus());
  Token token = new_token(corp_.id, '1');
  token.created_by = bob_.id;
  ASSERT_TRUE(add(token).ok());
  ASSERT_TRUE(add(new_token(corp_.id, '2')).ok());
  AccountChange disable;
  disable.disabled_at = std::optional<WallTime>(now_);
  ASSERT_TRUE(accounts().update_account(bob_.id, disable, entry("user.disable")).ok());
  EXPECT_FALSE(owner_of('1').is_valid(now_));
  AccountChange enable;
  enable.disabled_at = std::optional<WallTime>();
  EXPECT_EQ(made(accounts().update_account(bob_.id, enable, entry("user.enable"))).disabled_at,
            std::nullopt);
  EXPECT_TRUE(owner_of('1').is_valid(now_));
  ASSERT_EQ(leave(bob_.id), absl::OkStatus());
  EXPECT_FALSE(owner_of('1').is_valid(now_));
  EXPECT_TRUE(owner_of('2').is_valid(now_)) << "the operator's has no maker";
  ASSERT_TRUE(accounts().update_account(corp_.id, disable, entry("organization.disable")).ok());
  EXPECT_FALSE(owner_of('2').is_valid(now_));
}

TEST_P(AccountsContract, WhoComesBackAsAMemberHasNoneOfTheOldTokens) {
  ASSERT_EQ(join(bob_.id, Role::kDeveloper), absl::OkStatus());
  for (const auto& [account, maker, digit] :
       {std::tuple{corp_.id, bob_.id, '1'}, std::tuple{corp_.id, ada_.id, '2'},
        std::tuple{bob_.id, AccountId{0}, '3'}}) {
    Token token = new_token(account, digit);
    token.created_by = maker;
    ASSERT_TRUE(add(token).ok());
  }
  ASSERT_EQ(leave(bob_.id), absl::OkStatus());
  EXPECT_EQ(owner_of('1').token.disabled_at, now_) << "the time of the entry";
  ASSERT_EQ(join(bob_.id, Role::kDeveloper), absl::OkStatus());
  EXPECT_FALSE(owner_of('1').is_valid(now_));
  EXPECT_TRUE(owner_of('2').is_valid(now_)) << "another member's";
  EXPECT_TRUE(owner_of('3').is_valid(now_)) << "the user's own";
}

TEST_P(AccountsContract, WhoLeftMeanwhileMakesNoToken) {
  ASSERT_EQ(join(bob_.id, Role::kDeveloper), absl::OkStatus());
  ASSERT_EQ(leave(bob_.id), absl::OkStatus());
  Token token = new_token(corp_.id, '1');
  token.created_by = bob_.id;
  EXPECT_TRUE(absl::IsAborted(add(token).status()));
  ASSERT_EQ(join(bob_.id, Role::kDeveloper), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(catalog().get_token_owner(token.hash).status()));
  EXPECT_TRUE(add(token).ok());
}

TEST_P(AccountsContract, WhatCannotBeStoredAsTextIsReplaced) {
  const std::string odd("a\0b\xff", 4);
  const std::string kept = "a\uFFFDb\uFFFD";
  Account account;
  account.username = "odd";
  account.name = odd;
  account.created_at = now_;
  AuditEntry told = entry("user.create");
  told.target = odd;
  told.actor = odd;
  account = made(accounts().add_account(account, 0, {}, told));
  EXPECT_EQ(account.name, kept);
  Token token = new_token(account.id, '1');
  token.name = odd;
  EXPECT_EQ(made(add(token)).name, kept);
  AuditFilter filter;
  filter.action = "user.create";
  const AuditEntry newest = made(accounts().list_audit(filter)).at(0);
  EXPECT_EQ(newest.target, kept);
  EXPECT_EQ(newest.actor, kept);
}

TEST_P(AccountsContract, AnAccountHasASecretForItsFilesAndAnOrganizationItsMaker) {
  EXPECT_EQ(ada_.file_secret.size(), 48u) << ada_.file_secret;
  EXPECT_TRUE(ada_.file_secret.starts_with("fsec_"));
  EXPECT_NE(ada_.file_secret, bob_.file_secret);
  EXPECT_EQ(made(catalog().get_account(ada_.id)).file_secret, ada_.file_secret);
  Account account;
  account.type = AccountType::kOrganization;
  account.username = "second";
  account.created_by = ada_.id;
  account.created_at = now_;
  ASSERT_TRUE(accounts().add_account(account, ada_.id, {}, entry("organization.create")).ok());
  EXPECT_EQ(made(catalog().get_account_by_username("second")).created_by, ada_.id);
  EXPECT_EQ(corp_.created_by, 0) << "the operator's";
}

TEST_P(AccountsContract, WhatIsWrongWithANewOrganizationIsSaidInOneOrder) {
  AccountBounds limits;
  limits.organizations = 1;
  const auto make = [&](const std::string& name, AccountId owner) {
    Account account;
    account.type = AccountType::kOrganization;
    account.username = name;
    account.created_at = now_;
    return accounts().add_account(account, owner, limits, entry("organization.create")).status();
  };
  EXPECT_TRUE(absl::IsAlreadyExists(make("corp", ada_.id))) << "though ada is in one already";
  EXPECT_TRUE(absl::IsNotFound(make("second", corp_.id))) << "no user";
  EXPECT_TRUE(absl::IsNotFound(make("second", 999'999)));
  EXPECT_TRUE(absl::IsResourceExhausted(make("second", ada_.id)));
  EXPECT_TRUE(absl::IsNotFound(catalog().get_account_by_username("second").status()));
}

TEST_P(AccountsContract, AnAccountChangesFieldByField) {
  AccountChange change;
  change.name = "Ada L.";
  const Account named = made(accounts().update_account(ada_.id, change, entry("account.update")));
  EXPECT_EQ(named.name, "Ada L.");
  change = {};
  change.github_url = "https://g";
  const Account both = made(accounts().update_account(ada_.id, change, entry("account.update")));
  EXPECT_EQ(both.name, "Ada L.");
  EXPECT_EQ(both.github_url, "https://g");
  EXPECT_TRUE(absl::IsNotFound(
      accounts().update_account(999'999, change, entry("account.update")).status()));
}

TEST_P(AccountsContract, TokensArePagedNewestFirst) {
  ASSERT_EQ(join(bob_.id, Role::kViewer), absl::OkStatus());
  for (const char digit : {'1', '2', '3'}) {
    Token token = new_token(corp_.id, digit);
    token.created_by = digit == '2' ? bob_.id : 0;
    ASSERT_TRUE(add(token).ok());
  }
  const auto page = made(accounts().page_tokens(corp_.id, 0, 0, 2));
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].id, owner_of('3').token.id);
  const auto rest = made(accounts().page_tokens(corp_.id, 0, page[1].id, 2));
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].id, owner_of('1').token.id);
  const auto bobs = made(accounts().page_tokens(corp_.id, bob_.id, 0, 9));
  ASSERT_EQ(bobs.size(), 1u);
  EXPECT_EQ(bobs[0].creator, "bob");
}

TEST_P(AccountsContract, ADisabledTokenStaysDisabledSinceTheFirstTime) {
  const Token token = made(add(new_token(ada_.id, '1')));
  TokenChange change;
  change.disabled_at = now_;
  const WallTime first = now_;
  ASSERT_TRUE(accounts().update_token(token.id, change, entry("token.disable")).ok());
  change.disabled_at = now_ + std::chrono::hours(1);
  change.name = "new";
  const Token again = made(accounts().update_token(token.id, change, entry("token.disable")));
  EXPECT_EQ(again.disabled_at, first);
  EXPECT_EQ(again.name, "new");
  EXPECT_TRUE(
      absl::IsNotFound(accounts().update_token(999'999, change, entry("token.disable")).status()));
}

TEST_P(AccountsContract, AnEntryComesBackAsItWasWritten) {
  AuditEntry told = entry("model.create", corp_.id);
  told.outcome = AuditOutcome::kRefused;
  ASSERT_EQ(accounts().append_audit(told), absl::OkStatus());
  AuditFilter filter;
  filter.account = corp_.id;
  filter.limit = 1;
  const auto page = made(accounts().list_audit(filter));
  ASSERT_EQ(page.size(), 1u);
  const AuditEntry& read = page[0];
  EXPECT_EQ(read.at, told.at);
  EXPECT_EQ(read.account_name, "corp");
  EXPECT_EQ(read.action, "model.create");
  EXPECT_EQ(read.target, "t");
  EXPECT_EQ(read.outcome, AuditOutcome::kRefused);
  EXPECT_EQ(read.actor, "ada");
  EXPECT_EQ(read.actor_account, 7);
  EXPECT_EQ(read.actor_user, 8);
  EXPECT_EQ(read.token, 9);
  EXPECT_EQ(read.address, "10.0.0.1");
  EXPECT_EQ(read.request_id, "req");
  EXPECT_EQ(read.details, R"({"role":"viewer"})");
}

TEST_P(AccountsContract, TheLogIsFilteredAndPaged) {
  ASSERT_EQ(accounts().append_audit(entry("hardware.set")), absl::OkStatus());
  ASSERT_EQ(join(bob_.id, Role::kViewer), absl::OkStatus());
  ASSERT_EQ(accounts().append_audit(entry("model.create", corp_.id)), absl::OkStatus());
  EXPECT_EQ(actions({}).front(), "model.create");
  AuditFilter filter;
  filter.account = corp_.id;
  EXPECT_EQ(actions(filter),
            (std::vector<std::string>{"model.create", "member.set", "organization.create"}));
  filter.action = "member.";
  EXPECT_EQ(actions(filter), std::vector<std::string>{"member.set"});
  filter.action = "member";
  EXPECT_TRUE(actions(filter).empty()) << "without a dot it is the whole action";
  filter.action = "";
  filter.before = now_;
  EXPECT_EQ(actions(filter), (std::vector<std::string>{"member.set", "organization.create"}));
  filter.before.reset();
  filter.after = now_;
  EXPECT_EQ(actions(filter), std::vector<std::string>{"model.create"});
  filter.after.reset();
  filter.limit = 1;
  filter.below_id = made(accounts().list_audit(filter)).at(0).id;
  EXPECT_EQ(actions(filter), std::vector<std::string>{"member.set"});
  filter = {};
  filter.actor = "nobody";
  EXPECT_TRUE(actions(filter).empty());
  filter.actor = "ada";
  filter.target = "other";
  EXPECT_TRUE(actions(filter).empty());
}

TEST_P(AccountsContract, WhatDidNotHappenIsNotTold) {
  AuditFilter filter;
  const std::size_t before = actions(filter).size();
  EXPECT_FALSE(join(ada_.id, Role::kAdmin).ok());
  EXPECT_FALSE(accounts().update_token(999'999, {}, entry("token.update")).ok());
  EXPECT_FALSE(accounts().update_account(999'999, {}, entry("account.update")).ok());
  EXPECT_EQ(actions(filter).size(), before);
}

TEST_P(AccountsContract, OldEntriesAndDeadTokensAreForgotten) {
  const Token dead = made(add(new_token(ada_.id, '1')));
  TokenChange disable;
  disable.disabled_at = now_;
  ASSERT_TRUE(accounts().update_token(dead.id, disable, entry("token.disable")).ok());
  ASSERT_TRUE(add(new_token(ada_.id, '2')).ok());
  const WallTime limit = now_ + std::chrono::hours(1);
  now_ = limit;
  ASSERT_EQ(accounts().append_audit(entry("model.create")), absl::OkStatus());
  while (made(accounts().forget_access(limit, 2)) > 0) {
  }
  EXPECT_EQ(actions({}), std::vector<std::string>{"model.create"});
  EXPECT_TRUE(absl::IsNotFound(accounts().get_token(dead.id).status()));
  EXPECT_EQ(made(catalog().list_tokens(ada_.id)).size(), 1u);
}

}  // namespace mimeo::store
