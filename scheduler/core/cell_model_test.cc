// The protocol on random schedules: real cells (the owner, and zombies that believe to be it)
// against a store with compare-and-set and a fence, workers that crash and come back, a network
// that loses, repeats and reorders, answers of commits that get lost, control planes that cancel on
// their own authority. Whatever happens, a prediction gets one result, no attempt runs twice or
// without its commit, and once the faults stop everything ends.
//
// MIMEO_MODEL_SCHEDULES sets how many schedules run; a failure prints the seed that repeats it.
//
// A little over 600 lines: one world, which is easier to follow in one piece.

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/testing/world.h"

namespace mimeo::scheduler {
namespace {

using testing::milliseconds;
using testing::RowStore;
using testing::seconds;
using testing::World;

using Attempt = std::pair<PredictionId, std::uint32_t>;
constexpr TargetId kTarget = 1;
constexpr char kRanTwice[] = "an attempt ran twice";

struct Faults {
  bool has_fence = true;  // The database refuses batches of an older epoch.
  bool has_dedup = true;  // A worker runs an attempt once, however often it is told.
};

class Model {
 public:
  Model(std::uint64_t seed, Faults faults) : faults_(faults), random_(seed), ids_(clock_, random_) {
    options_.plan_apart = milliseconds{0};
    options_.idle_timeout = std::chrono::hours{1};
    options_.start_within = seconds{20};  // The backstops take part, too.
    config_.id = kTarget;
    config_.owner = 1;
    config_.sku = "cpu";
    config_.resources.cpu_milli = 1000;
    config_.min_instances = 2;
    config_.max_instances = 3;
    config_.releases.push_back({.number = 0,
                                .state = store::ReleaseState::kLive,
                                .version = World::version(1),
                                .image_bytes = 0,
                                .concurrency = 2});
    for (int i = 0; i < 3; ++i) {
      Machine machine;
      machine.id = ids_.next();
      workers_.push_back(std::move(machine));
    }
    take_over();
    for (Machine& machine : workers_) dial(machine);
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
    heal();
  }

  // What went wrong; empty if nothing did.
  std::string violation() const { return violation_; }
  int executions() const { return executions_; }
  int predictions() const { return static_cast<int>(known_.size()); }

 private:
  struct Owner {  // A scheduler that believes to own the cell.
    std::uint64_t epoch = 0;
    std::unique_ptr<Cell> cell;
    std::vector<Action> writes;  // Decided, not committed yet.
  };
  struct Grant {
    std::size_t owner = 0;
    std::uint64_t epoch = 0;
    ReserveAnswer answer;
  };
  struct Machine {
    WorkerId id;
    std::uint64_t incarnation = 1;
    std::uint64_t life = 0;  // Counts starts of the daemon.
    std::uint64_t highest_epoch = 0;
    std::optional<std::size_t> session;  // Index of the owner it talks to.
    std::set<InstanceId> instances;
    std::map<Attempt, InstanceId> running;
    std::set<Attempt> spooled;  // Finished, not acknowledged.
    std::set<Attempt> seen;
  };

  void fail(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }

  // --- Schedulers -------------------------------------------------------------------------------

  void take_over() {
    ++epoch_;
    Owner owner;
    owner.epoch = epoch_;
    owner.cell = std::make_unique<Cell>(1, epoch_, options_, clock_, ids_);
    owner.cell->put_target(config_);
    for (const auto& [id, row] : worker_rows_) owner.cell->load_worker(row);
    for (const auto& [id, row] : instance_rows_) owner.cell->load_instance(row);
    for (const auto& [id, row] : rows_.active) owner.cell->load_row(row);
    owner.cell->finish_loading();
    owners_.push_back(std::move(owner));
    collect(owners_.size() - 1);
  }
  [[nodiscard]] std::size_t newest() const { return owners_.size() - 1; }

  // Sorts what a cell wants into writes and messages.
  void collect(std::size_t index) {
    Owner& owner = owners_[index];
    if (owner.cell == nullptr) return;
    for (Action& action : owner.cell->take_actions()) {
      if (const auto* run = std::get_if<SendRun>(&action)) {
        to_worker(owner.epoch, run->worker, [this, run = *run](Machine& m) { on_run(m, run); });
      } else if (const auto* cancel = std::get_if<SendCancel>(&action)) {
        to_worker(owner.epoch, cancel->worker, [this, c = *cancel](Machine& m) {
          if (m.running.contains({c.id, c.attempt})) end_attempt(m, {c.id, c.attempt});
        });
      } else if (const auto* forget = std::get_if<SendForget>(&action)) {
        to_worker(owner.epoch, forget->worker, [f = *forget](Machine& m) {
          m.running.erase({f.id, f.attempt});
        });
      } else if (const auto* ensure = std::get_if<SendEnsure>(&action)) {
        to_worker(owner.epoch, ensure->worker, [this, e = *ensure](Machine& m) {
          m.instances.insert(e.instance);
          report(m, e.instance, InstanceState::kReady);
        });
      } else if (const auto* stop = std::get_if<SendStop>(&action)) {
        to_worker(owner.epoch, stop->worker, [this, s = *stop](Machine& m) {
          if (m.instances.erase(s.instance) == 0) return;
          std::erase_if(m.running, [&](const auto& r) { return r.second == s.instance; });
          report(m, s.instance, InstanceState::kStopped);
        });
      } else {
        owner.writes.push_back(std::move(action));
      }
    }
  }

  [[nodiscard]] bool is_fenced_off(const Owner& owner) const {
    return faults_.has_fence && owner.epoch != epoch_;
  }

  // One write, in any order. `is_answered` false: it takes place, the answer is lost, and it is
  // repeated later.
  void write_one(std::size_t index, bool is_answered) {
    Owner& owner = owners_[index];
    if (owner.cell == nullptr || owner.writes.empty()) return;
    const std::size_t at = random_.below(owner.writes.size());
    Action action = owner.writes[at];
    if (is_answered) owner.writes.erase(owner.writes.begin() + static_cast<std::ptrdiff_t>(at));
    Cell& cell = *owner.cell;
    if (auto* a = std::get_if<AssignPrediction>(&action)) {
      if (is_fenced_off(owner)) return depose(index);
      const store::Assigned answer = repeatable_assign(a->assignment);
      if (is_answered) cell.assigned(a->assignment.id, answer);
    } else if (auto* r = std::get_if<RequeuePrediction>(&action)) {
      if (is_fenced_off(owner)) return depose(index);
      const bool has_changed = rows_.requeue(r->requeue);
      if (is_answered) cell.requeued(r->requeue.id, has_changed);
    } else if (auto* f = std::get_if<FinishPrediction>(&action)) {
      const store::FinishOutcome outcome = rows_.finish(f->finish);
      if (is_answered) cell.finished(f->finish.id, outcome);
    } else if (auto* read = std::get_if<ReadPrediction>(&action)) {
      const auto it = rows_.active.find(read->id);
      if (is_answered) {
        cell.row_read(read->id,
                      it == rows_.active.end() ? std::nullopt : std::optional(it->second));
      }
    } else if (auto* insert = std::get_if<InsertInstance>(&action)) {
      if (is_fenced_off(owner)) return depose(index);
      instance_rows_.try_emplace(insert->row.id, insert->row);
      if (is_answered) cell.instance_inserted(insert->row.id);
    } else if (auto* record = std::get_if<RecordInstance>(&action)) {
      const auto it = instance_rows_.find(record->change.id);
      if (it != instance_rows_.end() && !is_terminal(it->second.state)) {
        it->second.state = record->change.state;
      }
    } else if (auto* worker = std::get_if<RecordWorker>(&action)) {
      worker_rows_[worker->worker].state = worker->state;
    } else if (auto* account = std::get_if<NeedAccount>(&action)) {
      cell.put_account(account->account, {});
    }
    collect(index);
  }
  store::Assigned repeatable_assign(const store::Assignment& a) {
    const auto it = rows_.active.find(a.id);
    if (it != rows_.active.end() && it->second.state == ActiveState::kAssigned &&
        it->second.attempt == a.expected_attempt + 1 && it->second.instance == a.instance &&
        it->second.incarnation == a.incarnation) {
      store::Assigned same;
      same.assigned = true;
      same.attempt = it->second.attempt;
      return same;
    }
    store::Assigned answer = rows_.assign(a);
    if (answer.assigned) committed_.insert({a.id, answer.attempt});
    return answer;
  }
  // Its batch was refused: it knows now that somebody else owns the cell.
  void depose(std::size_t index) {
    owners_[index].cell.reset();
    owners_[index].writes.clear();
    for (Machine& machine : workers_) {
      if (machine.session == index) machine.session.reset();
    }
  }

  void scan(std::size_t index) {
    Owner& owner = owners_[index];
    if (owner.cell == nullptr) return;
    std::vector<store::ActiveRow> all;
    for (const auto& [id, row] : rows_.active) all.push_back(row);
    std::array<std::uint8_t, 16> highest;
    highest.fill(0xff);
    owner.cell->scanned({.after = {}, .upto = Uuid(highest), .read_at = clock_.steady()}, all);
    collect(index);
  }

  // --- Network ----------------------------------------------------------------------------------

  void post(std::function<void()> deliver) { network_.push_back(std::move(deliver)); }

  // Lost when the machine's daemon ended since: its connections went with it.
  template <class Act>
  void to_worker(std::uint64_t epoch, WorkerId id, Act act) {
    std::uint64_t life = 0;
    for (const Machine& m : workers_) {
      if (m.id == id) life = m.life;
    }
    post([this, epoch, id, life, act] {
      for (Machine& m : workers_) {
        if (m.id != id || m.life != life) continue;
        if (epoch < m.highest_epoch) return;  // Of an owner that was replaced.
        m.highest_epoch = epoch;
        act(m);
      }
    });
  }
  // Messages of a stream that ended are lost with it.
  void to_owner(const Machine& m, std::function<void(Cell&)> act) {
    if (!m.session) return;
    post([this, id = m.id, index = *m.session, act = std::move(act)] {
      for (const Machine& now : workers_) {
        if (now.id == id && now.session != index) return;
      }
      if (owners_[index].cell == nullptr) return;
      act(*owners_[index].cell);
      collect(index);
    });
  }
  void deliver_one(bool is_fair) {
    if (network_.empty()) return;
    const std::size_t at = is_fair ? 0 : random_.below(network_.size());
    const std::function<void()> message = network_[at];
    const std::uint64_t fate = is_fair ? 9 : random_.below(10);
    if (fate != 1) network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(at));  // 1: twice.
    if (fate != 0) message();                                                           // 0: lost.
  }

  // --- Workers ----------------------------------------------------------------------------------

  void dial(Machine& m) {
    const std::size_t index = random_.below(4) == 0 ? random_.below(owners_.size()) : newest();
    Owner& owner = owners_[index];
    m.session.reset();
    if (owner.cell == nullptr || owner.epoch < m.highest_epoch) return;
    // As the fleet store registers it.
    store::WorkerRow& row = worker_rows_[m.id];
    const bool is_new = row.id.is_nil();
    const bool was_lost =
        row.state == store::WorkerState::kLost || row.state == store::WorkerState::kGone;
    row.id = m.id;
    row.cell = 1;
    if (is_new) {
      row.incarnation = m.incarnation;
    } else {
      row.incarnation = !was_lost && row.incarnation >= m.incarnation
                            ? row.incarnation
                            : std::max(row.incarnation, m.incarnation) + 1;
    }
    row.state = store::WorkerState::kReady;
    m.incarnation = row.incarnation;
    m.highest_epoch = owner.epoch;
    m.session = index;
    WorkerHello hello;
    hello.id = m.id;
    hello.incarnation = m.incarnation;
    hello.skus = {"cpu"};
    hello.total.cpu_milli = 2000;
    for (const InstanceId& id : m.instances) {
      hello.instances.push_back({.id = id, .state = InstanceState::kReady, .slots = 2});
    }
    for (const auto& [attempt, instance] : m.running) {
      hello.attempts.push_back(
          {.key = {attempt.first, attempt.second}, .instance = instance, .was_started = true});
    }
    for (const Attempt& attempt : m.spooled) {
      hello.attempts.push_back({.key = {attempt.first, attempt.second}, .is_spooled = true});
    }
    owner.cell->worker_hello(hello);
    collect(index);
  }

  void on_run(Machine& m, const SendRun& run) {
    const Attempt attempt{run.id, run.attempt};
    if (faults_.has_dedup && m.seen.contains(attempt)) return;
    if (!m.instances.contains(run.instance)) {
      to_owner(m, [id = m.id, run](Cell& cell) {
        cell.rejected(id, {run.id, run.attempt}, run.instance, RejectReason::kInstanceGone);
      });
      return;
    }
    if (!committed_.contains(attempt)) fail("an attempt ran without its commit");
    if (!executed_.insert(attempt).second) fail(kRanTwice);
    ++executions_;
    m.seen.insert(attempt);
    m.running[attempt] = run.instance;
    to_owner(m, [id = m.id, run](Cell& cell) { cell.accepted(id, {run.id, run.attempt}); });
    to_owner(m, [id = m.id, run](Cell& cell) { cell.started(id, {run.id, run.attempt}); });
    post([this, run] { rows_.mark_started(run.id, run.attempt); });
  }

  void end_attempt(Machine& m, const Attempt& attempt) {
    const InstanceId instance = m.running.at(attempt);
    m.running.erase(attempt);
    m.spooled.insert(attempt);
    to_owner(m, [id = m.id, attempt, instance](Cell& cell) {
      cell.ended(id, {.key = {attempt.first, attempt.second},
                      .instance = instance,
                      .ran = seconds{1},
                      .is_service_time = true});
    });
    offer(m, attempt);
  }
  // To a control plane, which commits and acknowledges it.
  void offer(const Machine& m, const Attempt& attempt) {
    post([this, id = m.id, attempt] {
      store::Finish f;
      f.id = attempt.first;
      f.attempt = attempt.second;
      f.status = PredictionStatus::kSucceeded;
      rows_.finish(f);
      post([this, id, attempt] {
        for (Machine& machine : workers_) {
          if (machine.id == id) machine.spooled.erase(attempt);
        }
      });
    });
  }
  void report(Machine& m, InstanceId instance, InstanceState state) {
    to_owner(m, [id = m.id, instance, state](Cell& cell) {
      cell.instance_changed(id, {.id = instance, .state = state, .slots = 2});
    });
  }
  // Containers survive the daemon; when the machine restarts they are gone, and with its disk also
  // every memory of them.
  void crash(Machine& m) {
    m.session.reset();
    ++m.life;
    const std::uint64_t how = random_.below(3);
    if (how == 0) return;
    if (how == 1) {  // Their attempts have a result: failed with their container.
      for (const auto& [attempt, instance] : m.running) m.spooled.insert(attempt);
    }
    m.running.clear();
    m.instances.clear();
    if (how == 2) {
      m.spooled.clear();
      m.seen.clear();
      ++m.incarnation;  // It knows that it has forgotten.
    }
  }

  // --- Clients ----------------------------------------------------------------------------------

  store::ActiveRow new_row() {
    store::ActiveRow row;
    row.id = ids_.next();
    row.cell = 1;
    row.target = kTarget;
    row.account = static_cast<AccountId>(1 + random_.below(2));
    row.run_limit = seconds{60};
    row.created_at = clock_.now();
    known_.push_back(row.id);
    return row;
  }
  void create_queued(store::ActiveRow row) {
    rows_.insert(row);
    post([this, row] {
      const std::size_t index = random_.below(owners_.size());
      if (owners_[index].cell == nullptr) return;
      owners_[index].cell->queued({.id = row.id,
                                   .target = kTarget,
                                   .account = row.account,
                                   .priority = Priority::kDefault,
                                   .run_limit = row.run_limit});
      collect(index);
    });
  }
  void reserve() {
    const std::size_t index = random_.below(owners_.size());
    if (owners_[index].cell == nullptr) return;
    const ReserveAnswer answer = owners_[index].cell->reserve(kTarget, 1);
    collect(index);
    if (answer.is_granted) grants_.push_back({index, owners_[index].epoch, answer});
  }
  void use_grant() {
    if (grants_.empty()) return;
    const Grant grant = grants_.back();
    grants_.pop_back();
    store::ActiveRow row = new_row();
    if (faults_.has_fence && grant.epoch != epoch_) return create_queued(row);
    row.state = ActiveState::kAssigned;
    row.attempt = 1;
    row.instance = grant.answer.instance;
    row.worker = grant.answer.worker;
    row.incarnation = grant.answer.incarnation;
    rows_.insert(row);
    committed_.insert({row.id, 1});
    post([this, grant, row] {
      if (owners_[grant.owner].cell == nullptr) return;
      owners_[grant.owner].cell->granted(
          {.grant = grant.answer.grant, .id = row.id, .input = "{}", .run_limit = row.run_limit});
      collect(grant.owner);
    });
  }
  void cancel() {
    if (known_.empty()) return;
    const PredictionId id = known_[random_.below(known_.size())];
    const bool was_queued = rows_.cancel(id);
    post([this, id, was_queued] {
      const std::size_t index = random_.below(owners_.size());
      if (owners_[index].cell == nullptr) return;
      owners_[index].cell->cancel(id, was_queued ? CancelCase::kWasQueued : CancelCase::kRequested);
      collect(index);
    });
    if (was_queued || random_.below(2) == 0) return;
    post([this, id] {  // After half a second without the worker's answer.
      const auto it = rows_.active.find(id);
      if (it == rows_.active.end() || !it->second.cancel_at) return;
      store::Finish f;
      f.id = id;
      f.attempt = it->second.attempt;
      f.status = PredictionStatus::kCanceled;
      rows_.finish(f);
    });
  }

  // --- The schedule -----------------------------------------------------------------------------

  void pass(milliseconds time, bool is_everybody_heard) {
    clock_.advance(time);
    for (std::size_t i = 0; i < owners_.size(); ++i) {
      if (owners_[i].cell == nullptr) continue;
      for (const Machine& m : workers_) {
        if (m.session == i && (is_everybody_heard || random_.below(3) != 0)) {
          owners_[i].cell->heard(m.id);
        }
      }
      owners_[i].cell->tick();
      collect(i);
    }
  }

  void step() {
    Machine& machine = workers_[random_.below(workers_.size())];
    const std::uint64_t what = random_.below(100);
    if (what < 30) {
      deliver_one(false);
    } else if (what < 52) {
      write_one(random_.below(owners_.size()), random_.below(8) != 0);
    } else if (what < 62) {
      create_queued(new_row());
    } else if (what < 67) {
      reserve();
    } else if (what < 71) {
      use_grant();
    } else if (what < 75) {
      cancel();
    } else if (what < 83) {
      if (!machine.running.empty()) end_attempt(machine, machine.running.begin()->first);
    } else if (what < 88) {
      pass(milliseconds{random_.below(1500)}, true);
    } else if (what < 90) {
      for (int i = 0; i < 8; ++i) pass(milliseconds{1500}, false);  // Somebody may be lost.
    } else if (what < 92) {
      crash(machine);
    } else if (what < 96) {
      dial(machine);
    } else if (what < 98) {
      scan(random_.below(owners_.size()));
    } else if (owners_.size() < 4) {
      take_over();  // The old one does not know, or is dead.
      if (random_.below(2) == 0) depose(owners_.size() - 2);
    }
    check();
  }

  // No more faults: everything that is on its way arrives, and time passes.
  void heal() {
    for (std::size_t i = 0; i + 1 < owners_.size(); ++i) depose(i);
    for (int round = 0; round < 400 && violation_.empty(); ++round) {
      if (round % 40 == 0) {
        for (Machine& m : workers_) dial_newest(m);
      }
      for (int i = 0; i < 40 && !owners_[newest()].writes.empty(); ++i) write_one(newest(), true);
      for (int i = 0; i < 40 && !network_.empty(); ++i) deliver_one(true);
      for (Machine& m : workers_) {
        while (!m.running.empty()) end_attempt(m, m.running.begin()->first);
        for (const Attempt& attempt : m.spooled) offer(m, attempt);
      }
      pass(milliseconds{500}, true);
      if (round % 4 == 0) scan(newest());
      check();
      if (rows_.active.empty() && round > 8) return finish_checks();
    }
    if (violation_.empty()) fail("a prediction never ended");
  }
  void dial_newest(Machine& m) {
    m.highest_epoch = std::min(m.highest_epoch, owners_[newest()].epoch);
    for (int tries = 0; tries < 20; ++tries) {
      dial(m);
      if (m.session == newest()) return;
    }
  }

  void check() {
    if (rows_.double_results > 0) fail("two results");
    for (const auto& [id, row] : rows_.active) {
      if (rows_.results.contains(id)) fail("terminal and active");
    }
  }
  void finish_checks() {
    for (const PredictionId& id : known_) {
      if (!rows_.results.contains(id)) fail("a prediction was lost");
    }
    for (int i = 0; i < 100; ++i) {
      scan(newest());
      while (!owners_[newest()].writes.empty()) write_one(newest(), true);
      while (!network_.empty()) deliver_one(true);
      pass(milliseconds{500}, true);
    }
    const CellCounts counts = owners_[newest()].cell->counts();
    if (counts.queued + counts.dispatched + counts.grants != 0)
      fail("the cell still holds something");
    if (owners_[newest()].cell->counts(kTarget).running != 0) fail("a slot was never given back");
  }

  const Faults faults_;
  FakeClock clock_;
  SeededRandom random_;
  IdGenerator ids_;
  CellOptions options_;
  TargetConfig config_;
  RowStore rows_;
  std::map<InstanceId, store::InstanceRow> instance_rows_;
  std::map<WorkerId, store::WorkerRow> worker_rows_;
  std::uint64_t epoch_ = 0;
  std::vector<Owner> owners_;
  std::vector<Machine> workers_;
  std::vector<std::function<void()>> network_;
  std::vector<Grant> grants_;
  std::vector<PredictionId> known_;
  std::set<Attempt> committed_;  // Assigned in the store, ever.
  std::set<Attempt> executed_;
  int executions_ = 0;
  std::string violation_;
};

int schedules(int standard) {
  const char* text = std::getenv("MIMEO_MODEL_SCHEDULES");
  return text == nullptr ? standard : std::atoi(text);
}
std::uint64_t first_seed() {
  const char* text = std::getenv("MIMEO_MODEL_SEED");
  return text == nullptr ? 1 : static_cast<std::uint64_t>(std::atoll(text));
}

TEST(CellModel, EveryPredictionGetsOneResultWhateverHappens) {
  const int count = schedules(1000);
  long executions = 0;
  long predictions = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t seed = first_seed() + static_cast<std::uint64_t>(i);
    Model model(seed, {});
    model.run(120);
    ASSERT_EQ(model.violation(), "") << "MIMEO_MODEL_SEED=" << seed;
    executions += model.executions();
    predictions += model.predictions();
  }
  const double each = static_cast<double>(executions) / static_cast<double>(predictions);
  RecordProperty("executions_per_prediction", std::to_string(each));
  EXPECT_LT(each, 1.3) << "retries without a cause";
}

// The fence keeps owners from working against each other; one result is the store's promise alone.
TEST(CellModel, GivesOneResultEvenWithoutTheFence) {
  const int count = schedules(1000) / 5;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t seed = first_seed() + static_cast<std::uint64_t>(i);
    Model model(seed, {.has_fence = false});
    model.run(120);
    if (model.violation() == kRanTwice) continue;  // Wasted work, once in thousands.
    ASSERT_EQ(model.violation(), "") << "MIMEO_MODEL_SEED=" << seed;
  }
}

TEST(CellModel, NoticesWorkersThatRunAnAttemptTwice) {
  const int count = schedules(1000) / 5;
  bool is_noticed = false;
  for (int i = 0; i < count && !is_noticed; ++i) {
    Model model(first_seed() + static_cast<std::uint64_t>(i), {.has_dedup = false});
    model.run(120);
    is_noticed = model.violation() == kRanTwice;
  }
  EXPECT_TRUE(is_noticed) << "the model is blind";
}

}  // namespace
}  // namespace mimeo::scheduler
