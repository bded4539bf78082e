#include "common/rpc/server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "common/base/clock.h"

namespace mimeo::rpc {

namespace {

constexpr int kMaxMessageBytes = 64 << 20;
constexpr int kKeepaliveMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
constexpr int kLowestPingIntervalMs = 10'000;  // What a server accepts; below kKeepaliveMs.
constexpr std::string_view kUnix = "unix:";

bool is_empty(const TlsFiles& tls) {
  return tls.certificate.empty() && tls.key.empty() && tls.ca.empty();
}

// gRPC takes a Unix socket's path over even if somebody answers there.
bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool ok = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(const TlsFiles& tls) {
  if (is_empty(tls)) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      tls.ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                     : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = tls.ca;
  options.pem_key_cert_pairs.push_back({tls.key, tls.certificate});
  return grpc::SslServerCredentials(options);
}

}  // namespace

RpcServer::RpcServer(RpcServerOptions options, std::vector<grpc::Service*> services)
    : options_(std::move(options)), services_(std::move(services)) {}

RpcServer::~RpcServer() { stop(std::chrono::milliseconds(0)); }

Status RpcServer::start() {
  const std::string& address = options_.address;
  if (address.rfind(kUnix, 0) == 0 && somebody_listens(address.substr(kUnix.size()))) {
    return absl::AlreadyExistsError("somebody else listens on " + address);
  }
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // Two servers on one port is a mistake.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kLowestPingIntervalMs);
  int port = 0;
  builder.AddListeningPort(address, server_credentials(options_.tls), &port);
  for (auto* service : services_) builder.RegisterService(service);
  server_ = builder.BuildAndStart();
  if (!server_ || port == 0) {
    server_.reset();
    return absl::AlreadyExistsError("cannot listen on " + address +
                                    ": it is taken, or no address of this machine, or the TLS "
                                    "files are wrong");
  }
  port_ = port;
  return absl::OkStatus();
}

std::string RpcServer::address() const {
  const auto colon = options_.address.rfind(':');
  if (options_.address.rfind(kUnix, 0) == 0 || colon == std::string::npos) return options_.address;
  return options_.address.substr(0, colon + 1) + std::to_string(port_);
}

void RpcServer::stop(std::chrono::milliseconds grace) {
  if (!server_) return;
  const std::chrono::system_clock::time_point deadline = SystemClock().now() + grace;
  server_->Shutdown(deadline);
  server_->Wait();
  server_.reset();
}

std::shared_ptr<grpc::Channel> make_channel(const std::string& address, const TlsFiles& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);  // The limit of one connect.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // Backoff of its own, not of a sibling.
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!is_empty(tls)) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = tls.ca;
    options.pem_private_key = tls.key;
    options.pem_cert_chain = tls.certificate;
    credentials = grpc::SslCredentials(options);
  }
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

}  // namespace mimeo::rpc
