// Connections without TLS, over TCP or Unix sockets.

#include "common/http/connection.h"
#include "common/http/peer.h"

namespace mimeo::http {

template <>
struct StreamTraits<Socket> {
  static constexpr bool kIsTls = false;
  static Socket& socket(Socket& stream) { return stream; }
  static boost::asio::awaitable<bool> open(Socket*) { co_return true; }
  static boost::asio::awaitable<void> close(Socket*) { co_return; }
};

void start_plain_connection(std::shared_ptr<Server::State> state, Socket socket,
                            Admission admission) {
  std::string peer = peer_name(socket.native_handle());
  auto connection =
      std::make_shared<Connection<Socket>>(std::move(state), std::move(socket), std::move(peer));
  Connection<Socket>::start(std::move(connection), admission);
}

}  // namespace mimeo::http
