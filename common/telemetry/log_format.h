// How one log line looks. Pure; log.cc gives it to spdlog.

#pragma once

#include <string>
#include <string_view>

namespace mimeo::log {

enum class Format { kText, kJson };

struct LogLine {
  std::string time;  // RFC 3339.
  std::string_view level;
  std::string_view component;
  std::string_view message;  // "what happened key=value key=\"a value\"".
};

// "time level component message\n"; control characters in the message are escaped, so that one
// event stays one line whatever was logged.
[[nodiscard]] std::string format_text(const LogLine& line);

// {"time":…,"level":…,"component":…,"message":…}\n. Trailing key=value pairs become members of
// their own (strings); a key that is one of these four gets a "_" behind it.
[[nodiscard]] std::string format_json(const LogLine& line);

}  // namespace mimeo::log
