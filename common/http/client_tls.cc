// The client over TLS.

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "common/http/client_connection.h"

namespace mimeo::http {
namespace {

namespace ssl = boost::asio::ssl;

// The context must live as long as the stream.
struct TlsClientStream {
  TlsClientStream(std::shared_ptr<ssl::context> with, ClientSocket socket)
      : context(std::move(with)),
        stream(std::make_unique<ssl::stream<ClientSocket>>(std::move(socket), *context)) {}

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return stream->async_read_some(buffers, std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return stream->async_write_some(buffers, std::forward<Token>(token));
  }

  std::shared_ptr<ssl::context> context;
  std::unique_ptr<ssl::stream<ClientSocket>> stream;
};

ClientSocket& lowest(TlsClientStream& stream) { return stream.stream->next_layer(); }

Result<std::shared_ptr<ssl::context>> client_context(const TlsClientOptions& options) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  boost::system::error_code ec;
  if (options.ca_file.empty()) {
    context->set_default_verify_paths(ec);
  } else {
    context->load_verify_file(options.ca_file, ec);
  }
  if (ec) return absl::InvalidArgumentError("loading CA certificates: " + ec.message());
  return context;
}

}  // namespace

boost::asio::awaitable<Result<std::unique_ptr<ClientConnection>>> ClientConnection::connect_tls(
    std::string host, std::uint16_t port, TlsClientOptions options,
    std::chrono::milliseconds timeout) {
  MIMEO_CO_ASSIGN_OR_RETURN(auto context, client_context(options));
  MIMEO_CO_ASSIGN_OR_RETURN(ClientSocket socket, co_await connect_socket(host, port, timeout));
  auto connection = std::make_unique<StreamConnection<TlsClientStream>>(
      TlsClientStream(std::move(context), std::move(socket)));
  auto& stream = *connection->stream().stream;
  stream.set_verify_mode(ssl::verify_peer);
  stream.set_verify_callback(ssl::host_name_verification(host));
  SSL_set_tlsext_host_name(stream.native_handle(), host.c_str());
  ClientConnection* const closed = connection.get();
  wire::Deadline deadline(stream.get_executor(), [closed] { closed->close(); });
  deadline.set(timeout);
  auto [ec] = co_await stream.async_handshake(ssl::stream_base::client, wire::kAwait);
  if (deadline.has_expired()) {
    co_return absl::DeadlineExceededError("TLS handshake with " + host + ": timed out");
  }
  if (ec) co_return absl::UnavailableError("TLS handshake with " + host + ": " + ec.message());
  std::unique_ptr<ClientConnection> result = std::move(connection);
  co_return result;
}

}  // namespace mimeo::http
