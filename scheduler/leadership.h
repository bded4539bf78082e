// Which cells this process owns: takes free ones, renews their leases, gives them back at the end.
//
// A lease lasts 4 s by the database's clock and is renewed every second; stand-bys look every
// 500 ms. Being late is never dangerous, only slow: every write of an owner is fenced by the epoch.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/async/task_group.h"
#include "scheduler/cell_host.h"
#include "scheduler/hub_directory.h"
#include "scheduler/parts.h"

namespace mimeo::scheduler {

struct LeadershipOptions {
  ReplicaId replica;
  std::string advertise;  // What other processes dial.
  std::string version = "0.1.0";
  std::size_t want_cells = 0;  // At most this many; 0 = as many as there are.
  std::chrono::milliseconds lease{4000};
  std::chrono::milliseconds renew_every{1000};
  std::chrono::milliseconds poll_every{500};
  std::chrono::milliseconds replica_lease{5000};
  // After the database was away: owners renew first, so that nothing is taken from them needlessly.
  std::chrono::milliseconds wait_after_outage{2000};
  CellHostOptions host;
};

// On the executor.
class Leadership {
 public:
  // `on_change` is called when the set of live cells changed.
  Leadership(boost::asio::any_io_executor executor, SchedulerParts& parts, HubDirectory& hubs,
             LeadershipOptions options, std::function<void()> on_change);

  void start();
  // Gives everything back: assigns no more, writes what was decided, releases the leases, closes
  // the workers' streams. Suspends until done, or for about `limit`.
  boost::asio::awaitable<void> stop(std::chrono::milliseconds limit);

  // Ends everything without giving anything back, as if the process had been killed. For tests.
  boost::asio::awaitable<void> abandon();

  // The owner of the cell in this process, live; nullptr otherwise.
  [[nodiscard]] std::shared_ptr<CellHost> find(CellId cell) const;
  // The live cell that knows this target.
  [[nodiscard]] std::shared_ptr<CellHost> find_by_target(TargetId target) const;
  [[nodiscard]] std::vector<std::shared_ptr<CellHost>> live() const;
  // OK when this process can serve or stand by.
  [[nodiscard]] Status readiness() const;
  [[nodiscard]] ReplicaId replica() const { return options_.replica; }
  [[nodiscard]] const std::string& advertise() const { return options_.advertise; }
  // Before start(), when the address is known only then.
  void advertise_as(std::string address) { options_.advertise = std::move(address); }

 private:
  boost::asio::awaitable<void> beat();
  boost::asio::awaitable<void> poll();
  boost::asio::awaitable<void> watch_hubs();
  boost::asio::awaitable<void> renew(std::shared_ptr<CellHost> host);
  boost::asio::awaitable<void> load(std::shared_ptr<CellHost> host);
  boost::asio::awaitable<void> give_up(std::shared_ptr<CellHost> host);
  boost::asio::awaitable<void> take(CellId cell);
  boost::asio::awaitable<void> hand_back(std::shared_ptr<CellHost> host,
                                         std::chrono::milliseconds limit);
  void lose(CellId cell, std::uint64_t epoch);
  [[nodiscard]] bool may_take(std::size_t cells, std::size_t schedulers) const;

  const boost::asio::any_io_executor executor_;
  SchedulerParts& parts_;
  HubDirectory& hubs_;
  LeadershipOptions options_;  // Constant after start().
  const std::function<void()> on_change_;
  std::map<CellId, std::shared_ptr<CellHost>> hosts_;  // Owned, live or loading.
  SteadyTime last_failure_ = SteadyTime::min();        // Of a poll.
  Status last_poll_;
  bool has_polled_ = false;
  bool is_stopping_ = false;
  TaskGroup endings_;  // Hosts that are being closed: waited for, not cancelled.
  TaskGroup tasks_;    // Last: its tasks use everything above.
};

}  // namespace mimeo::scheduler
