// HTTP requests that a model server makes: input files, uploads, webhooks. No address rules: what a
// container may reach is decided by its network, not by the program inside.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/http/client.h"

namespace mimeo::sdk {

struct HttpUrl {
  bool is_tls = false;
  std::string host;  // Without brackets.
  std::uint16_t port = 80;
  std::string target = "/";  // Path and query.

  [[nodiscard]] std::string authority() const;  // As in the Host field.
};

// kInvalidArgument for anything but http and https URLs.
[[nodiscard]] Result<HttpUrl> parse_http_url(std::string_view url);

// The absolute URL that `location` means for who was at `base`.
[[nodiscard]] std::string resolve_location(const HttpUrl& base, std::string_view location);

// One request on a connection of its own. The answer, whatever its code.
boost::asio::awaitable<Result<http::Response>> fetch(HttpUrl url, http::ClientRequest request);

// GET with up to five redirects; the body of a 2xx goes to `sink` piece by piece, whose error ends
// the transfer. kNotFound with the code for other answers.
using FetchSink = std::function<Status(std::string_view piece)>;
boost::asio::awaitable<Status> download(std::string url, FetchSink sink);

}  // namespace mimeo::sdk
