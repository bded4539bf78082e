#include "worker/cog/connections.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace mimeo::worker::cog {
namespace {

// Whether the peer has closed an idle connection, or sent what nobody asked for.
bool is_stale(const Connection& connection) {
  if (!connection.http->is_open()) return true;
  char byte = 0;
  const ssize_t got = ::recv(connection.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace

boost::asio::awaitable<Result<std::unique_ptr<Connection>>> Connections::take(Freshness freshness) {
  while (freshness == Freshness::kAny && !idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (!is_stale(*connection)) co_return std::move(connection);
  }
  MIMEO_CO_ASSIGN_OR_RETURN(const int fd, co_await dialer_.dial());
  auto connection = std::make_unique<Connection>();
  connection->http = http::ClientConnection::adopt(executor_, fd);
  connection->fd = fd;
  co_return std::move(connection);
}

void Connections::give_back(std::unique_ptr<Connection> connection) {
  if (connection == nullptr || !connection->http->is_open() || idle_.size() >= kMaxIdle) return;
  connection->was_used = true;
  idle_.push_back(std::move(connection));
}

boost::asio::awaitable<Result<http::Response>> Connections::exchange(http::ClientRequest request) {
  for (Freshness freshness = Freshness::kAny;; freshness = Freshness::kFresh) {
    MIMEO_CO_ASSIGN_OR_RETURN(auto connection, co_await take(freshness));
    const bool may_be_stale = connection->was_used;
    http::ClientRequest copy = request;
    Result<http::Response> response = co_await connection->http->request(std::move(copy));
    if (response.ok()) {
      give_back(std::move(connection));
      co_return response;
    }
    if (!may_be_stale || !absl::IsUnavailable(response.status())) co_return response;
  }
}

}  // namespace mimeo::worker::cog
