#include "scheduler/cell_host.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "common/telemetry/log.h"
#include "proto/worker_session.pb.h"

namespace mimeo::scheduler {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::size_t kTargetsPerRead = 500;
constexpr milliseconds kLoadRetry{200};
constexpr milliseconds kStopLimit{8000};
constexpr milliseconds kCountEvery{1000};
constexpr milliseconds kLongestSleep{200};  // The cell takes a longer silence for a pause of ours.

}  // namespace

CellHost::CellHost(asio::any_io_executor executor, SchedulerParts& parts, HubDirectory& hubs,
                   const CellHostOptions& options, const store::Fence& fence,
                   std::function<void()> on_fence_broken)
    : executor_(executor),
      parts_(parts),
      hubs_(hubs),
      options_(options),
      fence_(fence),
      on_fence_broken_(std::move(on_fence_broken)),
      cell_(std::make_unique<Cell>(fence.cell, fence.epoch, options.cell, parts.clock, parts.ids)),
      dispatcher_(executor, parts, hubs, fence, options.cell, *this),
      renewed_at_(parts.clock.steady()),
      self_(std::make_shared<CellHost*>(this)),
      wake_(executor),
      tasks_(executor) {}

CellHost::~CellHost() { dispatcher_.close(); }

// --- Loading ------------------------------------------------------------------------------------

asio::awaitable<Status> CellHost::load() {
  while (!is_closed_) {
    Status status = co_await load_configuration();
    if (status.ok()) status = co_await load_rows();
    if (is_closed_) break;
    if (status.ok()) {
      cell_->finish_loading();
      is_live_ = true;
      reconcile_->start();
      tasks_.spawn("time of a cell", beat());
      settle();
      const CellCounts counts = cell_->counts();
      log::info("serving cell={} epoch={} queued={} running={}", fence_.cell, fence_.epoch,
                counts.queued, counts.dispatched);
      co_return absl::OkStatus();
    }
    log::warn("loading cell={}: {}", fence_.cell, status.ToString());
    cell_ =
        std::make_unique<Cell>(fence_.cell, fence_.epoch, options_.cell, parts_.clock, parts_.ids);
    if (!co_await sleep_for(kLoadRetry)) break;
  }
  co_return absl::AbortedError("the cell is not ours any more");
}

asio::awaitable<Status> CellHost::load_configuration() {
  std::int64_t config_seq = 0;
  bool is_full = true;
  while (is_full) {
    auto read = [&store = parts_.catalog, cell = fence_.cell, config_seq] {
      return store.list_runnable_targets(cell, config_seq, kTargetsPerRead);
    };
    const Result<std::vector<store::RunnableTarget>> targets =
        co_await parts_.pool.run(std::move(read));
    if (!targets.ok()) co_return targets.status();
    for (const store::RunnableTarget& target : *targets) {
      config_seq = std::max(config_seq, target.target.config_seq);
      if (!target.releases.empty()) cell_->put_target(to_config(target));
    }
    is_full = targets->size() == kTargetsPerRead;
  }
  auto read_workers = [&store = parts_.fleet, cell = fence_.cell] {
    return store.list_workers(cell);
  };
  const Result<std::vector<store::WorkerRow>> workers =
      co_await parts_.pool.run(std::move(read_workers));
  if (!workers.ok()) co_return workers.status();
  for (const store::WorkerRow& row : *workers) cell_->load_worker(row);
  auto read_instances = [&store = parts_.fleet, cell = fence_.cell] {
    return store.list_live_instances(cell);
  };
  const Result<std::vector<store::InstanceRow>> instances =
      co_await parts_.pool.run(std::move(read_instances));
  if (!instances.ok()) co_return instances.status();
  for (const store::InstanceRow& row : *instances) cell_->load_instance(row);
  reconcile_ = std::make_unique<Reconcile>(
      executor_, parts_, options_.reconcile, fence_.cell, config_seq,
      [this] { return is_live_ ? cell_.get() : nullptr; }, [this] { settle(); });
  co_return absl::OkStatus();
}

asio::awaitable<Status> CellHost::load_rows() {
  PredictionId after;
  while (true) {
    auto read = [&store = parts_.predictions, cell = fence_.cell, after,
                 page = options_.reconcile.page] { return store.scan_active(cell, after, page); };
    const Result<std::vector<store::ActiveRow>> rows = co_await parts_.pool.run(std::move(read));
    if (!rows.ok()) co_return rows.status();
    for (const store::ActiveRow& row : *rows) cell_->load_row(row);
    after = Reconcile::last_of(*rows, options_.reconcile.page);
    if (after.is_nil()) co_return absl::OkStatus();
  }
}

// --- Life ---------------------------------------------------------------------------------------

void CellHost::renewed(SteadyTime at) {
  renewed_at_ = std::max(renewed_at_, at);
  if (is_live_ && !is_draining_ && cell_->is_paused()) {
    check_lease();
    settle();
  }
}

void CellHost::check_lease() {
  const bool is_certain = parts_.clock.steady() - renewed_at_ <= options_.lease_margin;
  if (!is_certain && !cell_->is_paused()) {
    log::warn("lease not renewed in time, nothing is assigned cell={}", fence_.cell);
    cell_->pause();
  } else if (is_certain && !is_draining_ && cell_->is_paused()) {
    log::info("lease renewed, assigning again cell={}", fence_.cell);
    cell_->resume();
  }
}

Cell* CellHost::live_cell() {
  if (!is_live_) return nullptr;
  check_lease();
  return cell_.get();
}

void CellHost::settle() {
  if (!is_live_) return;
  dispatcher_.perform(cell_->take_actions());
  if (cell_->next_wakeup() < wakes_at_) wake_.set();
}

void CellHost::settle_soon() {
  if (std::exchange(is_settle_posted_, true)) return;
  asio::post(executor_, [weak = std::weak_ptr<CellHost*>(self_)] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    (*self)->is_settle_posted_ = false;
    (*self)->settle();
  });
}

asio::awaitable<void> CellHost::beat() {
  while (is_live_) {
    check_lease();
    cell_->tick();
    settle();
    publish_metrics();
    const SteadyTime now = parts_.clock.steady();
    wakes_at_ = std::min(cell_->next_wakeup(), now + kLongestSleep);
    const auto pause = std::chrono::ceil<milliseconds>(wakes_at_ - now);
    wake_.reset();
    co_await wake_.wait_for(std::max(pause, milliseconds{1}));
    wakes_at_ = SteadyTime::min();  // Awake: nobody needs to wake us.
  }
}

void CellHost::publish_metrics() {
  const SteadyTime now = parts_.clock.steady();
  if (now - counted_at_ < kCountEvery) return;
  counted_at_ = now;
  const CellCounts counts = cell_->counts();
  const std::map<std::string, std::string> cell{{"cell", std::to_string(fence_.cell)}};
  const auto set = [&](const char* name, const char* help, std::size_t value) {
    parts_.metrics.gauge(name, help, cell).Set(static_cast<double>(value));
  };
  set("mimeo_scheduler_queued_predictions", "Predictions that wait for a slot.", counts.queued);
  set("mimeo_scheduler_dispatched_predictions", "Predictions assigned or running.",
      counts.dispatched);
  set("mimeo_scheduler_held_grants", "Slots promised to control planes.", counts.grants);
  set("mimeo_scheduler_connected_workers", "Workers with a session.", counts.workers);
  set("mimeo_scheduler_ready_instances", "Instances that take predictions.",
      counts.instances_ready);
  set("mimeo_scheduler_starting_instances", "Instances on their way to ready.",
      counts.instances_starting);
}

asio::awaitable<void> CellHost::refresh_target(TargetId id) {
  auto read = [&store = parts_.catalog, id] { return store.get_runnable_target(id); };
  const Result<store::RunnableTarget> target = co_await parts_.pool.run(std::move(read));
  if (!is_live_) co_return;
  if (target.ok() && target->target.cell == fence_.cell && !target->releases.empty()) {
    cell_->put_target(to_config(*target));
  } else if (absl::IsNotFound(target.status()) || (target.ok() && target->releases.empty())) {
    cell_->remove_target(id);
  }
  settle();
}

// --- Streams ------------------------------------------------------------------------------------

void CellHost::attach(WorkerId worker, std::shared_ptr<WorkerStream> stream) {
  std::shared_ptr<WorkerStream>& slot = streams_[worker];
  if (slot != nullptr && slot != stream) {
    slot->close(absl::UnavailableError("the worker has opened another session"));
  }
  slot = std::move(stream);
}

void CellHost::detach(WorkerId worker, const WorkerStream* stream) {
  const auto it = streams_.find(worker);
  if (it == streams_.end() || it->second.get() != stream) return;
  streams_.erase(it);
  if (!is_live_) return;
  cell_->worker_closed(worker);
  settle();
}

void CellHost::send(WorkerId worker, v1::SchedulerMessage message) {
  const auto it = streams_.find(worker);
  if (it != streams_.end()) it->second->send(std::move(message));
}

void CellHost::send_to_all(const v1::SchedulerMessage& message) {
  for (const auto& [id, stream] : streams_) stream->send(message);
}

// --- The end ------------------------------------------------------------------------------------

void CellHost::fence_broken() {
  if (!on_fence_broken_) return;
  asio::post(executor_, std::exchange(on_fence_broken_, nullptr));
}

asio::awaitable<void> CellHost::drain(milliseconds limit) {
  is_draining_ = true;
  if (!is_live_) co_return;
  cell_->pause();
  settle();
  co_await dispatcher_.wait_idle(limit);
}

void CellHost::close(const Status& reason) {
  if (std::exchange(is_closed_, true)) return;
  is_live_ = false;
  on_fence_broken_ = nullptr;
  dispatcher_.close();
  if (reconcile_) reconcile_->cancel();
  wake_.set();
  tasks_.cancel();
  for (const auto& [id, stream] : std::exchange(streams_, {})) stream->close(reason);
}

asio::awaitable<void> CellHost::stop() {
  if (reconcile_) co_await reconcile_->wait();
  co_await dispatcher_.wait_idle(kStopLimit);
  const Status status = co_await tasks_.wait(kStopLimit);
  if (!status.ok()) log::warn("closing cell={}: {}", fence_.cell, status.ToString());
}

}  // namespace mimeo::scheduler
