// Which partitions each partitioned table has: pure arithmetic on names and bounds. What is done
// with them is postgres_maintenance.cc's business.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"

namespace mimeo::store {

struct PartitionedTable {
  const char* name;
  std::chrono::hours step;  // Divides a day.
  bool is_by_id;            // By time-ordered id, else by day.
};

inline constexpr PartitionedTable kPartitionedTables[] = {
    {"predictions", std::chrono::hours{24}, true},
    {"results", std::chrono::hours{24}, true},
    {"payloads", std::chrono::hours{6}, true},
    {"idempotency", std::chrono::hours{24}, false},
    {"webhook_attempts", std::chrono::hours{6}, true},
};

// One dated partition: [from, to).
struct Partition {
  std::string name;  // "payloads_20260301_06"
  WallTime from;
  WallTime to;
  // The bounds as the partition's definition and queries spell them.
  [[nodiscard]] std::string low(const PartitionedTable& table) const;
  [[nodiscard]] std::string high(const PartitionedTable& table) const;
};

// Those that cover [from, to], in order.
[[nodiscard]] std::vector<Partition> partitions_between(const PartitionedTable& table,
                                                        WallTime from, WallTime to);

// The partition of this name; nullopt when it is none of ours ("payloads_default").
[[nodiscard]] std::optional<Partition> parse_partition(const PartitionedTable& table,
                                                       std::string_view name);

}  // namespace mimeo::store
