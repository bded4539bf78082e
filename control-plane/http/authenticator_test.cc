#include "control-plane/http/authenticator.h"

#include <gtest/gtest.h>

#include <future>

#include "common/crypto/crypto.h"
#include "common/store/memory/memory_store.h"
#include "control-plane/testing/test_loop.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest() {
    store::Account account;
    account.username = "acme";
    account_ = *store_.create_account(account);
    token_ = add_token("secret", std::nullopt);
  }
  store::Token add_token(std::string_view text, std::optional<WallTime> expires_at) {
    store::Token token;
    token.account = account_.id;
    token.hash = crypto::sha256(text);
    token.expires_at = expires_at;
    return *store_.create_token(token);
  }
  bool disable() {
    store::TokenChange change;
    change.disabled_at = clock_.now();
    return store_.update_token(token_.id, change, {}).ok();
  }
  // The account's name, or the status word.
  std::string who(const std::string& token) {
    auto owner = loop_.run(authenticator_.authenticate(token));
    if (!owner.ok()) return absl::StatusCodeToString(owner.status().code());
    return (*owner)->account.username;
  }

  TestLoop loop_;
  FakeClock clock_;
  store::MemoryStore store_{clock_};
  BlockingPool pool_{1};  // Notes uses of tokens, also when the test is over.
  store::Account account_;
  store::Token token_;
  Authenticator authenticator_{store_, pool_, clock_};
};

TEST_F(AuthenticatorTest, KnowsTheOwnerOfAToken) {
  EXPECT_EQ(who("secret"), "acme");
  EXPECT_EQ(who("secret"), "acme");
  EXPECT_EQ(who("other"), "UNAUTHENTICATED");
  EXPECT_EQ(who(std::string(10'000, 'x')), "UNAUTHENTICATED");
}

TEST_F(AuthenticatorTest, ADisabledTokenIsRefusedWithinASecond) {
  EXPECT_EQ(who("secret"), "acme");
  ASSERT_TRUE(disable());
  clock_.advance(1s);
  EXPECT_EQ(who("secret"), "UNAUTHENTICATED");
}

TEST_F(AuthenticatorTest, NobodyGetsWhatIsOlderThanASecondWhileItIsReadAgain) {
  EXPECT_EQ(who("secret"), "acme");
  ASSERT_TRUE(disable());
  clock_.advance(1s);
  auto first = loop_.start(authenticator_.authenticate("secret"));
  auto second = loop_.start(authenticator_.authenticate("secret"));
  EXPECT_FALSE(loop_.finish(first).ok());
  EXPECT_FALSE(loop_.finish(second).ok());
}

TEST_F(AuthenticatorTest, TheSecondBeginsWithTheRead) {
  std::promise<void> gate;
  pool_.post([opened = gate.get_future().share()] { opened.wait(); });
  auto slow = loop_.start(authenticator_.authenticate("secret"));
  loop_.settle();
  clock_.advance(900ms);
  gate.set_value();
  ASSERT_TRUE(loop_.finish(slow).ok());
  ASSERT_TRUE(disable());
  clock_.advance(100ms);
  auto other = loop_.start(authenticator_.authenticate("secret"));
  EXPECT_EQ(who("secret"), "UNAUTHENTICATED");
  EXPECT_FALSE(loop_.finish(other).ok());
}

TEST_F(AuthenticatorTest, WhatIsForgottenIsReadAgainAtOnce) {
  EXPECT_EQ(who("secret"), "acme");
  ASSERT_TRUE(disable());
  authenticator_.forget(account_.id + 1);
  EXPECT_EQ(who("secret"), "acme") << "another account";
  authenticator_.forget(account_.id);
  EXPECT_EQ(who("secret"), "UNAUTHENTICATED");
}

TEST_F(AuthenticatorTest, AReadThatAChangeOvertookIsNotRemembered) {
  auto early = loop_.start(authenticator_.authenticate("secret"));
  loop_.settle();
  authenticator_.forget(account_.id);
  ASSERT_TRUE(loop_.finish(early).ok());
  ASSERT_TRUE(disable());
  EXPECT_EQ(who("secret"), "UNAUTHENTICATED");
}

TEST_F(AuthenticatorTest, ADisabledAccountHasNoValidToken) {
  EXPECT_EQ(who("secret"), "acme");
  store::AccountChange change;
  change.disabled_at = std::optional<WallTime>(clock_.now());
  ASSERT_TRUE(store_.update_account(account_.id, change, {}).ok());
  authenticator_.forget(std::nullopt);
  EXPECT_EQ(who("secret"), "UNAUTHENTICATED");
}

TEST_F(AuthenticatorTest, AnExpiredTokenIsRefusedAtOnce) {
  add_token("short", clock_.now() + 500ms);
  EXPECT_EQ(who("short"), "acme");
  clock_.advance(500ms);
  EXPECT_EQ(who("short"), "UNAUTHENTICATED");
}

TEST_F(AuthenticatorTest, ATokenThatWasJustMadeWorksWithinASecond) {
  EXPECT_EQ(who("new"), "UNAUTHENTICATED");
  add_token("new", std::nullopt);
  clock_.advance(1s);
  EXPECT_EQ(who("new"), "acme");
}

TEST(TokenIn, BothSchemesCount) {
  EXPECT_EQ(token_in("Bearer abc"), "abc");
  EXPECT_EQ(token_in("token  abc "), "abc");
  EXPECT_EQ(token_in("TOKEN abc"), "abc");
  for (const char* text : {"", "Bearer", "Bearer ", "Basic abc", "abc"}) {
    EXPECT_FALSE(token_in(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace mimeo::control
