#include "common/store/postgres/partitions.h"

#include <absl/strings/str_format.h>

#include <cstdio>

#include "common/base/ids.h"
#include "common/store/postgres/codec.h"

namespace mimeo::store {
namespace {

using std::chrono::floor;

Partition partition_at(const PartitionedTable& table, WallTime from) {
  const auto day = floor<std::chrono::days>(from);
  const std::chrono::year_month_day date(day);
  Partition p;
  p.name = absl::StrFormat("%s_%04d%02d%02d", table.name, static_cast<int>(date.year()),
                           static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  if (table.step < std::chrono::hours{24}) {
    const auto hour = std::chrono::duration_cast<std::chrono::hours>(from - day).count();
    p.name += absl::StrFormat("_%02d", hour);
  }
  p.from = from;
  p.to = from + table.step;
  return p;
}

std::string bound(const PartitionedTable& table, WallTime at) {
  if (table.is_by_id) return Uuid::lowest_at(at).hex();
  return sql_time(at).substr(0, 10);  // The date.
}

}  // namespace

std::string Partition::low(const PartitionedTable& table) const { return bound(table, from); }
std::string Partition::high(const PartitionedTable& table) const { return bound(table, to); }

std::vector<Partition> partitions_between(const PartitionedTable& table, WallTime from,
                                          WallTime to) {
  std::vector<Partition> all;
  const auto day = floor<std::chrono::days>(from);
  WallTime at = day + (from - day) / table.step * table.step;
  for (; at <= to; at += table.step) all.push_back(partition_at(table, at));
  return all;
}

std::optional<Partition> parse_partition(const PartitionedTable& table, std::string_view name) {
  const std::string prefix = std::string(table.name) + "_";
  if (!name.starts_with(prefix)) return std::nullopt;
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  int hour = 0;
  const std::string date(name.substr(prefix.size()));
  const int found = std::sscanf(date.c_str(), "%4d%2u%2u_%2d", &year, &month, &day, &hour);
  if (found < 3) return std::nullopt;
  const std::chrono::year_month_day parsed{std::chrono::year(year), std::chrono::month(month),
                                           std::chrono::day(day)};
  if (!parsed.ok()) return std::nullopt;
  Partition p =
      partition_at(table, WallTime(std::chrono::sys_days(parsed)) + std::chrono::hours(hour));
  if (p.name != name) return std::nullopt;
  return p;
}

}  // namespace mimeo::store
