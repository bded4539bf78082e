// Asks the server in the container how it is, for as long as the shim lives: every 15 ms until it
// is ready, every 2 s while it is idle, every 5 s while it works, every 500 ms while something is
// odd. Once it is ready, finds out what the runs need to know about it.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"
#include "common/base/clock.h"
#include "worker/cog/cog_run.h"
#include "worker/cog/connections.h"
#include "worker/shim/health_state.h"

namespace mimeo::worker {

struct HealthWatchOptions {
  HealthLimits limits;
  cog::RunKind kind = cog::RunKind::kPrediction;
  std::string openapi_schema;  // As the daemon knows it; empty = ask the server.
  std::uint32_t slots = 1;
  std::string log_path;  // Of the container, for the reason of a failed setup.
};

struct HealthWatchCallbacks {
  std::function<std::uint32_t()> in_flight;
  std::function<SteadyTime()> idle_since;
  // The verdict changed. When it became kReady, facts() is complete.
  std::function<void()> on_change;
};

// On one executor; `connections`, `pool` and `clock` outlive it.
class HealthWatch {
 public:
  HealthWatch(boost::asio::any_io_executor executor, HealthWatchOptions options,
              cog::Connections& connections, BlockingPool& pool, const Clock& clock,
              HealthWatchCallbacks callbacks);

  // Watches until it is cancelled or the verdict is final. Spawned once.
  boost::asio::awaitable<void> run();
  // Something odd happened (a refusal, a lost connection): look now.
  void poke() { poked_.set(); }
  void container_gone(const std::string& reason);

  [[nodiscard]] const HealthJudgement& judgement() const { return state_.current(); }
  [[nodiscard]] const cog::ServerFacts& facts() const { return facts_; }
  // One look at the server, without judging it.
  boost::asio::awaitable<Result<cog::HealthReport>> ask(std::chrono::milliseconds timeout);

 private:
  [[nodiscard]] bool is_final() const;
  [[nodiscard]] std::chrono::milliseconds pause() const;
  boost::asio::awaitable<void> learn_facts(cog::HealthReport report);
  boost::asio::awaitable<void> add_log_tail();

  const HealthWatchOptions options_;
  cog::Connections& connections_;
  BlockingPool& pool_;
  const Clock& clock_;
  const HealthWatchCallbacks callbacks_;
  HealthState state_;
  cog::ServerFacts facts_;
  std::string log_tail_;
  SignalEvent poked_;

 public:
  // The judgement's detail, with the end of the container's log behind the reason of a failure.
  [[nodiscard]] std::string detail() const;
};

}  // namespace mimeo::worker
