// Connections with TLS.

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "common/http/connection.h"
#include "common/http/peer.h"

namespace mimeo::http {
namespace {

namespace ssl = boost::asio::ssl;
using TlsStream = ssl::stream<Socket>;

}  // namespace

template <>
struct StreamTraits<TlsStream> {
  static constexpr bool kIsTls = true;
  static Socket& socket(TlsStream& stream) { return stream.next_layer(); }
  static boost::asio::awaitable<bool> open(TlsStream* stream) {
    auto [ec] = co_await stream->async_handshake(ssl::stream_base::server, wire::kAwait);
    co_return !ec;
  }
  static boost::asio::awaitable<void> close(TlsStream* stream) {
    co_await stream->async_shutdown(wire::kAwait);
  }
};

void start_tls_connection(std::shared_ptr<Server::State> state, Socket socket,
                          Admission admission) {
  std::string peer = peer_name(socket.native_handle());
  TlsStream stream(std::move(socket), *state->tls);
  auto connection =
      std::make_shared<Connection<TlsStream>>(std::move(state), std::move(stream), std::move(peer));
  Connection<TlsStream>::start(std::move(connection), admission);
}

Result<std::shared_ptr<ssl::context>> load_tls(const ServerOptions& options) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  boost::system::error_code ec;
  context->use_certificate_chain_file(options.tls_certificate_file, ec);
  if (ec) {
    return absl::InvalidArgumentError("TLS certificate " + options.tls_certificate_file + ": " +
                                      ec.message());
  }
  context->use_private_key_file(options.tls_key_file, ssl::context::pem, ec);
  if (ec) {
    return absl::InvalidArgumentError("TLS key " + options.tls_key_file + ": " + ec.message());
  }
  return context;
}

}  // namespace mimeo::http
