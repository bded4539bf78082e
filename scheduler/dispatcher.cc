#include "scheduler/dispatcher.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <utility>

#include "common/async/batcher.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/telemetry/log.h"
#include "scheduler/wire.h"

namespace mimeo::scheduler {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kRetryAfter{200};
constexpr std::size_t kMaxBatch = 256;

// vector<bool> hands out proxies; a batcher wants values.
struct Changed {
  bool has_changed = false;
};

bool is_away(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

// What is written about the fleet, in order of wishing.
struct FleetWrites {
  std::vector<store::InstanceRow> inserts;
  std::vector<store::InstanceChange> changes;
  std::vector<RecordWorker> workers;
  std::vector<RecordRelease> releases;

  [[nodiscard]] bool is_empty() const {
    return inserts.empty() && changes.empty() && workers.empty() && releases.empty();
  }
};

}  // namespace

struct Dispatcher::State : std::enable_shared_from_this<Dispatcher::State> {
  State(asio::any_io_executor e, SchedulerParts& p, HubDirectory& h, const store::Fence& f,
        const CellOptions& o, DispatcherHost& owner)
      : executor(e),
        parts(p),
        hubs(h),
        fence(f),
        options(o),
        host(&owner),
        assign(e, p.pool,
               [&store = p.predictions, f](std::span<const store::Assignment> batch) {
                 return store.assign(f, batch);
               },
               {.max_batch = kMaxBatch, .max_pending = 1'000'000}),
        requeue(e, p.pool,
                [&store = p.predictions, f](std::span<const store::Requeue> batch) {
                  return write_requeues(store, f, batch);
                },
                {.max_batch = kMaxBatch, .max_pending = 1'000'000}),
        finish(e, p.pool,
               [&store = p.predictions](std::span<const store::Finish> batch) {
                 return store.finish(batch);
               },
               {.max_batch = kMaxBatch, .max_pending = 1'000'000}),
        assigned_total(p.metrics.counter("mimeo_scheduler_assignments_total",
                                         "Predictions assigned from the queue.")),
        runs_total(p.metrics.counter("mimeo_scheduler_runs_total", "Attempts sent to workers.")),
        requeues_total(p.metrics.counter("mimeo_scheduler_requeues_total",
                                         "Attempts put back into the queue.")),
        finishes_total(p.metrics.counter("mimeo_scheduler_finishes_total",
                                         "Predictions ended by the scheduler.")),
        starts_total(p.metrics.counter("mimeo_scheduler_instance_starts_total",
                                       "Instances ordered from workers.")),
        failed_writes_total(p.metrics.counter("mimeo_scheduler_failed_writes_total",
                                              "Writes to the store that failed and are repeated.")),
        assign_seconds(p.metrics.histogram("mimeo_scheduler_assign_seconds",
                                           "From the decision to its commit.")),
        idle(e),
        tasks(e) {}

  static Result<std::vector<Changed>> write_requeues(store::PredictionStore& store,
                                                     const store::Fence& fence,
                                                     std::span<const store::Requeue> batch) {
    MIMEO_ASSIGN_OR_RETURN(const std::vector<bool> changed, store.requeue(fence, batch));
    std::vector<Changed> answers;
    answers.reserve(changed.size());
    for (const bool has_changed : changed) answers.push_back({has_changed});
    return answers;
  }

  // --- Counting what is in flight ---------------------------------------------------------------

  // Counts one thing for as long as it lives, also when its coroutine is cancelled.
  class Flight {
   public:
    explicit Flight(std::shared_ptr<State> state) : state_(std::move(state)) { state_->began(); }
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;
    ~Flight() { state_->ended(); }

   private:
    std::shared_ptr<State> state_;
  };

  void began() {
    ++in_flight;
    idle.reset();
  }
  void ended() {
    if (--in_flight == 0) idle.set();
  }
  [[nodiscard]] Cell* cell() { return is_closed ? nullptr : host->cell_for_answers(); }
  void answered() {
    if (!is_closed) host->settle_soon();
  }

  // --- Predictions ------------------------------------------------------------------------------

  void assign_prediction(store::Assignment a) {
    began();
    const SteadyTime since = parts.clock.steady();
    auto self = shared_from_this();
    assign.enqueue(a, [self, a, since](Result<store::Assigned> answer) {
      if (answer.ok()) {
        self->assigned_total.Increment();
        self->assign_seconds.Observe(
            std::chrono::duration<double>(self->parts.clock.steady() - since).count());
        if (Cell* c = self->cell()) c->assigned(a.id, std::move(*answer));
        self->answered();
      } else if (absl::IsAborted(answer.status())) {
        self->broken();
      } else {
        self->retry(answer.status(), "assigning a prediction",
                    [self, a] { self->assign_prediction(a); });
      }
      self->ended();
    });
  }

  void requeue_prediction(store::Requeue r) {
    began();
    auto self = shared_from_this();
    requeue.enqueue(r, [self, r](Result<Changed> answer) {
      if (answer.ok()) {
        self->requeues_total.Increment();
        if (Cell* c = self->cell()) c->requeued(r.id, answer->has_changed);
        self->answered();
      } else if (absl::IsAborted(answer.status())) {
        self->broken();
      } else {
        self->retry(answer.status(), "requeuing a prediction",
                    [self, r] { self->requeue_prediction(r); });
      }
      self->ended();
    });
  }

  void finish_prediction(store::Finish f) {
    began();
    auto self = shared_from_this();
    finish.enqueue(f, [self, f](Result<store::FinishOutcome> answer) {
      if (answer.ok()) {
        self->finishes_total.Increment();
        if (Cell* c = self->cell()) c->finished(f.id, *answer);
        self->answered();
      } else {
        self->retry(answer.status(), "ending a prediction",
                    [self, f] { self->finish_prediction(f); });
      }
      self->ended();
    });
  }

  // The same write again a little later. A failure that does not come from an absent database is a
  // bug of ours: said loudly, repeated all the same, for the answer may matter.
  void retry(const Status& status, std::string_view what, std::function<void()> again) {
    failed_writes_total.Increment();
    if (is_closed) return;
    if (is_away(status)) {
      log::debug("{}: {}", what, status.ToString());
    } else {
      log::error("{}: {}", what, status.ToString());
    }
    tasks.spawn("repeat a write", run_later(shared_from_this(), std::move(again)));
  }
  static asio::awaitable<void> run_later(std::shared_ptr<State> self, std::function<void()> again) {
    const Flight flight(self);
    const bool is_awake = co_await sleep_for(kRetryAfter);
    if (is_awake && !self->is_closed) again();
  }

  void broken() {
    if (!is_closed) host->fence_broken();
  }

  asio::awaitable<void> read_row(PredictionId id) {
    const Flight flight(shared_from_this());
    while (!is_closed) {
      // The row right after the id just below this one.
      std::array<std::uint8_t, 16> bytes = id.bytes();
      for (std::size_t i = bytes.size(); i-- > 0 && bytes[i]-- == 0;) {
      }
      auto read = [&store = parts.predictions, cell = fence.cell, after = Uuid(bytes)] {
        return store.scan_active(cell, after, 1);
      };
      const Result<std::vector<store::ActiveRow>> rows = co_await parts.pool.run(std::move(read));
      if (rows.ok()) {
        std::optional<store::ActiveRow> row;
        if (!rows->empty() && rows->front().id == id) row = rows->front();
        if (Cell* c = cell()) c->row_read(id, row);
        answered();
        break;
      }
      failed_writes_total.Increment();
      if (!co_await sleep_for(kRetryAfter)) break;
    }
  }

  asio::awaitable<void> read_input_and_run(SendRun run) {
    const Flight flight(shared_from_this());
    while (!is_closed) {
      auto read = [&store = parts.predictions, id = run.id] { return store.get_input(id); };
      Result<std::string> input = co_await parts.pool.run(std::move(read));
      if (is_closed || absl::IsNotFound(input.status())) break;  // Ended meanwhile.
      if (input.ok()) {
        run.input = std::move(*input);
        send_run(std::move(run));
        break;
      }
      failed_writes_total.Increment();
      if (!co_await sleep_for(kRetryAfter)) break;
    }
  }

  void send_run(SendRun run) {
    runs_total.Increment();
    const WorkerId worker = run.worker;
    const std::vector<std::string> addrs = hubs.best_first(run.hub, run.id);
    host->send(worker, to_wire(std::move(run), addrs));
  }

  // --- Instances, workers, releases -------------------------------------------------------------

  void start_fleet_writes() {
    if (is_writing_fleet || is_closed || fleet.is_empty()) return;
    is_writing_fleet = true;
    tasks.spawn("write about instances", write_fleet());
  }

  asio::awaitable<void> write_fleet() {
    const Flight flight(shared_from_this());
    while (!is_closed && !fleet.is_empty()) {
      auto writes = std::make_shared<FleetWrites>(std::exchange(fleet, {}));
      std::vector<InstanceId> inserted;
      for (const store::InstanceRow& row : writes->inserts) inserted.push_back(row.id);
      auto work = [state = this, writes] { return state->write_all(*writes); };
      const Status status = co_await parts.pool.run(std::move(work));
      // Whatever is left in `writes` was not written.
      const bool are_inserted = writes->inserts.empty();
      if (Cell* c = cell(); c != nullptr && are_inserted) {
        for (const InstanceId id : inserted) c->instance_inserted(id);
        answered();
      }
      if (status.ok()) continue;
      if (absl::IsAborted(status)) {
        broken();
        break;
      }
      failed_writes_total.Increment();
      if (!is_away(status)) log::error("writing about instances: {}", status.ToString());
      prepend(*writes);
      if (!co_await sleep_for(kRetryAfter)) break;
    }
    is_writing_fleet = false;
  }

  // On a pool thread. Removes what is written; the first failure ends it.
  Status write_all(FleetWrites& writes) const {
    if (!writes.inserts.empty()) {
      MIMEO_RETURN_IF_ERROR(parts.fleet.insert_instances(fence, writes.inserts));
      writes.inserts.clear();
    }
    if (!writes.changes.empty()) {
      MIMEO_RETURN_IF_ERROR(parts.fleet.update_instances(writes.changes));
      writes.changes.clear();
    }
    while (!writes.workers.empty()) {
      const Status status =
          parts.fleet.set_worker_state(writes.workers.front().worker, writes.workers.front().state);
      if (!status.ok() && !absl::IsNotFound(status)) return status;
      writes.workers.erase(writes.workers.begin());
    }
    while (!writes.releases.empty()) {
      const RecordRelease& r = writes.releases.front();
      const Status status = parts.catalog.set_release_state(r.deployment, r.number, r.from, r.to);
      // Somebody else changed it: the next read of the target shows how it is.
      if (!status.ok() && !absl::IsAborted(status) && !absl::IsNotFound(status)) return status;
      writes.releases.erase(writes.releases.begin());
    }
    return absl::OkStatus();
  }

  void prepend(FleetWrites& left) {
    const auto put_back = [](auto& queue, auto& rest) {
      queue.insert(queue.begin(), std::make_move_iterator(rest.begin()),
                   std::make_move_iterator(rest.end()));
    };
    put_back(fleet.inserts, left.inserts);
    put_back(fleet.changes, left.changes);
    put_back(fleet.workers, left.workers);
    put_back(fleet.releases, left.releases);
  }

  asio::awaitable<void> ensure(SendEnsure order) {
    const Flight flight(shared_from_this());
    while (!is_closed) {
      auto read = [&store = parts.catalog, target = order.target] {
        return store.get_runnable_target(target);
      };
      const Result<store::RunnableTarget> target = co_await parts.pool.run(std::move(read));
      Status status = target.status();
      if (target.ok()) {
        Result<v1::SchedulerMessage> message = to_wire(order, *target, options.setup_limit);
        if (message.ok()) {
          starts_total.Increment();
          if (!is_closed) host->send(order.worker, std::move(*message));
          break;
        }
        status = message.status();
      }
      if (absl::IsNotFound(status)) {
        if (Cell* c = cell()) {
          c->instance_impossible(order.instance, std::string(status.message()));
        }
        answered();
        break;
      }
      if (!co_await sleep_for(kRetryAfter)) break;
    }
  }

  // --- Configuration ----------------------------------------------------------------------------

  asio::awaitable<void> read_target(TargetId id) {
    const Flight flight(shared_from_this());
    while (!is_closed) {
      auto read = [&store = parts.catalog, id] { return store.get_runnable_target(id); };
      const Result<store::RunnableTarget> target = co_await parts.pool.run(std::move(read));
      Cell* c = cell();
      if (c == nullptr) break;
      if (target.ok() && !target->releases.empty()) {
        c->put_target(to_config(*target));
        answered();
        break;
      }
      if (target.ok() || absl::IsNotFound(target.status())) {
        c->remove_target(id);
        answered();
        break;
      }
      if (!co_await sleep_for(kRetryAfter)) break;
    }
  }

  asio::awaitable<void> read_account(AccountId id) {
    const Flight flight(shared_from_this());
    auto read = [&store = parts.catalog, id] { return store.get_account(id); };
    const Result<store::Account> account = co_await parts.pool.run(std::move(read));
    if (Cell* c = cell(); c != nullptr && account.ok()) {
      c->put_account(id, {.weight = account->weight, .max_running = account->max_running});
      answered();
    }  // Else the defaults serve until the next refresh.
  }

  const asio::any_io_executor executor;
  SchedulerParts& parts;
  HubDirectory& hubs;
  const store::Fence fence;
  const CellOptions options;
  DispatcherHost* host;  // Gone once is_closed.

  Batcher<store::Assignment, store::Assigned> assign;
  Batcher<store::Requeue, Changed> requeue;
  Batcher<store::Finish, store::FinishOutcome> finish;
  FleetWrites fleet;
  bool is_writing_fleet = false;
  bool is_closed = false;
  std::size_t in_flight = 0;

  prometheus::Counter& assigned_total;
  prometheus::Counter& runs_total;
  prometheus::Counter& requeues_total;
  prometheus::Counter& finishes_total;
  prometheus::Counter& starts_total;
  prometheus::Counter& failed_writes_total;
  prometheus::Histogram& assign_seconds;

  SignalEvent idle;  // Set while nothing is in flight, from the first time on.
  TaskGroup tasks;   // Last: its tasks use everything above.
};

Dispatcher::Dispatcher(asio::any_io_executor executor, SchedulerParts& parts, HubDirectory& hubs,
                       const store::Fence& fence, const CellOptions& options, DispatcherHost& host)
    : state_(std::make_shared<State>(std::move(executor), parts, hubs, fence, options, host)) {}

Dispatcher::~Dispatcher() { close(); }

void Dispatcher::close() {
  state_->is_closed = true;
  state_->tasks.cancel();
}

bool Dispatcher::is_idle() const { return state_->in_flight == 0; }

asio::awaitable<void> Dispatcher::wait_idle(milliseconds limit) {
  const auto state = state_;
  if (state->in_flight == 0) co_return;
  co_await state->idle.wait_for(limit);
}

void Dispatcher::perform(std::vector<Action> actions) {
  State& s = *state_;
  for (Action& action : actions) {
    std::visit(
        [&s](auto& a) {
          using A = std::decay_t<decltype(a)>;
          if constexpr (std::is_same_v<A, AssignPrediction>) {
            s.assign_prediction(a.assignment);
          } else if constexpr (std::is_same_v<A, RequeuePrediction>) {
            s.requeue_prediction(a.requeue);
          } else if constexpr (std::is_same_v<A, FinishPrediction>) {
            s.finish_prediction(std::move(a.finish));
          } else if constexpr (std::is_same_v<A, ReadPrediction>) {
            s.tasks.spawn("read a row", s.read_row(a.id));
          } else if constexpr (std::is_same_v<A, InsertInstance>) {
            s.fleet.inserts.push_back(std::move(a.row));
          } else if constexpr (std::is_same_v<A, RecordInstance>) {
            s.fleet.changes.push_back(std::move(a.change));
          } else if constexpr (std::is_same_v<A, RecordWorker>) {
            s.fleet.workers.push_back(a);
          } else if constexpr (std::is_same_v<A, RecordRelease>) {
            s.fleet.releases.push_back(a);
          } else if constexpr (std::is_same_v<A, NeedTarget>) {
            s.tasks.spawn("read a target", s.read_target(a.target));
          } else if constexpr (std::is_same_v<A, NeedAccount>) {
            s.tasks.spawn("read an account", s.read_account(a.account));
          } else if constexpr (std::is_same_v<A, SendRun>) {
            if (a.input) {
              s.send_run(std::move(a));
            } else {
              s.tasks.spawn("read an input", s.read_input_and_run(std::move(a)));
            }
          } else if constexpr (std::is_same_v<A, SendEnsure>) {
            s.tasks.spawn("order an instance", s.ensure(std::move(a)));
          } else {
            s.host->send(a.worker, to_wire(a));
          }
        },
        action);
  }
  s.start_fleet_writes();
}

}  // namespace mimeo::scheduler
