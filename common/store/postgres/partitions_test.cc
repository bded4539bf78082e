#include "common/store/postgres/partitions.h"

#include <gtest/gtest.h>

#include "common/base/time_format.h"

namespace mimeo::store {
namespace {

constexpr const PartitionedTable& kPredictions = kPartitionedTables[0];
constexpr const PartitionedTable& kPayloads = kPartitionedTables[2];
constexpr const PartitionedTable& kIdempotency = kPartitionedTables[3];

WallTime at(const char* text) { return *parse_rfc3339(text); }

TEST(Partitions, CoverAPeriodWithoutGaps) {
  const auto all =
      partitions_between(kPayloads, at("2026-02-28T17:59:59Z"), at("2026-03-01T06:00:00Z"));
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].name, "payloads_20260228_12");
  EXPECT_EQ(all[1].name, "payloads_20260228_18");
  EXPECT_EQ(all[2].name, "payloads_20260301_00");
  EXPECT_EQ(all[3].name, "payloads_20260301_06");
  for (std::size_t i = 1; i < all.size(); ++i) EXPECT_EQ(all[i].from, all[i - 1].to);
}

TEST(Partitions, AreFoundByTheirName) {
  for (const PartitionedTable* table : {&kPredictions, &kPayloads, &kIdempotency}) {
    for (const Partition& p :
         partitions_between(*table, at("2026-12-31T00:00:00Z"), at("2027-01-01T12:00:00Z"))) {
      const auto parsed = parse_partition(*table, p.name);
      ASSERT_TRUE(parsed.has_value()) << p.name;
      EXPECT_EQ(parsed->from, p.from);
      EXPECT_EQ(parsed->to, p.to);
    }
  }
  EXPECT_FALSE(parse_partition(kPredictions, "predictions_default").has_value());
  EXPECT_FALSE(parse_partition(kPredictions, "predictions_20261399").has_value());
  EXPECT_FALSE(parse_partition(kPayloads, "payloads_20260301").has_value());
  EXPECT_FALSE(parse_partition(kPayloads, "payloads_20260301_05").has_value() &&
               parse_partition(kPayloads, "payloads_20260301_05")->name != "payloads_20260301_05");
}

TEST(Partitions, HaveBoundsByIdOrByDay) {
  const Partition day =
      partitions_between(kIdempotency, at("2026-03-01T05:00:00Z"), at("2026-03-01T06:00:00Z"))[0];
  EXPECT_EQ(day.low(kIdempotency), "2026-03-01");
  EXPECT_EQ(day.high(kIdempotency), "2026-03-02");
  const Partition ids =
      partitions_between(kPredictions, at("2026-03-01T05:00:00Z"), at("2026-03-01T06:00:00Z"))[0];
  EXPECT_LT(ids.low(kPredictions), ids.high(kPredictions));
}

}  // namespace
}  // namespace mimeo::store
