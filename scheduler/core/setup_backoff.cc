#include "scheduler/core/setup_backoff.h"

#include <algorithm>
#include <array>

namespace mimeo::scheduler {
namespace {

using std::chrono::seconds;
constexpr std::array<seconds, 4> kPauses{seconds{10}, seconds{30}, seconds{120}, seconds{300}};

seconds pause_after(int failures) {
  const auto index = static_cast<std::size_t>(std::max(1, failures) - 1);
  return kPauses[std::min(index, kPauses.size() - 1)];
}

}  // namespace

const SetupBackoff::Record* SetupBackoff::find(const VersionId& version,
                                               const std::string& sku) const {
  const auto it = records_.find({version, sku});
  return it == records_.end() ? nullptr : &it->second;
}

void SetupBackoff::setup_failed(const VersionId& version, const std::string& sku, SteadyTime now,
                                std::string reason) {
  Record& record = records_[{version, sku}];
  ++record.failures;
  record.reason = std::move(reason);
  record.next_try = now + (record.failures >= kBrokenAfter
                               ? std::chrono::milliseconds(broken_for_)
                               : std::chrono::milliseconds(pause_after(record.failures)));
}

void SetupBackoff::crashed_early(const VersionId& version, const std::string& sku, SteadyTime now,
                                 std::string reason) {
  Record& record = records_[{version, sku}];
  record.failures = 0;  // It was ready: setup works.
  ++record.crashes;
  record.reason = std::move(reason);
  // The first replacement comes at once: one crash is an accident.
  record.next_try = record.crashes == 1 ? now : now + pause_after(record.crashes - 1);
}

void SetupBackoff::became_ready(const VersionId& version, const std::string& sku) {
  const auto it = records_.find({version, sku});
  if (it == records_.end()) return;
  it->second.failures = 0;
  it->second.next_try = {};
  if (it->second.crashes == 0) records_.erase(it);
}

void SetupBackoff::reset(const VersionId& version, const std::string& sku) {
  records_.erase({version, sku});
}

bool SetupBackoff::may_start(const VersionId& version, const std::string& sku,
                             SteadyTime now) const {
  const Record* record = find(version, sku);
  return record == nullptr || now >= record->next_try;
}

std::optional<SteadyTime> SetupBackoff::next_try(const VersionId& version,
                                                 const std::string& sku) const {
  const Record* record = find(version, sku);
  if (record == nullptr) return std::nullopt;
  return record->next_try;
}

std::optional<std::string> SetupBackoff::broken_reason(const VersionId& version,
                                                       const std::string& sku,
                                                       SteadyTime now) const {
  const Record* record = find(version, sku);
  if (record == nullptr || record->failures < kBrokenAfter || now >= record->next_try) {
    return std::nullopt;
  }
  return record->reason;
}

int SetupBackoff::failures(const VersionId& version, const std::string& sku) const {
  const Record* record = find(version, sku);
  return record == nullptr ? 0 : record->failures;
}

std::string SetupBackoff::last_reason(const VersionId& version, const std::string& sku) const {
  const Record* record = find(version, sku);
  return record == nullptr ? std::string() : record->reason;
}

}  // namespace mimeo::scheduler
