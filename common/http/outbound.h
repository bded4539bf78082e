// HTTP to the outside by libcurl: input files, webhooks, the registry. TLS, address rules against
// server-side request forgery, size and time limits. Blocking: call from a BlockingPool thread.

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/message.h"

namespace mimeo::http {

// Which addresses may be reached. Checked on the *resolved* address of every connection, when it is
// made: a name that points inward is refused as well, and so is one that points there only now.
struct AllowedNetwork {
  std::array<std::uint8_t, 16> base{};  // IPv4 as ::ffff:a.b.c.d.
  int bits = 128;
  std::uint16_t port = 0;  // 0 = any.
};
enum class AllowedPorts : std::uint8_t {
  kAny,
  kWebAndHigh,  // 80, 443 and those from 1024 up: no mail, no remote shells.
};
struct AddressRules {
  bool allow_private = false;  // Loopback, link-local, RFC 1918, ULA, metadata addresses.
  // Exceptions: "host", "host:port", "*.suffix", "*.suffix:port". Whatever such a name points at
  // may be reached.
  std::vector<std::string> allowed_hosts;
  std::vector<AllowedNetwork> allowed_networks;  // Exceptions by address.
  AllowedPorts ports = AllowedPorts::kAny;       // Exceptions may have any.
};

// For servers that the operator names: they may be on this machine.
[[nodiscard]] AddressRules any_address();

// Adds what an operator wrote: an address, a network ("10.1.0.0/16", "fd00::/8"), a host or
// "*.suffix", each with or without ":port" ("[fd00::/8]:443"). kInvalidArgument says what is wrong.
Status add_exception(AddressRules& rules, std::string_view entry);

// What becomes of an answer whose body is larger than max_response.
enum class Oversize : std::uint8_t {
  kFails,     // kResourceExhausted.
  kIsCutOff,  // The answer has the first max_response bytes; the rest is not read.
};

struct OutboundRequest {
  std::string method = "GET";
  std::string url;  // http or https only.
  Headers headers;
  std::string body;
  std::chrono::milliseconds timeout{10'000};  // For all of it, redirects included.
  // Ends a transfer of which next to nothing moves for so long; 0 = only `timeout` does.
  std::chrono::seconds stall_limit{0};
  Bytes max_response = 16_MiB;
  Oversize oversize = Oversize::kFails;
  int max_redirects = 0;  // Each hop is checked again. 0 = the 3xx is the answer.
  std::stop_token stop;   // Ends it within about a second: kCancelled.
};

// Called with each piece of the body; a non-OK status ends the transfer with it.
using BodySink = std::function<Status(std::string_view)>;

// A request's body that is not in memory.
struct BodySource {
  std::uint64_t size_bytes = 0;
  // Fills `buffer` with what begins at `offset`, and says how much; 0 only at the end. Called from
  // the beginning again when a kept connection turns out to be dead.
  std::function<Result<std::size_t>(std::uint64_t offset, std::span<char> buffer)> read;
};

// Safe from several threads at once. Keeps connections for the next request to the same host.
class Outbound {
 public:
  // A stop ends all transfers within about a second: kCancelled.
  explicit Outbound(AddressRules rules, std::stop_token stop = {});
  // The answer, whatever its code. kInvalidArgument (bad URL), kPermissionDenied (address rules),
  // kUnavailable (resolve, connect, TLS, reset), kDeadlineExceeded (also of a stall),
  // kResourceExhausted (too large), kCancelled (a stop).
  [[nodiscard]] Result<Response> perform(const OutboundRequest& request) const;
  // The same with the body of a 2xx going to `sink` as it comes; other answers keep theirs.
  [[nodiscard]] Result<Response> download(const OutboundRequest& request,
                                          const BodySink& sink) const;
  // The same as perform() with another body. Follows no redirects.
  [[nodiscard]] Result<Response> upload(const OutboundRequest& request,
                                        const BodySource& body) const;

 private:
  class Pool;
  // What a request does not hold in memory; each may be null.
  struct Streams {
    const BodySink* sink = nullptr;
    const BodySource* source = nullptr;
  };

  [[nodiscard]] Result<Response> run(const OutboundRequest& request, const BodySink* sink) const;
  [[nodiscard]] Result<Response> hop(const OutboundRequest& request, Streams streams,
                                     std::chrono::milliseconds timeout) const;

  AddressRules rules_;
  const std::stop_token stop_;
  std::shared_ptr<Pool> pool_;  // Idle libcurl handles.
};

}  // namespace mimeo::http
