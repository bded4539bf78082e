// Socket addresses as text and listening sockets, by plain system calls. Private to this folder.

#pragma once

#include <string>

#include "common/base/status.h"
#include "common/http/server.h"

namespace mimeo::http {

// "127.0.0.1:4711", "[::1]:4711", or "unix".
[[nodiscard]] std::string peer_name(int fd);

// A listening socket as the options say; for `inherited_fd` a check that it is one. The caller owns
// it.
[[nodiscard]] Result<int> listen_socket(const ServerOptions& options);

// The port a socket is bound to; 0 for Unix sockets.
[[nodiscard]] std::uint16_t local_port(int fd);

}  // namespace mimeo::http
