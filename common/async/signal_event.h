// A level-triggered event that coroutines of one executor wait for: "something changed, look
// again".

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>

namespace mimeo {

// Touched only on its executor's thread. Any number of waiters; set() wakes all, reset() arms
// again.
class SignalEvent {
 public:
  explicit SignalEvent(boost::asio::any_io_executor executor);
  void set();
  void reset();
  [[nodiscard]] bool is_set() const { return is_set_; }
  // True at once when set, else when set() comes; false after `limit` or when cancelled.
  boost::asio::awaitable<bool> wait_for(std::chrono::milliseconds limit);
  boost::asio::awaitable<bool> wait();

 private:
  boost::asio::steady_timer timer_;  // Never expires by itself; cancel wakes.
  bool is_set_ = false;
};

}  // namespace mimeo
