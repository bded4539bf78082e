// HTTP/1.1 server: listener, connections, keep-alive, limits, streamed bodies both ways, optional
// TLS. Knows no routes: one handler gets every request. Beast and OpenSSL stay in the .cc files.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/message.h"

namespace mimeo::http {

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0 = any free one; see Server::port().
  std::string unix_path;   // If set, listens there instead.
  int inherited_fd = -1;  // If >= 0: a listening socket made elsewhere (another network namespace).
  Bytes max_header = 64_KiB;             // Above: 431.
  Bytes max_body = 16_MiB;               // Default limit of Exchange::read_body. Above: 413.
  std::size_t max_connections = 20'000;  // Above: accepted and answered 503, then closed.
  std::chrono::milliseconds header_timeout{
      30'000};  // From the first byte of a request to its head's end; also idle keep-alive.
  std::chrono::milliseconds read_timeout{30'000};  // Per read of a body.
  std::chrono::milliseconds write_timeout{
      30'000};                       // Per write: a client that stops reading is cut off.
  std::string tls_certificate_file;  // PEM chain; TLS when both are set.
  std::string tls_key_file;
};

// One request and its answer. Lives until the handler's coroutine ends. Exactly one of respond() or
// start_stream() is called; a handler that ends without either, or throws, is answered 500.
// All methods on the connection's executor. After an error status of any write the client is gone:
// just return.
class Exchange {
 public:
  virtual ~Exchange() = default;
  [[nodiscard]] virtual const RequestHead& head() const = 0;

  // The whole body. kResourceExhausted above `limit` (answer 413; the connection closes
  // afterwards), kDeadlineExceeded, kCancelled when the client went away. Sends "100 Continue" when
  // asked for.
  virtual boost::asio::awaitable<Result<std::string>> read_body(Bytes limit) = 0;
  // Next part of the body, at most buffer.size(); 0 at its end. Same errors.
  virtual boost::asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) = 0;

  // Content-Length, Date and Connection are set here. For HEAD the body is dropped, its length
  // kept.
  virtual boost::asio::awaitable<Status> respond(Response response) = 0;

  // Chunked body. With a Content-Length header in `response`, sent unchunked with that length.
  // response.body, if any, goes first. TCP_NODELAY is on: every write leaves at once.
  virtual boost::asio::awaitable<Status> start_stream(Response response) = 0;
  virtual boost::asio::awaitable<Status> write(std::string chunk) = 0;
  virtual boost::asio::awaitable<Status> end_stream() = 0;

  // Suspends until the client closes its side or the exchange ends; for streams that are idle for
  // long. May run beside writes (one at a time). Only after the body was read.
  virtual boost::asio::awaitable<void> wait_for_disconnect() = 0;
};

using Handler = std::function<boost::asio::awaitable<void>(Exchange&)>;

class Server {
 public:
  struct State;  // Of the .cc files of this folder.

  // `handler` runs on `executor`'s thread; both outlive the server.
  Server(boost::asio::any_io_executor executor, ServerOptions options, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and listens. kAlreadyExists when the port is taken (names it), kInvalidArgument for a bad
  // address or certificate.
  Status start();
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::size_t connections() const;

  // Stops accepting, closes idle connections, waits for open exchanges up to `limit`, then cuts
  // them.
  boost::asio::awaitable<void> stop(std::chrono::milliseconds limit);

 private:
  std::shared_ptr<State> state_;  // Shared with connection coroutines.
};

}  // namespace mimeo::http
