#include "worker/shim/container_network.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <system_error>
#include <utility>

namespace mimeo::worker {
namespace {

constexpr int kConnectTimeoutMs = 1000;
constexpr int kBacklog = 256;

std::string error_text(int error) { return std::system_category().message(error); }

Result<sockaddr_in> to_sockaddr(const ContainerAddress& address) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(address.port);
  if (::inet_pton(AF_INET, address.host.c_str(), &out.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("not an IPv4 address: ", address.host));
  }
  return out;
}

void set_flag(int fd, int level, int option) {
  const int on = 1;
  ::setsockopt(fd, level, option, &on, sizeof(on));
}

// 0 or the error number.
int finish_connect(int fd) {
  pollfd waiting{fd, POLLOUT, 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, kConnectTimeoutMs);
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return ready == 0 ? ETIMEDOUT : errno;
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

Result<int> connect_to(const ContainerAddress& address) {
  MIMEO_ASSIGN_OR_RETURN(const sockaddr_in target, to_sockaddr(address));
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::UnavailableError(error_text(errno));
  set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
  set_flag(fd, SOL_SOCKET, SO_KEEPALIVE);
  int error = 0;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&target), sizeof(target)) != 0) {
    error = errno == EINPROGRESS ? finish_connect(fd) : errno;
  }
  if (error == 0) return fd;
  ::close(fd);
  return absl::UnavailableError(absl::StrCat("connecting to the model server at ", address.host,
                                             ":", address.port, ": ", error_text(error)));
}

Result<int> listen_on(const ContainerAddress& address) {
  MIMEO_ASSIGN_OR_RETURN(const sockaddr_in local, to_sockaddr(address));
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::InternalError(error_text(errno));
  set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    const std::string text =
        absl::StrCat("listening on ", address.host, ":", address.port, ": ", error_text(error));
    return error == EADDRINUSE ? absl::AlreadyExistsError(text) : absl::InternalError(text);
  }
  return fd;
}

Status enter_namespace(std::uint32_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/ns/net");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::NotFoundError(absl::StrCat(path, ": ", error_text(errno)));
  const int entered = ::setns(fd, CLONE_NEWNET);
  const int error = errno;
  ::close(fd);
  if (entered == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("entering the network namespace of process ", pid, ": ", error_text(error)));
}

}  // namespace

Result<ContainerAddress> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 1 ||
      port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("not an address host:port: ", text));
  }
  ContainerAddress address{text.substr(0, colon), static_cast<std::uint16_t>(port)};
  if (address.host == "localhost") address.host = "127.0.0.1";
  MIMEO_RETURN_IF_ERROR(to_sockaddr(address).status());
  return address;
}

Result<std::unique_ptr<ContainerNetwork>> ContainerNetwork::enter(std::uint32_t pid,
                                                                  ContainerAddress server) {
  std::unique_ptr<ContainerNetwork> network(new ContainerNetwork(std::move(server)));
  if (pid != 0) {
    std::promise<Status> entered;
    network->thread_.post([&entered, pid] { entered.set_value(enter_namespace(pid)); });
    MIMEO_RETURN_IF_ERROR(entered.get_future().get());
  }
  return network;
}

boost::asio::awaitable<Result<int>> ContainerNetwork::dial() {
  auto connect = [address = server_] { return connect_to(address); };
  Result<int> fd = co_await thread_.run(std::move(connect));
  co_return fd;
}

Result<int> ContainerNetwork::listen(const ContainerAddress& address) {
  std::promise<Result<int>> listening;
  thread_.post([&listening, &address] { listening.set_value(listen_on(address)); });
  return listening.get_future().get();
}

}  // namespace mimeo::worker
