// Puts the shim of one container together: its network, its gateway, its server's health, its
// attempts, and the daemon's connection. Decides when the process may end.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/http/server.h"
#include "worker/cog/connections.h"
#include "worker/gateway/gateway.h"
#include "worker/shim/attempts.h"
#include "worker/shim/container_network.h"
#include "worker/shim/daemon_link.h"
#include "worker/shim/health_watch.h"
#include "worker/shim/shim.pb.h"

namespace mimeo::worker {

// How long a shim lives without anybody who wants its results.
inline constexpr std::chrono::hours kOrphanLimit{24};

// On one executor with one thread. start() once; `on_exit` is called once, when nothing is left to
// do, and the process should end.
class Shim {
 public:
  // `config` is checked and complete (config.h). `clock` and `random` outlive the shim.
  Shim(boost::asio::any_io_executor executor, ShimConfig config, const Clock& clock, Random& random,
       std::function<void()> on_exit);
  ~Shim();
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;

  // Enters the network namespace, opens the gateway and the socket for the daemon, starts watching.
  // Blocks for a moment. Errors say which of these failed.
  Status start();

  // Running attempts are given `grace`, then cut off; then on_exit.
  void shut_down(std::chrono::milliseconds grace);

 private:
  Status make_directories() const;
  Status start_gateway();
  void watch_container();
  boost::asio::awaitable<void> report_container_gone();
  void on_message(ToShim message);
  void on_health_change();
  void send_state() { is_state_due_ = true; }
  void collect(std::string& out, std::size_t limit);
  void look_what_is_left();
  void orphaned();
  boost::asio::awaitable<void> finish(std::chrono::milliseconds grace);
  boost::asio::awaitable<bool> is_server_alive();
  [[nodiscard]] ShimState describe() const;

  const boost::asio::any_io_executor executor_;
  const ShimConfig config_;
  const Clock& clock_;
  Random& random_;
  const std::function<void()> on_exit_;

  BlockingPool pool_{2};  // Files of the gateway, tails of logs.
  std::unique_ptr<ContainerNetwork> network_;
  std::unique_ptr<cog::Connections> connections_;
  std::unique_ptr<Gateway> gateway_;  // Null when the container has none.
  std::unique_ptr<http::Server> gateway_server_;
  std::unique_ptr<HealthWatch> health_;
  std::unique_ptr<Attempts> attempts_;
  std::unique_ptr<DaemonLink> daemon_;
  boost::asio::steady_timer orphan_timer_;
  // Readable when the container's first process has ended.
  struct ContainerProcess;
  std::unique_ptr<ContainerProcess> container_;
  // What the daemon is told: READY only once everything that a run needs is known.
  Verdict verdict_ = Verdict::kStarting;
  bool is_container_gone_ = false;
  bool is_state_due_ = false;
  bool is_ending_ = false;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::worker
