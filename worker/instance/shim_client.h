// The daemon's end of worker/shim/shim.proto: one connection to one shim.
//
// On the latency path of every prediction: what is sent while a write is on its way leaves together
// in the next one, nothing waits for a timer. Starting shims, and what
// their messages mean, is instance.h's and attempts/'s.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "worker/shim/shim.pb.h"

namespace mimeo::worker {

struct ShimCallbacks {
  std::function<void(FromShim)> on_message;
  std::function<void(Status)> on_closed;  // Once, with the reason; nothing comes after it.
};

// Used on one executor. Destroying it closes the connection without a callback.
class ShimClient {
 public:
  // kUnavailable when nobody listens at `socket_path`. The first message to come is a ShimState.
  static Result<std::unique_ptr<ShimClient>> connect(boost::asio::any_io_executor executor,
                                                     const std::string& socket_path,
                                                     ShimCallbacks callbacks);
  ~ShimClient();
  ShimClient(const ShimClient&) = delete;
  ShimClient& operator=(const ShimClient&) = delete;

  // Dropped when the connection is closed: the shim is asked again at the next one.
  void send(const ToShim& message);

 private:
  struct State;
  explicit ShimClient(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // Shared with pending reads and writes.
};

}  // namespace mimeo::worker
