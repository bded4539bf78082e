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

TEST(TimeFormat, ReadsTimesAsProgramsWriteThem) {
  const WallTime noon = parse_rfc3339("2026-03-01T12:00:00Z").value();
  for (const char* text :
       {"2026-03-01T12:00:00Z", "2026-03-01t12:00:00z", "2026-03-01T12:00:00",
        "2026-03-01 12:00:00", "2026-03-01T12:00", "2026-03-01T12", "2026-03-01T12:00:00.000",
        "2026-03-01T12:00:00,0", "2026-03-01T14:00:00+02:00", "2026-03-01T14:00:00+0200",
        "2026-03-01T14:00:00+02", "2026-03-01T14:00:00 02:00", "2026-03-01 14:00:00 0200",
        "2026-03-01 14:00:00 +0200", "2026-03-01 14:00:00  02:00", "2026-03-01 10:00:00 -0200",
        "2026-03-01T10:00-02:00", "2026-03-01 12:00:00 Z"}) {
    const Result<WallTime> at = parse_iso8601(text);
    ASSERT_TRUE(at.ok()) << text << ": " << at.status();
    EXPECT_EQ(*at, noon) << text << " is " << to_rfc3339(*at);
  }
  EXPECT_EQ(parse_iso8601("2026-03-01").value(), noon - std::chrono::hours(12));
  EXPECT_EQ(parse_iso8601("2026-03-01T12:00:00.000001").value(),
            noon + std::chrono::microseconds(1));
}

TEST(TimeFormat, RefusesWhatIsNoTime) {
  for (const char* text : {"",
                           "yesterday",
                           "infinite-future",
                           "2026-03-01T",
                           "2026-03-01 ",
                           "2026-03-01T1",
                           "2026-03-01T12:00:00.",
                           "2026-03-01T12:00.5",
                           "2026-03-01T12:00:00 ",
                           "2026-13-01T12:00",
                           "2026-02-30T12:00",
                           "2026-03-01T25:00",
                           "2026-03-01T12:00:0002:00",
                           "2026-03-01T12:00:00+2",
                           "2026-03-01T12:00:00+-2:00",
                           "2026-03-01T12:00:00 UTC",
                           "2026-03-01T12:00:00Zulu",
                           "2026-03-01/12:00",
                           "26-03-01T12:00",
                           "+2026-03-01T12:00"}) {
    EXPECT_FALSE(parse_iso8601(text).ok()) << text;
  }
}

}  // namespace
}  // namespace mimeo
