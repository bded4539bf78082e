#include "worker/launch/user.h"

#include <gtest/gtest.h>

namespace mimeo::worker {
namespace {

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "broken\n"
    "app:x:1000:1001::/home/app:/bin/sh\n";
constexpr char kGroup[] =
    "root:x:0:\n"
    "users:x:100:app,other\n"
    "video:x:44:app\n";

TEST(FindUser, NobodyNamedIsRoot) {
  const auto user = find_user("", kPasswd, kGroup);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 0U);
  EXPECT_EQ(user->home, "/root");
  EXPECT_EQ(find_user("", "", "")->home, "/");
}

TEST(FindUser, ANameBringsItsGroupsAndItsHome) {
  for (const char* who : {"app", "1000"}) {
    const auto user = find_user(who, kPasswd, kGroup);
    ASSERT_TRUE(user.ok()) << user.status();
    EXPECT_EQ(user->uid, 1000U);
    EXPECT_EQ(user->gid, 1001U);
    EXPECT_EQ(user->groups, (std::vector<gid_t>{100, 44}));
    EXPECT_EQ(user->home, "/home/app");
  }
}

TEST(FindUser, AGroupThatIsNamedIsTheOnlyOne) {
  const auto user = find_user("app:users", kPasswd, kGroup);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->gid, 100U);
  EXPECT_TRUE(user->groups.empty());
}

TEST(FindUser, NumbersNeedNoEntryAndNamesDo) {
  const auto user = find_user("7:8", kPasswd, kGroup);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 7U);
  EXPECT_EQ(user->gid, 8U);
  EXPECT_TRUE(absl::IsInvalidArgument(find_user("nobody", kPasswd, kGroup).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(find_user("app:none", kPasswd, kGroup).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(find_user("4294967295", kPasswd, kGroup).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(find_user("-1", kPasswd, kGroup).status()));
}

}  // namespace
}  // namespace mimeo::worker
