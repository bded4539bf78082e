#include "scheduler/reconcile.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "common/telemetry/log.h"

namespace mimeo::scheduler {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::size_t kTargetsPerRead = 500;
constexpr milliseconds kStopLimit{5000};

PredictionId highest_id() {
  std::array<std::uint8_t, 16> bytes;
  bytes.fill(0xff);
  return Uuid(bytes);
}

}  // namespace

Reconcile::Reconcile(asio::any_io_executor executor, SchedulerParts& parts,
                     const ReconcileOptions& options, CellId cell, std::int64_t config_seq,
                     std::function<Cell*()> find_cell, std::function<void()> settle)
    : parts_(parts),
      options_(options),
      cell_(cell),
      config_seq_(config_seq),
      find_cell_(std::move(find_cell)),
      settle_(std::move(settle)),
      tasks_(std::move(executor)) {}

void Reconcile::start() {
  tasks_.spawn("scan of recent predictions", scan_recent());
  tasks_.spawn("scan of all predictions", scan_all());
  tasks_.spawn("changes of targets", follow_targets());
  tasks_.spawn("states of workers", follow_workers());
  tasks_.spawn("limits of accounts", follow_accounts());
}

void Reconcile::cancel() { tasks_.cancel(); }

asio::awaitable<void> Reconcile::wait() {
  const Status status = co_await tasks_.wait(kStopLimit);
  if (!status.ok()) log::warn("stopping the scans: {}", status.ToString());
}

PredictionId Reconcile::last_of(const std::vector<store::ActiveRow>& rows, std::size_t page) {
  return rows.size() < page ? PredictionId{} : rows.back().id;
}

asio::awaitable<void> Reconcile::scan_from(PredictionId after, milliseconds pause) {
  while (true) {
    const SteadyTime read_at = parts_.clock.steady();
    auto read = [&store = parts_.predictions, cell = cell_, after, page = options_.page] {
      return store.scan_active(cell, after, page);
    };
    const Result<std::vector<store::ActiveRow>> rows = co_await parts_.pool.run(std::move(read));
    Cell* cell = find_cell_();
    if (!rows.ok() || cell == nullptr) co_return;
    const PredictionId last = last_of(*rows, options_.page);
    ScanPage page;
    page.after = after;
    page.upto = last.is_nil() ? highest_id() : last;
    page.read_at = read_at;
    cell->scanned(page, *rows);
    settle_();
    if (last.is_nil()) co_return;
    after = last;
    if (pause.count() > 0 && !co_await sleep_for(pause)) co_return;
  }
}

asio::awaitable<void> Reconcile::scan_recent() {
  while (co_await sleep_for(options_.recent_every)) {
    const PredictionId bound = Uuid::lowest_at(parts_.clock.now() - options_.recent);
    co_await scan_from(bound, milliseconds{0});
  }
}

asio::awaitable<void> Reconcile::scan_all() {
  while (co_await sleep_for(options_.all_every)) {
    const PredictionId start;
    co_await scan_from(start, options_.between_pages);
  }
}

asio::awaitable<void> Reconcile::follow_targets() {
  while (co_await sleep_for(options_.targets_every)) {
    bool is_full = true;
    while (is_full) {
      auto read = [&store = parts_.catalog, cell = cell_, after = config_seq_] {
        return store.list_runnable_targets(cell, after, kTargetsPerRead);
      };
      const Result<std::vector<store::RunnableTarget>> targets =
          co_await parts_.pool.run(std::move(read));
      Cell* cell = find_cell_();
      if (!targets.ok() || cell == nullptr) break;
      for (const store::RunnableTarget& target : *targets) {
        config_seq_ = std::max(config_seq_, target.target.config_seq);
        if (target.releases.empty()) {
          cell->remove_target(target.target.id);
        } else {
          cell->put_target(to_config(target));
        }
      }
      if (!targets->empty()) settle_();
      is_full = targets->size() == kTargetsPerRead;
    }
  }
}

asio::awaitable<void> Reconcile::follow_workers() {
  while (co_await sleep_for(options_.workers_every)) {
    auto read = [&store = parts_.fleet, cell = cell_] { return store.list_workers(cell); };
    const Result<std::vector<store::WorkerRow>> workers = co_await parts_.pool.run(std::move(read));
    Cell* cell = find_cell_();
    if (!workers.ok() || cell == nullptr) continue;
    for (const store::WorkerRow& worker : *workers) {
      cell->worker_state_read(worker.id, worker.state);
    }
    settle_();
  }
}

asio::awaitable<void> Reconcile::follow_accounts() {
  while (co_await sleep_for(options_.accounts_every)) {
    Cell* cell = find_cell_();
    if (cell == nullptr) co_return;
    auto read = [&store = parts_.catalog, ids = cell->accounts()] {
      std::vector<std::pair<AccountId, AccountPolicy>> policies;
      for (const AccountId id : ids) {
        const Result<store::Account> account = store.get_account(id);
        if (!account.ok()) continue;
        policies.emplace_back(id, AccountPolicy{account->weight, account->max_running});
      }
      return policies;
    };
    const auto policies = co_await parts_.pool.run(std::move(read));
    cell = find_cell_();
    if (cell == nullptr) co_return;
    for (const auto& [id, policy] : policies) cell->put_account(id, policy);
    settle_();
  }
}

}  // namespace mimeo::scheduler
