// Which addresses are public, and how a URL's host and its addresses are matched against
// exceptions. Private to outbound.cc and its tests.

#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "common/http/outbound.h"

namespace mimeo::http {

// False for loopback, private, link-local, shared, reserved, multicast and unspecified addresses,
// for IPv6 addresses that carry such an IPv4 address, and for other families.
[[nodiscard]] bool is_public_address(const sockaddr* address);

// Whether the rules name the network of this address as an exception, for its port.
[[nodiscard]] bool is_allowed_network(const AddressRules& rules, const sockaddr* address);

// The port of an IPv4 or IPv6 address; 0 for others.
[[nodiscard]] std::uint16_t port_of(const sockaddr* address);

[[nodiscard]] bool is_allowed_port(const AddressRules& rules, std::uint16_t port);

// Whether the rules name this host as an exception, alone, by its suffix or with its port. Without
// case.
[[nodiscard]] bool is_allowed_host(const AddressRules& rules, std::string_view host,
                                   std::string_view port);

}  // namespace mimeo::http
