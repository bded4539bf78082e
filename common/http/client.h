// HTTP/1.1 client on one connection: for servers inside of containers, the Docker Engine's socket,
// model servers and tests. One request at a time, keep-alive. For what users name use outbound.h
// (redirects, address rules).

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/message.h"

namespace mimeo::http {

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
  Headers headers;  // Host and Content-Length are added when missing.
  std::string body;
  std::chrono::milliseconds timeout{30'000};  // For each read or write; 0 = none.
  Bytes max_body = 64_MiB;                    // Of the response.
};

struct TlsClientOptions {
  std::string ca_file;  // PEM. Empty = the system's certificates.
};

// Used from one coroutine at a time, on its executor. After any error the connection is closed and
// is_open() is false.
class ClientConnection {
 public:
  // Takes over a connected stream socket (TCP or Unix).
  static std::unique_ptr<ClientConnection> adopt(boost::asio::any_io_executor executor, int fd);
  // kUnavailable when refused or not there, kDeadlineExceeded.
  static boost::asio::awaitable<Result<std::unique_ptr<ClientConnection>>> connect_tcp(
      std::string address, std::uint16_t port, std::chrono::milliseconds timeout);
  static boost::asio::awaitable<Result<std::unique_ptr<ClientConnection>>> connect_unix(
      std::string path, std::chrono::milliseconds timeout);

  // The server's certificate must be valid for `host`: kUnavailable otherwise.
  static boost::asio::awaitable<Result<std::unique_ptr<ClientConnection>>> connect_tls(
      std::string host, std::uint16_t port, TlsClientOptions options,
      std::chrono::milliseconds timeout);

  virtual ~ClientConnection() = default;
  [[nodiscard]] virtual bool is_open() const = 0;
  virtual void close() = 0;

  // Sends and reads the whole answer, whatever its status code. kUnavailable when the peer closed
  // before any byte of the answer (safe to retry on a fresh connection if idempotent), kInternal
  // for a malformed answer, kDeadlineExceeded, kCancelled.
  virtual boost::asio::awaitable<Result<Response>> request(ClientRequest request) = 0;

  // Sends and reads only the head; then read_some() gives the body piece by piece.
  virtual boost::asio::awaitable<Result<Response>> request_head(ClientRequest request) = 0;
  // Next bytes of the body as they arrive, at most 64 KiB; empty at its end.
  virtual boost::asio::awaitable<Result<std::string>> read_some() = 0;
};

}  // namespace mimeo::http
