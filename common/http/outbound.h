// HTTP to the outside by libcurl: input files, webhooks, the registry. TLS, address rules against
// server-side request forgery, size and time limits. Blocking: call from a BlockingPool thread.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/message.h"

namespace mimeo::http {

// Which addresses may be reached. Checked on the *resolved* address of every connection, so a name
// that points inward is refused as well.
struct AddressRules {
  bool allow_private = false;  // Loopback, link-local, RFC 1918, ULA, metadata addresses.
  std::vector<std::string> allowed_hosts;  // Exceptions: "host" or "host:port", exactly.
};

struct OutboundRequest {
  std::string method = "GET";
  std::string url;  // http or https only.
  Headers headers;
  std::string body;
  std::chrono::milliseconds timeout{10'000};  // For all of it, redirects included.
  Bytes max_response = 16_MiB;
  int max_redirects = 0;  // Each hop is checked again. 0 = the 3xx is the answer.
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
  explicit Outbound(AddressRules rules);
  // The answer, whatever its code. kInvalidArgument (bad URL), kPermissionDenied (address rules),
  // kUnavailable (resolve, connect, TLS, reset), kDeadlineExceeded, kResourceExhausted (too large).
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
  std::shared_ptr<Pool> pool_;  // Idle libcurl handles.
};

}  // namespace mimeo::http
