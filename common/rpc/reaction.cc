#include "common/rpc/reaction.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <mutex>
#include <optional>
#include <utility>

namespace mimeo::rpc::internal {

namespace asio = boost::asio;

struct Reaction::State {
  std::mutex mutex;
  std::function<void(bool)> waiting;  // Guarded by mutex, as is early.
  std::optional<bool> early;          // Came before anybody waited.
};

Reaction::Reaction() : state_(std::make_shared<State>()) {}

void Reaction::complete(bool ok) const {
  std::unique_lock lock(state_->mutex);
  if (!state_->waiting) {
    state_->early = ok;
    return;
  }
  const auto waiting = std::exchange(state_->waiting, nullptr);
  lock.unlock();
  waiting(ok);
}

asio::awaitable<bool> Reaction::wait(std::function<void()> start, std::function<void()> cancel) {
  return wait_on(state_, std::move(start), std::move(cancel));
}

asio::awaitable<bool> Reaction::wait_on(std::shared_ptr<State> state, std::function<void()> start,
                                        std::function<void()> cancel) {
  auto initiate = [state, &start, &cancel](auto handler) {
    const auto executor = asio::get_associated_executor(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    const std::function<void(bool)> resume = [executor, slot, shared](bool ok) {
      asio::post(executor, [slot, shared, ok]() mutable {
        if (slot.is_connected()) slot.clear();
        std::move (*shared)(ok);
      });
    };
    if (slot.is_connected() && cancel) {
      slot.assign([cancel](asio::cancellation_type) { cancel(); });
    }
    if (start) start();
    std::unique_lock lock(state->mutex);
    if (!state->early) {
      state->waiting = resume;
      return;
    }
    const bool ok = *state->early;
    state->early.reset();
    lock.unlock();
    resume(ok);
  };
  const bool result = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
      initiate, asio::use_awaitable);
  co_return result;
}

}  // namespace mimeo::rpc::internal
