#include "common/async/signal_event.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <list>
#include <utility>

#include "common/base/clock.h"

namespace mimeo {

namespace asio = boost::asio;

struct SignalEvent::State {
  explicit State(asio::any_io_executor executor_in) : executor(std::move(executor_in)) {}

  void wake() {
    for (auto* waiter : waiters) waiter->cancel();
  }

  const asio::any_io_executor executor;
  std::list<asio::steady_timer*> waiters;  // One for each coroutine that waits.
  std::uint64_t sets = 0;                  // So that a reset() cannot hide a set() from a waiter.
  bool is_set = false;
};

SignalEvent::SignalEvent(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

SignalEvent::~SignalEvent() { state_->wake(); }

void SignalEvent::set() {
  state_->is_set = true;
  ++state_->sets;
  state_->wake();
}

void SignalEvent::reset() { state_->is_set = false; }

bool SignalEvent::is_set() const { return state_->is_set; }

asio::awaitable<bool> SignalEvent::wait_for(std::chrono::milliseconds limit) {
  return wait_until(state_, SystemClock().steady() + limit);
}

asio::awaitable<bool> SignalEvent::wait() {
  return wait_until(state_, std::chrono::steady_clock::time_point::max());
}

asio::awaitable<bool> SignalEvent::wait_until(std::shared_ptr<State> state,
                                              std::chrono::steady_clock::time_point end) {
  if (state->is_set) co_return true;
  const std::uint64_t sets_before = state->sets;
  asio::steady_timer timer(state->executor, end);
  const auto place = state->waiters.insert(state->waiters.end(), &timer);
  boost::system::error_code ignored;  // Expired, woken or cancelled: the state tells.
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  state->waiters.erase(place);
  co_return state->sets != sets_before;
}

}  // namespace mimeo
