#include "common/http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <vector>

#include "common/base/clock.h"
#include "common/http/peer.h"
#include "common/http/report.h"
#include "common/http/server_state.h"
#include "common/http/wire.h"

namespace mimeo::http {
namespace {

using State = Server::State;

// Beyond the limit this many more are told so; the others are just closed.
constexpr std::size_t kRefusedAtOnce = 256;
constexpr std::chrono::milliseconds kAcceptPause{50};
constexpr std::chrono::milliseconds kCutTime{1'000};

void admit(const std::shared_ptr<State>& state, Socket socket) {
  const std::size_t count = state->connections.size();
  if (count >= state->options.max_connections + kRefusedAtOnce) return;
  const auto admission =
      count < state->options.max_connections ? Admission::kServe : Admission::kRefuse;
  // Sockets from an inherited listener may lack it; on Unix sockets it fails, harmlessly.
  const int on = 1;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (state->tls) {
    start_tls_connection(state, std::move(socket), admission);
  } else {
    start_plain_connection(state, std::move(socket), admission);
  }
}

boost::asio::awaitable<void> accept_loop(std::shared_ptr<State> state) {
  boost::asio::steady_timer pause(state->executor);
  while (state->acceptor.is_open()) {
    auto [ec, socket] = co_await state->acceptor.async_accept(wire::kAwait);
    if (!ec) {
      admit(state, std::move(socket));
    } else if (ec == boost::asio::error::operation_aborted) {
      co_return;
    } else if (ec != boost::asio::error::connection_aborted) {
      report_accept_error(ec.message());  // Out of descriptors, most likely: others must close.
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(wire::kAwait);
    }
  }
}

void cut_all(State& state) {
  const std::vector<ConnectionBase*> all(state.connections.begin(), state.connections.end());
  for (ConnectionBase* connection : all) {
    if (state.connections.contains(connection)) connection->cut();
  }
}

void stop_accepting(State& state) {
  state.is_stopping = true;
  if (!state.acceptor.is_open()) return;
  boost::system::error_code ignored;
  state.acceptor.close(ignored);
  if (!state.options.unix_path.empty()) ::unlink(state.options.unix_path.c_str());
}

boost::asio::awaitable<void> wait_until_empty(std::shared_ptr<State> state,
                                              std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!state->connections.empty() && std::chrono::steady_clock::now() < deadline) {
    state->changed.expires_at(deadline);
    co_await state->changed.async_wait(wire::kAwait);
  }
}

}  // namespace

const std::string& Server::State::date() {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(SystemClock().now().time_since_epoch())
          .count();
  if (now != date_second_) {
    date_second_ = now;
    date_ = http_date(now);
  }
  return date_;
}

Server::Server(boost::asio::any_io_executor executor, ServerOptions options, Handler handler)
    : state_(std::make_shared<State>(std::move(executor), std::move(options), std::move(handler))) {
}

Server::~Server() {
  stop_accepting(*state_);
  cut_all(*state_);
}

Status Server::start() {
  if (!state_->options.tls_certificate_file.empty() && !state_->options.tls_key_file.empty()) {
    MIMEO_ASSIGN_OR_RETURN(state_->tls, load_tls(state_->options));
  }
  MIMEO_ASSIGN_OR_RETURN(const int fd, listen_socket(state_->options));
  state_->port = local_port(fd);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);  // NOLINT: the sockets API.
  const boost::asio::generic::stream_protocol protocol(address.ss_family, 0);
  boost::system::error_code ec;
  state_->acceptor.assign(protocol, fd, ec);
  if (ec) {
    ::close(fd);
    return absl::UnavailableError("listening: " + ec.message());
  }
  auto task = accept_loop(state_);
  boost::asio::co_spawn(state_->executor, std::move(task), [](const std::exception_ptr& error) {
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      report_accept_error(e.what());
    }
  });
  return absl::OkStatus();
}

std::uint16_t Server::port() const { return state_->port; }
std::size_t Server::connections() const { return state_->connections.size(); }

boost::asio::awaitable<void> Server::stop(std::chrono::milliseconds limit) {
  const std::shared_ptr<State> state = state_;
  stop_accepting(*state);
  const std::vector<ConnectionBase*> all(state->connections.begin(), state->connections.end());
  for (ConnectionBase* connection : all) connection->close_if_idle();
  co_await wait_until_empty(state, limit);
  cut_all(*state);
  co_await wait_until_empty(state, kCutTime);
}

}  // namespace mimeo::http
