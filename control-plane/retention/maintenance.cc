#include "control-plane/retention/maintenance.h"

#include <utility>

#include "common/async/task_group.h"
#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::hours kPartitionsAhead{48};
constexpr std::chrono::hours kEvery{1};
constexpr milliseconds kReplicaTtl{5000};
constexpr milliseconds kRenewEvery{1000};
constexpr std::size_t kEntriesPerSweep = 1000;

}  // namespace

boost::asio::awaitable<Status> Maintenance::prepare() {
  auto work = [this] { return parts_.store.make_partitions(parts_.clock.now(), kPartitionsAhead); };
  const Status status = co_await parts_.pool.run(std::move(work));
  co_return with_context(status, "making partitions");
}

boost::asio::awaitable<void> Maintenance::run() {
  for (;;) {
    auto work = [this] {
      const WallTime now = parts_.clock.now();
      const Status made = parts_.store.make_partitions(now, kPartitionsAhead);
      if (!made.ok()) log::error("making partitions: {}", made.ToString());
      const Result<std::int32_t> dropped = parts_.store.drop_expired(now, keep_);
      if (!dropped.ok()) {
        log::warn("dropping old partitions: {}", dropped.status().ToString());
      } else if (*dropped > 0) {
        log::info("dropped old partitions count={}", *dropped);
      }
      const Status forgotten = sweep_audit();
      if (!forgotten.ok()) log::warn("forgetting old audit entries: {}", forgotten.ToString());
      const Status trimmed = sweep_webhooks();
      if (!trimmed.ok()) log::warn("trimming the log of webhooks: {}", trimmed.ToString());
      return made;
    };
    co_await parts_.pool.run(std::move(work));
    const bool goes_on = co_await sleep_for(kEvery);
    if (!goes_on) co_return;
  }
}

// On a pool thread, a bounded number at a time, so that no statement takes long.
Status Maintenance::sweep_audit() {
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(
        const std::size_t count,
        parts_.accounts.forget_access(parts_.clock.now() - keep_audit_, kEntriesPerSweep));
    if (count < kEntriesPerSweep) return absl::OkStatus();
  }
}

// On a pool thread.
Status Maintenance::sweep_webhooks() {
  const WallTime before = parts_.clock.now() - keep_webhooks_.age;
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const std::int64_t removed,
                           parts_.webhook_log.sweep_webhooks(before, keep_webhooks_.per_account));
    if (removed == 0) return absl::OkStatus();
  }
}

boost::asio::awaitable<void> Maintenance::keep_listed(store::Replica replica) {
  bool is_listed = false;
  for (;;) {
    auto work = [this, &replica] { return parts_.fleet.heartbeat_replica(replica, kReplicaTtl); };
    const Status status = co_await parts_.pool.run(std::move(work));
    if (!status.ok() && is_listed) log::warn("renewing our row: {}", status.ToString());
    is_listed = status.ok();
    const bool goes_on = co_await sleep_for(kRenewEvery);
    if (!goes_on) co_return;
  }
}

}  // namespace mimeo::control
