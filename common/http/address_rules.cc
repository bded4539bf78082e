#include "common/http/address_rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

namespace mimeo::http {
namespace {

struct Range4 {
  std::uint32_t base;
  int bits;
};

// IANA's special-purpose registry, everything that is not globally reachable, and multicast.
constexpr std::array kNotPublic4 = {
    Range4{0x00000000, 8},   // "This network".
    Range4{0x0a000000, 8},   // Private.
    Range4{0x64400000, 10},  // Shared (carrier NAT; metadata services of some clouds).
    Range4{0x7f000000, 8},   // Loopback.
    Range4{0xa9fe0000, 16},  // Link-local, 169.254.169.254 among them.
    Range4{0xac100000, 12},  // Private.
    Range4{0xc0000000, 24},  // Protocol assignments.
    Range4{0xc0000200, 24},  // Documentation.
    Range4{0xc0586300, 24},  // 6to4 relays.
    Range4{0xc0a80000, 16},  // Private.
    Range4{0xc6120000, 15},  // Benchmarks.
    Range4{0xc6336400, 24},  // Documentation.
    Range4{0xcb007100, 24},  // Documentation.
    Range4{0xe0000000, 4},   // Multicast.
    Range4{0xf0000000, 4},   // Reserved and broadcast.
};

bool is_public4(std::uint32_t address) {
  return std::none_of(kNotPublic4.begin(), kNotPublic4.end(), [address](const Range4& range) {
    return (address ^ range.base) >> (32 - range.bits) == 0;
  });
}

std::uint32_t read4(const std::uint8_t* bytes) {
  return static_cast<std::uint32_t>(bytes[0]) << 24U | static_cast<std::uint32_t>(bytes[1]) << 16U |
         static_cast<std::uint32_t>(bytes[2]) << 8U | bytes[3];
}

bool is_public6(const std::array<std::uint8_t, 16>& a) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::array<std::uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};
  if (std::equal(kMapped.begin(), kMapped.end(), a.begin())) return is_public4(read4(&a[12]));
  if (std::equal(kNat64.begin(), kNat64.end(), a.begin())) return is_public4(read4(&a[12]));
  if (a[0] == 0x20 && a[1] == 0x02) return is_public4(read4(&a[2]));  // 6to4.
  if ((a[0] & 0xe0U) != 0x20) return false;  // Only 2000::/3 is global unicast.
  if (a[0] == 0x20 && a[1] == 0x01 && a[2] < 0x02) return false;  // 2001::/23: Teredo, ORCHID, ...
  return !(a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8);  // Documentation.
}

using Address6 = std::array<std::uint8_t, 16>;

Address6 mapped(std::uint32_t v4) {
  Address6 bytes{};
  bytes[10] = bytes[11] = 0xff;
  for (int i = 0; i < 4; ++i) bytes[12 + i] = static_cast<std::uint8_t>(v4 >> (24 - 8 * i));
  return bytes;
}

// IPv4 as ::ffff:a.b.c.d; nullopt for other families.
std::optional<Address6> mapped(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return mapped(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6{};
  std::memcpy(&v6, address, sizeof v6);
  Address6 bytes{};
  std::memcpy(bytes.data(), v6.sin6_addr.s6_addr, bytes.size());
  return bytes;
}

std::optional<Address6> parse_address(const std::string& text) {
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return mapped(ntohl(v4.s_addr));
  Address6 bytes{};
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

bool is_within(const Address6& address, const AllowedNetwork& network) {
  const int whole = network.bits / 8;
  if (!std::equal(address.begin(), address.begin() + whole, network.base.begin())) return false;
  const int rest = network.bits % 8;
  return rest == 0 || (address[whole] ^ network.base[whole]) >> (8 - rest) == 0;
}

// An exception as it was written: "host", "host/bits", either with ":port".
struct Entry {
  std::string host;  // Without brackets.
  int bits = -1;     // -1 = not given.
  std::uint16_t port = 0;
};

Status wrong_entry(std::string_view entry, const char* reason) {
  return absl::InvalidArgumentError("`" + std::string(entry) + "` " + reason);
}

// A number from `low` to `high`.
std::optional<int> parse_number(std::string_view text, int low, int high) {
  int number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < low || number > high) return std::nullopt;
  return number;
}

Result<Entry> split_entry(std::string_view text) {
  Entry entry;
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == text.npos) return wrong_entry(text, "lacks a `]`");
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
  } else if (const std::size_t colon = text.find(':');
             colon != text.npos && text.find(':', colon + 1) == text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (!port.empty()) {
    const auto number = port.front() == ':' ? parse_number(port.substr(1), 1, 65535) : std::nullopt;
    if (!number) return wrong_entry(text, "has a port that is not a number from 1 to 65535");
    entry.port = static_cast<std::uint16_t>(*number);
  }
  if (const std::size_t slash = host.find('/'); slash != host.npos) {
    const auto bits = parse_number(host.substr(slash + 1), 0, 128);
    if (!bits) return wrong_entry(text, "has something else than a number of bits after `/`");
    entry.bits = *bits;
    host = host.substr(0, slash);
  }
  entry.host = std::string(host);
  return entry;
}

bool same_text(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

bool is_public_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return is_public4(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), v6.sin6_addr.s6_addr, bytes.size());
    return is_public6(bytes);
  }
  return false;
}

bool is_allowed_network(const AddressRules& rules, const sockaddr* address) {
  const std::optional<Address6> bytes = mapped(address);
  if (!bytes) return false;
  const std::uint16_t port = port_of(address);
  return std::any_of(rules.allowed_networks.begin(), rules.allowed_networks.end(),
                     [&](const AllowedNetwork& network) {
                       return (network.port == 0 || network.port == port) &&
                              is_within(*bytes, network);
                     });
}

std::uint16_t port_of(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return ntohs(v4.sin_port);
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    return ntohs(v6.sin6_port);
  }
  return 0;
}

bool is_allowed_port(const AddressRules& rules, std::uint16_t port) {
  return rules.ports == AllowedPorts::kAny || port == 80 || port == 443 || port >= 1024;
}

bool is_allowed_host(const AddressRules& rules, std::string_view host, std::string_view port) {
  const std::string with_port = std::string(host) + ":" + std::string(port);
  const auto matches = [](std::string_view allowed, std::string_view name) {
    if (!allowed.starts_with("*.")) return same_text(allowed, name);
    const std::string_view suffix = allowed.substr(1);
    return name.size() > suffix.size() &&
           same_text(suffix, name.substr(name.size() - suffix.size()));
  };
  return std::any_of(rules.allowed_hosts.begin(), rules.allowed_hosts.end(),
                     [&](const std::string& allowed) {
                       return matches(allowed, host) || matches(allowed, with_port);
                     });
}

Status add_exception(AddressRules& rules, std::string_view entry) {
  MIMEO_ASSIGN_OR_RETURN(const Entry parts, split_entry(entry));
  if (const std::optional<Address6> address = parse_address(parts.host)) {
    AllowedNetwork network;
    network.base = *address;
    network.port = parts.port;
    const bool is_v4 = parts.host.find(':') == std::string::npos;
    const int most = is_v4 ? 32 : 128;
    if (parts.bits > most) return wrong_entry(entry, "has too many bits");
    network.bits = (parts.bits < 0 ? most : parts.bits) + (is_v4 ? 96 : 0);
    rules.allowed_networks.push_back(network);
    return absl::OkStatus();
  }
  std::string_view name = parts.host;
  if (name.starts_with("*.")) name.remove_prefix(2);
  const bool is_name =
      !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_';
      });
  if (!is_name || parts.bits >= 0) {
    return wrong_entry(entry, "is no address, network, host or *.suffix");
  }
  std::string host(parts.host);
  if (parts.port != 0) host += ":" + std::to_string(parts.port);
  rules.allowed_hosts.push_back(std::move(host));
  return absl::OkStatus();
}

}  // namespace mimeo::http
