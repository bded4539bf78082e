#include "sdk/cpp/fetch.h"

#include <charconv>

namespace mimeo::sdk {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::milliseconds kConnectTime{10'000};
constexpr int kMaxRedirects = 5;

using Connection = std::unique_ptr<http::ClientConnection>;

asio::awaitable<Result<Connection>> connect(HttpUrl url) {
  if (!url.is_tls) {
    co_return co_await http::ClientConnection::connect_tcp(url.host, url.port, kConnectTime);
  }
  http::TlsClientOptions options;
  co_return co_await http::ClientConnection::connect_tls(url.host, url.port, std::move(options),
                                                         kConnectTime);
}

bool is_redirect(const http::Response& response) {
  return response.status >= 301 && response.status <= 308 && response.status != 304 &&
         response.headers.find("Location");
}

}  // namespace

std::string HttpUrl::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (is_tls ? 443 : 80) ? name : name + ":" + std::to_string(port);
}

Result<HttpUrl> parse_http_url(std::string_view url) {
  HttpUrl parts;
  if (url.starts_with("https://")) {
    parts.is_tls = true;
    parts.port = 443;
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    url.remove_prefix(7);
  } else {
    return absl::InvalidArgumentError("not an http or https URL");
  }
  url = url.substr(0, url.find('#'));
  const std::size_t end = std::min(url.find_first_of("/?"), url.size());
  std::string_view authority = url.substr(0, end);
  parts.target = std::string(url.substr(end));
  if (!parts.target.starts_with('/')) parts.target.insert(0, "/");
  authority.remove_prefix(std::min(authority.rfind('@') + 1, authority.size()));  // npos + 1 is 0.
  std::string_view port;
  const std::size_t bracket = authority.find(']');
  if (authority.starts_with('[') && bracket != std::string_view::npos) {
    parts.host = std::string(authority.substr(1, bracket - 1));
    port = authority.substr(bracket + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    parts.host = std::string(authority.substr(0, colon));
    port = authority.substr(colon);
  }
  if (parts.host.empty()) return absl::InvalidArgumentError("a URL without a host");
  if (port.size() > 1) {
    const char* const last = port.data() + port.size();
    const auto [stop, error] = std::from_chars(port.data() + 1, last, parts.port);
    if (error != std::errc{} || stop != last || port[0] != ':' || parts.port == 0) {
      return absl::InvalidArgumentError("a URL with a malformed port");
    }
  }
  return parts;
}

std::string resolve_location(const HttpUrl& base, std::string_view location) {
  const std::string scheme = base.is_tls ? "https:" : "http:";
  if (location.starts_with("http://") || location.starts_with("https://")) {
    return std::string(location);
  }
  if (location.starts_with("//")) return scheme + std::string(location);
  const std::string origin = scheme + "//" + base.authority();
  if (location.starts_with('/')) return origin + std::string(location);
  const std::string path = base.target.substr(0, base.target.find('?'));
  return origin + path.substr(0, path.rfind('/') + 1) + std::string(location);
}

asio::awaitable<Result<http::Response>> fetch(HttpUrl url, http::ClientRequest request) {
  request.target = url.target;
  request.headers.set("Host", url.authority());
  MIMEO_CO_ASSIGN_OR_RETURN(Connection connection, co_await connect(url));
  co_return co_await connection->request(std::move(request));
}

asio::awaitable<Status> download(std::string url, FetchSink sink) {
  for (int hops = 0; hops <= kMaxRedirects; ++hops) {
    MIMEO_CO_ASSIGN_OR_RETURN(const HttpUrl parts, parse_http_url(url));
    MIMEO_CO_ASSIGN_OR_RETURN(Connection connection, co_await connect(parts));
    http::ClientRequest request;
    request.target = parts.target;
    request.headers.set("Host", parts.authority());
    request.headers.set("User-Agent", "mimeo-sdk");
    MIMEO_CO_ASSIGN_OR_RETURN(const http::Response response,
                              co_await connection->request_head(std::move(request)));
    if (is_redirect(response)) {
      url = resolve_location(parts, response.headers.get("Location"));
      continue;
    }
    if (response.status / 100 != 2) {
      co_return absl::NotFoundError("HTTP " + std::to_string(response.status));
    }
    for (;;) {
      MIMEO_CO_ASSIGN_OR_RETURN(const std::string piece, co_await connection->read_some());
      if (piece.empty()) co_return absl::OkStatus();
      MIMEO_CO_RETURN_IF_ERROR(sink(piece));
    }
  }
  co_return absl::UnavailableError("too many redirects");
}

}  // namespace mimeo::sdk
