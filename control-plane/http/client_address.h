// Which client a request comes from, as far as it can be known: for the audit log, and for limits
// of calls without a token.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/http/message.h"

namespace mimeo::control {

// The peer's address without its port. If the peer is one of `trusted_proxies` (addresses), or a
// Unix socket while there are any, the last entry of X-Forwarded-For instead, when that is an
// address. "unknown" if there is none.
[[nodiscard]] std::string client_address(const http::RequestHead& head,
                                         const std::vector<std::string>& trusted_proxies);

// What of such an address is one client: of IPv6 the first 64 bits, else all of it.
[[nodiscard]] std::string client_network(const std::string& address);

// "10.0.0.1, ::1" -> addresses; kInvalidArgument for anything else.
[[nodiscard]] Result<std::vector<std::string>> parse_addresses(std::string_view list);

}  // namespace mimeo::control
