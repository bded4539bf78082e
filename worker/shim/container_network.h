// Sockets in a container's network namespace, or on the host where the container has none of its
// own. One thread enters the namespace once and stays there: every socket that it makes belongs to
// the container's network, whoever uses it later (a connect costs 48 us). The rest of the shim
// never leaves the host's.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/base/status.h"
#include "worker/cog/dialer.h"

namespace mimeo::worker {

struct ContainerAddress {
  std::string host = "127.0.0.1";  // IPv4.
  std::uint16_t port = 5000;
};

// "host:port" with an IPv4 address; kInvalidArgument otherwise.
[[nodiscard]] Result<ContainerAddress> parse_address(const std::string& text);

class ContainerNetwork final : public cog::Dialer {
 public:
  // Enters the network namespace of `pid`; 0 = stay on the host. Blocks. kPermissionDenied without
  // CAP_SYS_ADMIN, kNotFound when there is no such process.
  static Result<std::unique_ptr<ContainerNetwork>> enter(std::uint32_t pid,
                                                         ContainerAddress server);
  ~ContainerNetwork() override = default;

  // Connects to the Cog server. kUnavailable when it does not listen or does not answer in a
  // second.
  boost::asio::awaitable<Result<int>> dial() override;

  // A listening TCP socket in the container's network. Blocks, for the start of the process.
  // kAlreadyExists when the port is taken.
  [[nodiscard]] Result<int> listen(const ContainerAddress& address);

 private:
  explicit ContainerNetwork(ContainerAddress server) : server_(std::move(server)) {}

  const ContainerAddress server_;
  BlockingPool thread_{1};  // Exactly one: it is the thread that is in the namespace.
};

}  // namespace mimeo::worker
