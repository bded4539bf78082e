#include "common/http/client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <vector>

#include "common/http/client_connection.h"

namespace mimeo::http {
namespace {

using boost::asio::generic::stream_protocol;
using wire::ErrorCode;

bool has_line_end(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

boost::asio::awaitable<Result<ClientSocket>> connect_endpoint(boost::asio::any_io_executor executor,
                                                              stream_protocol::endpoint endpoint,
                                                              std::string name,
                                                              std::chrono::milliseconds timeout) {
  ClientSocket socket(executor);
  ErrorCode ec;
  socket.open(stream_protocol(endpoint.protocol().family(), 0), ec);
  if (ec) co_return absl::UnavailableError("connecting to " + name + ": " + ec.message());
  ClientSocket* const cancelled = &socket;
  wire::Deadline deadline(executor, [cancelled] {
    ErrorCode ignored;
    cancelled->cancel(ignored);
  });
  deadline.set(timeout);
  auto [error] = co_await socket.async_connect(endpoint, wire::kAwait);
  if (deadline.has_expired()) {
    co_return absl::DeadlineExceededError("connecting to " + name + ": timed out");
  }
  if (error == boost::asio::error::operation_aborted) {
    co_return absl::CancelledError("connecting to " + name);
  }
  if (error) co_return absl::UnavailableError("connecting to " + name + ": " + error.message());
  const int on = 1;  // Fails on Unix sockets, harmlessly.
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  co_return socket;
}

boost::asio::awaitable<Result<std::vector<boost::asio::ip::tcp::endpoint>>> resolve(
    boost::asio::any_io_executor executor, std::string address, std::uint16_t port) {
  std::vector<boost::asio::ip::tcp::endpoint> endpoints;
  ErrorCode ec;
  const auto literal = boost::asio::ip::make_address(address, ec);
  if (!ec) {
    endpoints.emplace_back(literal, port);
    co_return endpoints;
  }
  boost::asio::ip::tcp::resolver resolver(executor);
  std::string service = std::to_string(port);
  auto [error, found] = co_await resolver.async_resolve(address, service, wire::kAwait);
  if (error) co_return absl::UnavailableError("resolving " + address + ": " + error.message());
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  co_return endpoints;
}

}  // namespace

Result<std::string> client_head(const ClientRequest& request) {
  if (has_line_end(request.method) || has_line_end(request.target)) {
    return absl::InvalidArgumentError("a line end in the request line");
  }
  std::string head;
  head.reserve(256 + request.body.size());
  head.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\n");
  if (!request.headers.find("Host")) head += "Host: localhost\r\n";
  for (const auto& [name, value] : request.headers.fields()) {
    if (has_line_end(name) || has_line_end(value)) {
      return absl::InvalidArgumentError("a line end in the field " + name);
    }
    head.append(name).append(": ").append(value).append("\r\n");
  }
  const bool has_length =
      request.headers.find("Content-Length") || request.headers.find("Transfer-Encoding");
  const bool wants_length = !request.body.empty() || request.method == "POST" ||
                            request.method == "PUT" || request.method == "PATCH";
  if (!has_length && wants_length) {
    head.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
  }
  head += "\r\n";
  return head;
}

boost::asio::awaitable<Result<ClientSocket>> connect_socket(std::string address, std::uint16_t port,
                                                            std::chrono::milliseconds timeout) {
  auto executor = co_await boost::asio::this_coro::executor;
  MIMEO_CO_ASSIGN_OR_RETURN(auto endpoints, co_await resolve(executor, address, port));
  Status status = absl::UnavailableError("resolving " + address + ": no addresses");
  for (const auto& endpoint : endpoints) {
    stream_protocol::endpoint generic(endpoint);
    std::string name = address + ":" + std::to_string(port);
    Result<ClientSocket> socket =
        co_await connect_endpoint(executor, std::move(generic), std::move(name), timeout);
    if (socket.ok()) co_return socket;
    status = socket.status();
  }
  co_return status;
}

std::unique_ptr<ClientConnection> ClientConnection::adopt(boost::asio::any_io_executor executor,
                                                          int fd) {
  int family = AF_UNIX;
  socklen_t size = sizeof family;
  ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ClientSocket socket(std::move(executor));
  ErrorCode ec;
  socket.assign(stream_protocol(family, 0), fd, ec);
  auto connection = std::make_unique<StreamConnection<ClientSocket>>(std::move(socket));
  if (ec) {
    ::close(fd);
    connection->close();
  }
  return connection;
}

boost::asio::awaitable<Result<std::unique_ptr<ClientConnection>>> ClientConnection::connect_tcp(
    std::string address, std::uint16_t port, std::chrono::milliseconds timeout) {
  MIMEO_CO_ASSIGN_OR_RETURN(ClientSocket socket,
                            co_await connect_socket(std::move(address), port, timeout));
  std::unique_ptr<ClientConnection> connection =
      std::make_unique<StreamConnection<ClientSocket>>(std::move(socket));
  co_return connection;
}

boost::asio::awaitable<Result<std::unique_ptr<ClientConnection>>> ClientConnection::connect_unix(
    std::string path, std::chrono::milliseconds timeout) {
  auto executor = co_await boost::asio::this_coro::executor;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    co_return absl::InvalidArgumentError("the socket path " + path + " is longer than 107 bytes");
  }
  const boost::asio::local::stream_protocol::endpoint local(path);
  stream_protocol::endpoint endpoint(local);
  MIMEO_CO_ASSIGN_OR_RETURN(
      ClientSocket socket,
      co_await connect_endpoint(executor, std::move(endpoint), std::move(path), timeout));
  std::unique_ptr<ClientConnection> connection =
      std::make_unique<StreamConnection<ClientSocket>>(std::move(socket));
  co_return connection;
}

}  // namespace mimeo::http
