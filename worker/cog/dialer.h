// How the server inside of a container is reached; worker/shim/container_network.h implements it.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "common/base/status.h"

namespace mimeo::worker::cog {

class Dialer {
 public:
  virtual ~Dialer() = default;
  // A connected TCP socket, owned by the caller. kUnavailable when nobody listens there.
  virtual boost::asio::awaitable<Result<int>> dial() = 0;
};

}  // namespace mimeo::worker::cog
