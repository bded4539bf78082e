// A level-triggered event that coroutines of one executor wait for: "something changed, look
// again".

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

namespace mimeo {

// Touched only on its executor's thread. Any number of waiters; set() wakes all, also those that
// resume only after a reset(). May be destroyed while somebody waits: that one is told false.
class SignalEvent {
 public:
  explicit SignalEvent(boost::asio::any_io_executor executor);
  SignalEvent(const SignalEvent&) = delete;
  SignalEvent& operator=(const SignalEvent&) = delete;
  ~SignalEvent();
  void set();
  void reset();
  [[nodiscard]] bool is_set() const;
  // True at once when set, else when set() comes; false after `limit` or when cancelled.
  boost::asio::awaitable<bool> wait_for(std::chrono::milliseconds limit);
  boost::asio::awaitable<bool> wait();

 private:
  struct State;
  static boost::asio::awaitable<bool> wait_until(std::shared_ptr<State> state,
                                                 std::chrono::steady_clock::time_point end);
  std::shared_ptr<State> state_;  // Shared with those who wait.
};

}  // namespace mimeo
