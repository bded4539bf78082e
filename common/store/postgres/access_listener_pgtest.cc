#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "common/store/postgres/access_listener.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

class AccessListenerTest : public testing::Test {
 protected:
  AccessListenerTest() {
    listener_.start([this](std::optional<AccountId> id) {
      const std::scoped_lock lock(mutex_);
      heard_.push_back(id);
      changed_.notify_all();
    });
    wait_for([](const auto& heard) { return !heard.empty() && !heard.front(); });
    clear();
  }
  ~AccessListenerTest() override { listener_.stop(); }

  using Heard = std::vector<std::optional<AccountId>>;
  void wait_for(const std::function<bool(const Heard&)>& is_there) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(30), [&] { return is_there(heard_); }));
  }
  void wait_for_account(AccountId id) {
    wait_for([id](const Heard& heard) {
      return std::find(heard.begin(), heard.end(), std::optional<AccountId>(id)) != heard.end();
    });
    clear();
  }
  void clear() {
    const std::scoped_lock lock(mutex_);
    heard_.clear();
  }
  Heard heard() {
    const std::scoped_lock lock(mutex_);
    return heard_;
  }
  Account add(const std::string& name, AccountType type) {
    Account account;
    account.username = name;
    account.type = type;
    return *store_.create_account(account);
  }

  const std::string database_ = testing_support::PrivatePostgres::shared().make_database();
  PostgresStore store_{{.conninfo = database_}};
  std::mutex mutex_;
  std::condition_variable changed_;
  Heard heard_;
  AccessListener listener_{{.conninfo = database_}};
};

TEST_F(AccessListenerTest, HearsOfTokensMembersAndAccounts) {
  const Account user = add("ada", AccountType::kUser);
  const Account corp = add("corp", AccountType::kOrganization);
  Token token;
  token.account = user.id;
  token.hash = std::string(32, 'x');
  token = *store_.create_token(token);
  TokenChange disabled;
  disabled.disabled_at = WallTime(std::chrono::seconds(5));
  ASSERT_TRUE(store_.update_token(token.id, disabled, {}).ok());
  wait_for_account(user.id);
  Membership member;
  member.organization = corp.id;
  member.user = user.id;
  ASSERT_TRUE(store_.put_member(member, {}, {}, {}).ok());
  wait_for_account(corp.id);
  AccountChange change;
  change.disabled_at = std::optional<WallTime>(WallTime(std::chrono::seconds(5)));
  ASSERT_TRUE(store_.update_account(user.id, change, {}).ok());
  wait_for_account(user.id);
}

TEST_F(AccessListenerTest, UseAndNamesAreNoNews) {
  const Account user = add("ada", AccountType::kUser);
  const Account other = add("bob", AccountType::kUser);
  Token token;
  token.account = user.id;
  token.hash = std::string(32, 'x');
  token = *store_.create_token(token);
  ASSERT_TRUE(store_.touch_token(token.id, WallTime(std::chrono::seconds(5))).ok());
  AccountChange change;
  change.name = "Ada";
  ASSERT_TRUE(store_.update_account(user.id, change, {}).ok());
  change.disabled_at = std::optional<WallTime>(WallTime(std::chrono::seconds(5)));
  ASSERT_TRUE(store_.update_account(other.id, change, {}).ok());
  wait_for([&](const Heard& heard) { return !heard.empty(); });
  EXPECT_EQ(heard(), Heard{other.id}) << "notifications come in the order of the commits";
}

TEST_F(AccessListenerTest, AfterALostConnectionAnyMayHaveChanged) {
  testing_support::PrivatePostgres::shared().restart();
  wait_for([](const Heard& heard) { return !heard.empty() && !heard.front(); });
  clear();
  Account account;
  account.username = "ada";
  auto made = store_.create_account(account);
  for (int i = 0; i < 10 && !made.ok(); ++i) made = store_.create_account(account);
  ASSERT_TRUE(made.ok()) << made.status();
  AccountChange change;
  change.disabled_at = std::optional<WallTime>(WallTime(std::chrono::seconds(5)));
  ASSERT_TRUE(store_.update_account(made->id, change, {}).ok());
  wait_for_account(made->id);
}

}  // namespace
}  // namespace mimeo::store
