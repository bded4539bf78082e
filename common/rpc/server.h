// A gRPC server with our settings: message limits, keepalive, optional mutual TLS, orderly
// shutdown.

#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace mimeo::rpc {

// Certificates of a link that leaves the machine; all empty = plain text.
struct TlsFiles {
  std::string certificate;  // PEM chain of this process.
  std::string key;
  std::string ca;  // Who may call, or whom to trust.
};

struct RpcServerOptions {
  std::string address = "127.0.0.1:0";  // Or "unix:/path".
  TlsFiles tls;
};

class RpcServer {
 public:
  // Services outlive the server.
  RpcServer(RpcServerOptions options, std::vector<grpc::Service*> services);
  ~RpcServer();
  // kAlreadyExists when the address is taken.
  Status start();
  // What to dial: the given address with the real port.
  [[nodiscard]] std::string address() const;
  // Blocks up to `grace`; open streams are cancelled then. Streams should be told before. Handlers
  // (unary.h, streams.h) finish on their executor, so call it from another thread while that runs.
  void stop(std::chrono::milliseconds grace);

 private:
  RpcServerOptions options_;
  std::vector<grpc::Service*> services_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

// A channel with our settings: reconnect backoff 100 ms to 2 s, keepalive 20 s, no proxy, messages
// up to 64 MiB.
[[nodiscard]] std::shared_ptr<grpc::Channel> make_channel(const std::string& address,
                                                          const TlsFiles& tls = {});

}  // namespace mimeo::rpc
