#include "control-plane/http/preferences.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

TEST(Prefer, WaitAloneMeansAlmostAMinute) {
  const auto wait = parse_prefer("wait");
  ASSERT_TRUE(wait.has_value());
  EXPECT_EQ(wait->limit, kLongestWait);
  EXPECT_EQ(wait->applied, "wait");
}

TEST(Prefer, NumbersAreTakenAndClamped) {
  EXPECT_EQ(parse_prefer("wait=10")->limit, 10s);
  EXPECT_EQ(parse_prefer("wait=10")->applied, "wait=10");
  EXPECT_EQ(parse_prefer("wait=0")->applied, "wait=1");
  EXPECT_EQ(parse_prefer("wait=60")->limit, kLongestWait);
  EXPECT_EQ(parse_prefer("wait=86400")->applied, "wait=60");
  EXPECT_EQ(parse_prefer("wait=99999999999999999999999")->applied, "wait=60");
}

TEST(Prefer, SpellingsOfTheStandardAreUnderstood) {
  EXPECT_EQ(parse_prefer("respond-async, WAIT = 5 ; foo=bar")->limit, 5s);
  EXPECT_EQ(parse_prefer("wait=\"7\"")->limit, 7s);
}

TEST(Prefer, EverythingElseIsIgnored) {
  for (const char* text : {"", "respond-async", "waiting", "wait=", "wait=abc", "wait=-5",
                           "wait=1.5", ",,,", "=", "return=minimal"}) {
    EXPECT_FALSE(parse_prefer(text).has_value()) << text;
  }
}

TEST(CancelAfter, UnderstandsTheDocumentedForms) {
  EXPECT_EQ(*parse_cancel_after("30"), 30s);
  EXPECT_EQ(*parse_cancel_after("30s"), 30s);
  EXPECT_EQ(*parse_cancel_after("90s"), 90s);
  EXPECT_EQ(*parse_cancel_after("5m"), 5min);
  EXPECT_EQ(*parse_cancel_after("2h30m"), 150min);
  EXPECT_EQ(*parse_cancel_after("1h30m45s"), 1h + 30min + 45s);
  EXPECT_EQ(*parse_cancel_after(" 24h "), 24h);
}

TEST(CancelAfter, RefusesEverythingElse) {
  for (const char* text : {"", "s", "4", "4s", "0", "-5", "25h", "1d", "5 m", "30s5m", "5m5m",
                           "1h5", "1.5h", "abc", "99999999999h", "1h30m45s1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(parse_cancel_after(text).status())) << text;
  }
}

}  // namespace
}  // namespace mimeo::control
