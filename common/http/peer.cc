#include "common/http/peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace mimeo::http {
namespace {

constexpr int kBacklog = 4096;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  [[nodiscard]] const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&storage);  // NOLINT: the sockets API.
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }  // NOLINT
};

std::string error_text() { return std::strerror(errno); }

Result<Address> tcp_address(const std::string& text, std::uint16_t port) {
  Address address;
  const std::string literal = text == "localhost" ? "127.0.0.1" : text;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  if (inet_pton(AF_INET, literal.c_str(), &v4.sin_addr) == 1) {
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
    return address;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  if (inet_pton(AF_INET6, literal.c_str(), &v6.sin6_addr) == 1) {
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
    return address;
  }
  return absl::InvalidArgumentError("'" + text + "' is not an IP address to listen on");
}

Result<Address> unix_address(const std::string& path) {
  Address address;
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  if (path.size() >= sizeof un.sun_path) {
    return absl::InvalidArgumentError("the socket path " + path + " is longer than 107 bytes");
  }
  std::memcpy(un.sun_path, path.c_str(), path.size() + 1);
  std::memcpy(&address.storage, &un, sizeof un);
  address.size = sizeof un;
  return address;
}

// A socket file that nobody listens on any more is in the way of bind().
void remove_stale(const std::string& path, const Address& address) {
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return;
  if (::connect(probe, address.get(), address.size) != 0 && errno == ECONNREFUSED) {
    ::unlink(path.c_str());
  }
  ::close(probe);
}

Result<int> bind_and_listen(const Address& address, const std::string& name) {
  const int family = address.get()->sa_family;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::UnavailableError("making a socket: " + error_text());
  const int on = 1;
  if (family != AF_UNIX) {
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // Accepted sockets inherit it.
  }
  if (::bind(fd, address.get(), address.size) == 0 && ::listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  if (error == EADDRINUSE) return absl::AlreadyExistsError(name + " is in use by another server");
  return absl::InvalidArgumentError("listening on " + name + ": " + error_text());
}

}  // namespace

std::string peer_name(int fd) {
  Address address;
  if (::getpeername(fd, address.get(), &address.size) != 0) return "";
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  return "unix";
}

std::uint16_t local_port(int fd) {
  Address address;
  if (::getsockname(fd, address.get(), &address.size) != 0) return 0;
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    return ntohs(v4.sin_port);
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    return ntohs(v6.sin6_port);
  }
  return 0;
}

Result<int> listen_socket(const ServerOptions& options) {
  if (options.inherited_fd >= 0) {
    int is_listening = 0;
    socklen_t size = sizeof is_listening;
    if (::getsockopt(options.inherited_fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 ||
        is_listening == 0) {
      return absl::InvalidArgumentError("the inherited descriptor is not a listening socket");
    }
    ::fcntl(options.inherited_fd, F_SETFL, ::fcntl(options.inherited_fd, F_GETFL) | O_NONBLOCK);
    return options.inherited_fd;
  }
  if (!options.unix_path.empty()) {
    MIMEO_ASSIGN_OR_RETURN(const Address address, unix_address(options.unix_path));
    remove_stale(options.unix_path, address);
    return bind_and_listen(address, options.unix_path);
  }
  MIMEO_ASSIGN_OR_RETURN(const Address address, tcp_address(options.address, options.port));
  return bind_and_listen(address, options.address + ":" + std::to_string(options.port));
}

}  // namespace mimeo::http
