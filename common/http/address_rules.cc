#include "common/http/address_rules.h"

#include <netinet/in.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

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

bool is_allowed_host(const AddressRules& rules, std::string_view host, std::string_view port) {
  const std::string with_port = std::string(host) + ":" + std::string(port);
  return std::any_of(rules.allowed_hosts.begin(), rules.allowed_hosts.end(),
                     [&](const std::string& allowed) {
                       return same_text(allowed, host) || same_text(allowed, with_port);
                     });
}

}  // namespace mimeo::http
