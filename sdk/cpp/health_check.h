// Asks the model's own health check, with a limit.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"

namespace mimeo::sdk {

// Used on the executor's thread; the function runs on a thread of its own, once at a time, for all
// who ask meanwhile.
class HealthCheck {
 public:
  HealthCheck(boost::asio::any_io_executor executor, std::function<bool()> function,
              std::chrono::milliseconds limit);

  // "" when the model is well, else what is wrong, in Cog's words.
  boost::asio::awaitable<std::string> ask();

 private:
  struct Check;
  void start();

  boost::asio::any_io_executor executor_;
  const std::function<bool()> function_;
  const std::chrono::milliseconds limit_;
  std::shared_ptr<Check> current_;  // Null when none runs.
  BlockingPool pool_{1};
};

}  // namespace mimeo::sdk
