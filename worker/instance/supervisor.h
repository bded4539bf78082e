// All instances of this worker: makes those that the scheduler wants, finds those that outlived the
// daemon again, and clears away what is left of the dead.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "proto/worker_session.pb.h"
#include "worker/instance/instance.h"
#include "worker/state_dir.h"

namespace mimeo::worker {

// On one executor.
class Supervisor {
 public:
  // What `parts` refers to and `state` outlive it.
  Supervisor(InstanceParts parts, InstancePolicy policy, StateDir& state);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // After a restart: takes up instances whose container and shim still live, reports the others as
  // failed, removes containers that belong to no instance. Before anything else.
  boost::asio::awaitable<Status> adopt_all();

  // Idempotent: an instance that exists, or ended a moment ago, is only reported again.
  void ensure(const v1::EnsureInstance& wish);
  // Of one that does not exist the end is reported (again), so that the scheduler forgets it.
  void stop(InstanceId id, std::chrono::milliseconds drain);
  void stop_all(std::chrono::milliseconds drain);

  // Null when there is none.
  [[nodiscard]] Instance* find(InstanceId id);
  // Of all that exist, and of those that ended lately (their last report may have been lost).
  [[nodiscard]] std::vector<v1::InstanceReport> reports() const;
  [[nodiscard]] std::size_t size() const { return instances_.size(); }

  // From InstanceUser::on_report and on_gone.
  void note(const v1::InstanceReport& report);
  void retire(Instance& instance);

  // Suspends until no instance is left; false after `limit`.
  boost::asio::awaitable<bool> wait_empty(std::chrono::milliseconds limit);
  // Lets go of every instance without stopping it: containers and shims stay for the next daemon.
  boost::asio::awaitable<void> detach();

 private:
  Instance& add(InstanceId id, v1::EnsureInstance wish);
  [[nodiscard]] const v1::InstanceReport* find_ended(const std::string& id) const;
  boost::asio::awaitable<void> reap(InstanceId id);

  InstanceParts parts_;
  const InstancePolicy policy_;
  StateDir& state_;
  std::map<InstanceId, std::unique_ptr<Instance>> instances_;
  std::deque<v1::InstanceReport> ended_;  // Newest last.
  SignalEvent became_empty_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::worker
