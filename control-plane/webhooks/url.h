// What a webhook's URL must look like, and which receiver it names. Whether the address behind it
// may be reached is decided when it is sent (common/http/address_rules.h).

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::control {

struct WebhookUrl {
  bool is_https = false;
  std::string host;  // Lower case; IPv6 in brackets.
  std::uint16_t port = 0;

  // "host:port": one receiver.
  [[nodiscard]] std::string receiver() const { return host + ":" + std::to_string(port); }
};

// kInvalidArgument says what is wrong with it.
[[nodiscard]] Result<WebhookUrl> parse_webhook_url(std::string_view url);

}  // namespace mimeo::control
