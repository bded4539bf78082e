// Keep-alive connections to the server in one container: about one per slot, plus one for health.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "common/http/client.h"
#include "worker/cog/dialer.h"

namespace mimeo::worker::cog {

struct Connection {
  std::unique_ptr<http::ClientConnection> http;
  int fd = -1;            // Owned by `http`; only looked at, never read or closed.
  bool was_used = false;  // Has carried a request before this one.
};

enum class Freshness : std::uint8_t {
  kAny,    // An idle one if there is one that is still open.
  kFresh,  // Always dialled: for servers that close idle connections whenever they like.
};

// On one executor. Must outlive what it hands out only until give_back().
class Connections {
 public:
  Connections(boost::asio::any_io_executor executor, Dialer& dialer)
      : executor_(std::move(executor)), dialer_(dialer) {}

  // kUnavailable when the server does not listen.
  boost::asio::awaitable<Result<std::unique_ptr<Connection>>> take(Freshness freshness);
  // Closed ones are dropped.
  void give_back(std::unique_ptr<Connection> connection);

  // One whole exchange on any connection, tried once more on a fresh one when an idle one turned
  // out to be dead. Only for requests that may be repeated.
  boost::asio::awaitable<Result<http::Response>> exchange(http::ClientRequest request);

 private:
  static constexpr std::size_t kMaxIdle = 64;

  boost::asio::any_io_executor executor_;
  Dialer& dialer_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace mimeo::worker::cog
