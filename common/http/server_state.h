// What a server's listener and its connections share. Private to this folder.

#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "common/http/server.h"

namespace boost::asio::ssl {
class context;
}

namespace mimeo::http {

using Socket = boost::asio::generic::stream_protocol::socket;
using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

class ConnectionBase {
 public:
  virtual ~ConnectionBase() = default;
  // Ends the connection if no request is being worked on.
  virtual void close_if_idle() = 0;
  // Ends it now: the handler's current operation is cancelled, the socket closed.
  virtual void cut() = 0;
};

// Everything is touched on the executor only.
struct Server::State {
  State(boost::asio::any_io_executor on, ServerOptions with, Handler to)
      : executor(std::move(on)),
        options(std::move(with)),
        handler(std::move(to)),
        acceptor(executor),
        changed(executor) {}

  // The Date field of an answer that is sent now.
  const std::string& date();

  const boost::asio::any_io_executor executor;
  const ServerOptions options;
  const Handler handler;
  std::shared_ptr<boost::asio::ssl::context> tls;  // Null without TLS.
  Acceptor acceptor;
  std::uint16_t port = 0;
  bool is_stopping = false;
  std::unordered_set<ConnectionBase*> connections;
  boost::asio::steady_timer changed;  // Cancelled whenever a connection ends.

 private:
  std::string date_;
  long long date_second_ = 0;
};

// What to do with an accepted socket: serve its requests, or answer 503 because there are too many.
enum class Admission { kServe, kRefuse };

// Starts a connection's coroutine; it is in state->connections until it ends.
void start_plain_connection(std::shared_ptr<Server::State> state, Socket socket,
                            Admission admission);
void start_tls_connection(std::shared_ptr<Server::State> state, Socket socket, Admission admission);

// Loads the certificate; kInvalidArgument says what is wrong with it.
Result<std::shared_ptr<boost::asio::ssl::context>> load_tls(const ServerOptions& options);

}  // namespace mimeo::http
