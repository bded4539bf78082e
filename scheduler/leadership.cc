#include "scheduler/leadership.h"

#include <algorithm>
#include <utility>

#include "common/telemetry/log.h"

namespace mimeo::scheduler {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kHubsEvery{1000};
constexpr CellId kFirstCell = 1;

}  // namespace

Leadership::Leadership(asio::any_io_executor executor, SchedulerParts& parts, HubDirectory& hubs,
                       LeadershipOptions options, std::function<void()> on_change)
    : executor_(executor),
      parts_(parts),
      hubs_(hubs),
      options_(std::move(options)),
      on_change_(std::move(on_change)),
      last_poll_(absl::UnavailableError("the database has not answered yet")),
      endings_(executor),
      tasks_(executor) {}

void Leadership::start() {
  tasks_.spawn("replica heartbeat", beat());
  tasks_.spawn("look for free cells", poll());
  tasks_.spawn("look for control planes", watch_hubs());
}

std::shared_ptr<CellHost> Leadership::find(CellId cell) const {
  const auto it = hosts_.find(cell);
  return it != hosts_.end() && it->second->is_live() ? it->second : nullptr;
}

std::shared_ptr<CellHost> Leadership::find_by_target(TargetId target) const {
  for (const auto& [cell, host] : hosts_) {
    if (!host->is_live()) continue;
    if (host->cell_for_answers()->knows_target(target)) return host;
  }
  return nullptr;
}

std::vector<std::shared_ptr<CellHost>> Leadership::live() const {
  std::vector<std::shared_ptr<CellHost>> live;
  for (const auto& [cell, host] : hosts_) {
    if (host->is_live()) live.push_back(host);
  }
  return live;
}

Status Leadership::readiness() const {
  if (is_stopping_) return absl::UnavailableError("stopping");
  if (!last_poll_.ok()) return last_poll_;
  for (const auto& [cell, host] : hosts_) {
    if (!host->is_live()) return absl::UnavailableError("loading a cell");
  }
  return absl::OkStatus();
}

// --- Presence -----------------------------------------------------------------------------------

asio::awaitable<void> Leadership::beat() {
  bool is_awake = true;
  while (is_awake) {
    auto write = [&store = parts_.fleet, options = &options_] {
      store::Replica replica;
      replica.id = options->replica;
      replica.role = store::ReplicaRole::kScheduler;
      replica.addr = options->advertise;
      replica.version = options->version;
      return store.heartbeat_replica(replica, options->replica_lease);
    };
    const Status status = co_await parts_.pool.run(std::move(write));
    if (!status.ok()) log::debug("replica heartbeat: {}", status.ToString());
    is_awake = co_await sleep_for(options_.renew_every);
  }
}

asio::awaitable<void> Leadership::watch_hubs() {
  bool is_awake = true;
  while (is_awake) {
    auto read = [&store = parts_.fleet] {
      return store.list_replicas(store::ReplicaRole::kControlPlane);
    };
    const Result<std::vector<store::Replica>> replicas = co_await parts_.pool.run(std::move(read));
    if (replicas.ok()) {
      std::vector<std::string> addrs;
      for (const store::Replica& replica : *replicas) addrs.push_back(replica.addr);
      hubs_.set_listed(std::move(addrs));
    }
    is_awake = co_await sleep_for(kHubsEvery);
  }
}

// --- Taking cells -------------------------------------------------------------------------------

// Only as many as a fair share plus one: the others take the rest.
bool Leadership::may_take(std::size_t cells, std::size_t schedulers) const {
  if (is_stopping_) return false;
  if (options_.want_cells > 0 && hosts_.size() >= options_.want_cells) return false;
  const std::size_t others = std::max<std::size_t>(schedulers, 1);
  return hosts_.size() < (cells + others - 1) / others + 1;
}

asio::awaitable<void> Leadership::poll() {
  bool is_awake = true;
  bool are_cells_made = false;
  while (is_awake) {
    auto read =
        [&store = parts_.fleet,
         are_cells_made]() -> Result<std::pair<std::vector<store::CellLease>, std::size_t>> {
      if (!are_cells_made) MIMEO_RETURN_IF_ERROR(store.ensure_cell(kFirstCell));
      MIMEO_ASSIGN_OR_RETURN(std::vector<store::CellLease> cells, store.list_cells());
      MIMEO_ASSIGN_OR_RETURN(const std::vector<store::Replica> schedulers,
                             store.list_replicas(store::ReplicaRole::kScheduler));
      return std::pair(std::move(cells), schedulers.size());
    };
    const auto seen = co_await parts_.pool.run(std::move(read));
    last_poll_ = seen.status();
    if (!seen.ok()) {
      last_failure_ = parts_.clock.steady();
      log::debug("looking for cells: {}", seen.status().ToString());
    } else {
      are_cells_made = true;
      const bool was_away = has_polled_ && last_failure_ != SteadyTime::min() &&
                            parts_.clock.steady() - last_failure_ < options_.wait_after_outage;
      has_polled_ = true;
      for (const store::CellLease& lease : seen->first) {
        if (lease.is_held || was_away || hosts_.contains(lease.cell)) continue;
        if (may_take(seen->first.size(), seen->second)) co_await take(lease.cell);
      }
    }
    is_awake = co_await sleep_for(options_.poll_every);
  }
}

asio::awaitable<void> Leadership::take(CellId cell) {
  const SteadyTime before = parts_.clock.steady();
  auto write = [&store = parts_.fleet, cell, options = &options_] {
    return store.take_cell(cell, options->replica, options->advertise, options->lease);
  };
  const Result<store::CellLease> lease = co_await parts_.pool.run(std::move(write));
  if (!lease.ok()) {
    if (!absl::IsAborted(lease.status())) {
      log::warn("taking cell={}: {}", cell, lease.status().ToString());
    }
    co_return;
  }
  if (is_stopping_) co_return;  // The lease runs out by itself.
  log::info("took cell={} epoch={}", cell, lease->epoch);
  store::Fence fence;
  fence.cell = cell;
  fence.epoch = lease->epoch;
  auto host = std::make_shared<CellHost>(executor_, parts_, hubs_, options_.host, fence,
                                         [this, cell, epoch = fence.epoch] { lose(cell, epoch); });
  host->renewed(before);
  hosts_[cell] = host;
  tasks_.spawn("renew a lease", renew(host));
  tasks_.spawn("load a cell", load(host));
}

asio::awaitable<void> Leadership::load(std::shared_ptr<CellHost> host) {
  const Status status = co_await host->load();
  if (status.ok()) on_change_();
}

asio::awaitable<void> Leadership::renew(std::shared_ptr<CellHost> host) {
  const store::Fence fence = host->fence();
  while (co_await sleep_for(options_.renew_every)) {
    const auto it = hosts_.find(fence.cell);
    if (it == hosts_.end() || it->second != host) co_return;
    const SteadyTime before = parts_.clock.steady();
    auto write = [&store = parts_.fleet, fence, options = &options_] {
      return store.renew_cell(fence, options->replica, options->lease);
    };
    const Status status = co_await parts_.pool.run(std::move(write));
    if (status.ok()) {
      host->renewed(before);
    } else if (absl::IsAborted(status)) {
      lose(fence.cell, fence.epoch);
      co_return;
    } else {
      log::warn("renewing the lease of cell={}: {}", fence.cell, status.ToString());
    }
  }
}

// --- Losing cells -------------------------------------------------------------------------------

void Leadership::lose(CellId cell, std::uint64_t epoch) {
  const auto it = hosts_.find(cell);
  if (it == hosts_.end() || it->second->fence().epoch != epoch) return;
  log::warn("lost cell={} epoch={}", cell, epoch);
  const std::shared_ptr<CellHost> host = it->second;
  hosts_.erase(it);
  host->close(absl::UnavailableError("the cell has another owner"));
  endings_.spawn("close a cell", give_up(host));
  on_change_();
}

asio::awaitable<void> Leadership::give_up(std::shared_ptr<CellHost> host) { co_await host->stop(); }

asio::awaitable<void> Leadership::hand_back(std::shared_ptr<CellHost> host, milliseconds limit) {
  co_await host->drain(limit);
  const store::Fence fence = host->fence();
  auto write = [&store = parts_.fleet, fence, replica = options_.replica] {
    return store.release_cell(fence, replica);
  };
  const Status status = co_await parts_.pool.run(std::move(write));
  if (!status.ok()) log::warn("releasing cell={}: {}", fence.cell, status.ToString());
  host->close(absl::UnavailableError("the scheduler stops"));
  co_await host->stop();
}

asio::awaitable<void> Leadership::stop(milliseconds limit) {
  is_stopping_ = true;
  tasks_.cancel();
  for (const auto& [cell, host] : std::exchange(hosts_, {})) {
    endings_.spawn("hand a cell back", hand_back(host, limit));
  }
  const Status ended = co_await endings_.wait(limit * 4);
  if (!ended.ok()) log::warn("handing cells back: {}", ended.ToString());
  auto leave = [&store = parts_.fleet, replica = options_.replica] {
    return store.remove_replica(replica);
  };
  const Status left = co_await parts_.pool.run(std::move(leave));
  if (!left.ok()) log::debug("leaving the table of replicas: {}", left.ToString());
  const Status stopped = co_await tasks_.wait(limit);
  if (!stopped.ok()) log::warn("stopping leadership: {}", stopped.ToString());
}

asio::awaitable<void> Leadership::abandon() {
  is_stopping_ = true;
  tasks_.cancel();
  for (const auto& [cell, host] : std::exchange(hosts_, {})) {
    host->close(absl::UnavailableError("gone"));
    endings_.spawn("close a cell", give_up(host));
  }
  constexpr milliseconds kLimit{10'000};
  const Status ended = co_await endings_.wait(kLimit);
  const Status stopped = co_await tasks_.wait(kLimit);
  if (!ended.ok() || !stopped.ok()) log::warn("abandoning cells took too long");
}

}  // namespace mimeo::scheduler
