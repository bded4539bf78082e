#include "common/base/time_format.h"

#include <gtest/gtest.h>

namespace mimeo {
namespace {

TEST(TimeFormat, AlwaysShowsSixFractionalDigitsInUtc) {
  EXPECT_EQ(to_rfc3339(WallTime{std::chrono::seconds{0}}), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(to_rfc3339(WallTime{std::chrono::microseconds{1'713'784'515'329'000}}),
            "2024-04-22T11:15:15.329000Z");
}

TEST(TimeFormat, ReadsOffsetsFractionsAndBareDates) {
  const WallTime noon = parse_rfc3339("2026-03-01T12:00:00Z").value();
  EXPECT_EQ(parse_rfc3339("2026-03-01T14:00:00+02:00").value(), noon);
  EXPECT_EQ(parse_rfc3339("2026-03-01T12:00:00.000001Z").value(),
            noon + std::chrono::microseconds(1));
  EXPECT_EQ(parse_rfc3339("2026-03-01").value(), noon - std::chrono::hours(12));
  EXPECT_FALSE(parse_rfc3339("yesterday").ok());
  EXPECT_FALSE(parse_rfc3339("infinite-future").ok());
}

}  // namespace
}  // namespace mimeo
