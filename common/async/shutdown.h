// SIGTERM and SIGINT: the first one asks the process to stop in order, the second one ends it at
// once, even when its I/O thread hangs.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>

namespace mimeo {

// One per process, made in main before other threads. Until it is destroyed, the first signal calls
// `on_shutdown` on the executor; a second one ends the process with 128 + its number.
class ShutdownSignals {
 public:
  ShutdownSignals(boost::asio::any_io_executor executor, std::function<void()> on_shutdown);
  ShutdownSignals(const ShutdownSignals&) = delete;
  ShutdownSignals& operator=(const ShutdownSignals&) = delete;
  ~ShutdownSignals();

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the pending read.
};

}  // namespace mimeo
