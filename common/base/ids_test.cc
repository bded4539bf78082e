#include "common/base/ids.h"

#include <gtest/gtest.h>

#include <unordered_set>

namespace mimeo {
namespace {

TEST(Ids, BothSpellingsReadBackToTheSameId) {
  SystemClock clock;
  SeededRandom random(7);
  IdGenerator ids(clock, random);
  for (int i = 0; i < 1000; ++i) {
    const Uuid id = ids.next();
    ASSERT_EQ(id.str().size(), 26u);
    ASSERT_EQ(Uuid::parse(id.str()).value(), id);
    ASSERT_EQ(Uuid::parse_hex(id.hex()).value(), id);
  }
}

TEST(Ids, AreStrictlyIncreasingInBothSpellingsEvenWhenTheClockStandsOrGoesBack) {
  FakeClock clock;
  SeededRandom random(7);
  IdGenerator ids(clock, random);
  Uuid last = ids.next();
  for (int i = 0; i < 20'000; ++i) {
    if (i % 5000 == 0) clock.advance(std::chrono::milliseconds(i % 2 == 0 ? 3 : -3));
    const Uuid id = ids.next();
    ASSERT_LT(last.str(), id.str());
    ASSERT_LT(last.hex(), id.hex());
    last = id;
  }
}

TEST(Ids, RememberTheMillisecondOfTheirCreation) {
  FakeClock clock;
  SeededRandom random(7);
  IdGenerator ids(clock, random);
  const Uuid id = ids.next();
  EXPECT_EQ(id.created_at(), clock.now());
  EXPECT_LE(Uuid::lowest_at(clock.now()), id);
  EXPECT_GT(Uuid::lowest_at(clock.now() + std::chrono::milliseconds(1)), id);
}

TEST(Ids, RefuseWhatIsNoId) {
  EXPECT_FALSE(Uuid::parse("").ok());
  EXPECT_FALSE(Uuid::parse("hdwst0bb05rgp0cf0p29mzk2a").ok());   // 25.
  EXPECT_FALSE(Uuid::parse("0dwst0bb05rgp0cf0p29mzk2al").ok());  // An l.
  EXPECT_FALSE(Uuid::parse("zdwst0bb05rgp0cf0p29mzk2am").ok());  // More than 128 bits.
  EXPECT_FALSE(Uuid::parse("0DWST0BB05RGP0CF0P29MZK2AM").ok());
  EXPECT_FALSE(Uuid::parse_hex("0190163d-8694-739b-aea5-966c26f8ad9").ok());
  EXPECT_FALSE(VersionId::parse(std::string(63, 'a')).ok());
  EXPECT_FALSE(VersionId::parse(std::string(64, 'A')).ok());
}

TEST(Ids, VersionIdsKeepTheirDigits) {
  const std::string hex = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b";
  EXPECT_EQ(VersionId::parse(hex).value().hex(), hex);
  EXPECT_EQ(VersionId::from_bytes(VersionId::parse(hex).value().raw()).value().hex(), hex);
}

}  // namespace
}  // namespace mimeo
