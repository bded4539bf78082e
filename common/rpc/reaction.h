// Lets a coroutine wait for a reaction of gRPC's callback API. unary.h and streams.h are built on
// it; nothing else needs it.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

namespace mimeo::rpc::internal {

// One result that comes from a gRPC thread and one coroutine that waits for it, in either order;
// then the next. At most one wait at a time.
class Reaction {
 public:
  Reaction();
  // Any thread.
  void complete(bool ok) const;
  // Calls `start`, then suspends until complete(). When the coroutine is cancelled meanwhile,
  // `cancel` is called and must make complete() come soon; the result is then that of complete().
  boost::asio::awaitable<bool> wait(std::function<void()> start, std::function<void()> cancel);

 private:
  struct State;
  static boost::asio::awaitable<bool> wait_on(std::shared_ptr<State> state,
                                              std::function<void()> start,
                                              std::function<void()> cancel);
  std::shared_ptr<State> state_;  // Shared with the waiting coroutine.
};

}  // namespace mimeo::rpc::internal
