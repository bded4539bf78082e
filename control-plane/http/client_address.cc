#include "control-plane/http/client_address.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <optional>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

namespace ip = boost::asio::ip;

std::optional<ip::address> parse_address(std::string_view text) {
  boost::system::error_code error;
  const ip::address address = ip::make_address(std::string(trimmed(text)), error);
  if (error) return std::nullopt;
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  }
  return address;
}

// Of "1.2.3.4:80" or "[::1]:80".
std::optional<ip::address> address_of_peer(std::string_view peer) {
  std::string_view host = peer.substr(0, peer.rfind(':'));
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return parse_address(host);
}

}  // namespace

std::string client_address(const http::RequestHead& head,
                           const std::vector<std::string>& trusted_proxies) {
  const std::optional<ip::address> peer = address_of_peer(head.peer);
  const bool is_trusted = !trusted_proxies.empty() &&
                          (!peer || std::find(trusted_proxies.begin(), trusted_proxies.end(),
                                              peer->to_string()) != trusted_proxies.end());
  if (is_trusted) {
    const std::string_view forwarded = head.headers.get("X-Forwarded-For");
    const auto comma = forwarded.rfind(',');
    const auto client =
        parse_address(comma == std::string_view::npos ? forwarded : forwarded.substr(comma + 1));
    if (client) return client->to_string();
  }
  return peer ? peer->to_string() : "unknown";
}

std::string client_network(const std::string& address) {
  const std::optional<ip::address> parsed = parse_address(address);
  if (!parsed || parsed->is_v4()) return address;
  ip::address_v6::bytes_type bytes = parsed->to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return ip::address_v6(bytes).to_string() + "/64";
}

Result<std::vector<std::string>> parse_addresses(std::string_view list) {
  std::vector<std::string> addresses;
  for (const std::string_view piece : split(list, ",")) {
    if (trimmed(piece).empty()) continue;
    const auto address = parse_address(piece);
    if (!address) {
      return absl::InvalidArgumentError(concat("not an IP address: ", trimmed(piece)));
    }
    addresses.push_back(address->to_string());
  }
  return addresses;
}

}  // namespace mimeo::control
