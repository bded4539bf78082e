#include "sdk/cpp/files.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <charconv>
#include <fstream>
#include <iterator>
#include <utility>

#include "common/crypto/crypto.h"
#include "common/http/client.h"
#include "common/http/message.h"

namespace mimeo::sdk {
namespace {

namespace asio = boost::asio;

constexpr std::array<std::pair<std::string_view, std::string_view>, 20> kMediaTypes = {{
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".svg", "image/svg+xml"},
    {".txt", "text/plain"},
    {".md", "text/markdown"},
    {".html", "text/html"},
    {".csv", "text/csv"},
    {".json", "application/json"},
    {".pdf", "application/pdf"},
    {".zip", "application/zip"},
    {".tar", "application/x-tar"},
    {".mp3", "audio/mpeg"},
    {".wav", "audio/wav"},
    {".mp4", "video/mp4"},
    {".webm", "video/webm"},
    {".ppm", "image/x-portable-pixmap"},
    {".gz", "application/gzip"},
}};

// Runs one coroutine to its end on this thread.
template <class T>
T run_blocking(asio::awaitable<T> task) {
  asio::io_context io;
  std::optional<T> result;
  std::exception_ptr failed;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr e, T value) {
    failed = e;
    result = std::move(value);
  });
  io.run();
  if (failed) std::rethrow_exception(failed);
  return std::move(*result);
}

asio::awaitable<Result<http::Response>> exchange(HttpUrl url, http::ClientRequest request) {
  auto connection =
      co_await http::ClientConnection::connect_tcp(url.host, url.port, std::chrono::seconds(10));
  if (!connection.ok()) co_return connection.status();
  request.target = url.target;
  request.headers.set("Host", url.host + ":" + std::to_string(url.port));
  request.max_body = 1_GiB;
  auto response = co_await (*connection)->request(std::move(request));
  co_return response;
}

std::string name_in(std::string_view target) {
  target = target.substr(0, target.find('?'));
  const std::string decoded = http::percent_decode(target).value_or(std::string(target));
  std::string name = std::filesystem::path(decoded).filename().string();
  if (name.size() > 200) name = name.substr(name.size() - 200);  // Keeps the extension.
  if (name.empty() || name == "." || name == "..") name = "file";
  return name;
}

std::string extension_for(std::string_view media_type) {
  for (const auto& [extension, type] : kMediaTypes) {
    if (type == media_type) return std::string(extension);
  }
  return "";
}

Result<std::filesystem::path> write_file(const std::filesystem::path& folder,
                                         const std::string& name, const std::string& content) {
  std::filesystem::path path = folder / name;
  for (int n = 2; std::filesystem::exists(path); ++n)
    path = folder / (std::to_string(n) + "-" + name);
  std::ofstream out(path, std::ios::binary);
  out << content;
  out.close();
  if (!out) return absl::ResourceExhaustedError("cannot write the input file " + path.string());
  return path;
}

Result<std::filesystem::path> fetch_data_uri(const std::string& uri,
                                             const std::filesystem::path& folder) {
  const std::size_t comma = uri.find(',');
  if (comma == std::string::npos) return absl::InvalidArgumentError("a data URI without a comma");
  std::string header = uri.substr(5, comma - 5);
  const bool is_base64 = header.ends_with(";base64");
  const std::string media_type = header.substr(0, header.find(';'));
  auto content = is_base64 ? crypto::base64_decode(std::string_view(uri).substr(comma + 1))
                           : http::percent_decode(std::string_view(uri).substr(comma + 1));
  if (!content) return absl::InvalidArgumentError("a data URI with a malformed body");
  return write_file(folder, "file" + extension_for(media_type), *content);
}

Result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError("cannot read the output file " + path.string());
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

Result<HttpUrl> parse_http_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (url.starts_with("https://")) {
    return absl::InvalidArgumentError(
        "https is not spoken here: the platform fetches such files for the model");
  }
  if (!url.starts_with(kScheme)) return absl::InvalidArgumentError("not an http URL");
  url.remove_prefix(kScheme.size());
  HttpUrl parts;
  const std::size_t slash = url.find('/');
  std::string_view authority = url.substr(0, slash);
  if (slash != std::string_view::npos) parts.target = std::string(url.substr(slash));
  const std::size_t colon = authority.rfind(':');
  parts.host = std::string(authority.substr(0, colon));
  if (colon != std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), parts.port);
    if (error != std::errc{} || end != digits.data() + digits.size()) {
      return absl::InvalidArgumentError("a URL with a malformed port");
    }
  }
  if (parts.host.empty()) return absl::InvalidArgumentError("a URL without a host");
  return parts;
}

Result<std::filesystem::path> fetch_file(const std::string& url,
                                         const std::filesystem::path& folder) {
  if (url.starts_with("data:")) return fetch_data_uri(url, folder);
  MIMEO_ASSIGN_OR_RETURN(const HttpUrl parts, parse_http_url(url));
  http::ClientRequest request;
  auto response = run_blocking(exchange(parts, std::move(request)));
  if (!response.ok()) return with_context(response.status(), "fetching " + url);
  if (response->status != 200) {
    return absl::NotFoundError("fetching " + url + ": HTTP " + std::to_string(response->status));
  }
  return write_file(folder, name_in(parts.target), response->body);
}

Result<std::string> upload_file(const std::filesystem::path& path, const std::string& upload_url) {
  std::string url = upload_url;
  if (!url.ends_with('/')) url += '/';
  url += http::percent_encode(path.filename().string());
  MIMEO_ASSIGN_OR_RETURN(const HttpUrl parts, parse_http_url(url));
  http::ClientRequest request;
  request.method = "PUT";
  request.headers.set("Content-Type", std::string(media_type_of(path)));
  MIMEO_ASSIGN_OR_RETURN(request.body, read_file(path));
  auto response = run_blocking(exchange(parts, std::move(request)));
  if (!response.ok())
    return with_context(response.status(), "uploading " + path.filename().string());
  if (response->status < 200 || response->status > 299) {
    return absl::UnavailableError("uploading " + path.filename().string() + ": HTTP " +
                                  std::to_string(response->status));
  }
  std::string location(response->headers.get("Location"));
  if (location.empty()) location = url;
  return location.substr(0, location.find('?'));
}

Result<std::string> data_uri(const std::filesystem::path& path) {
  MIMEO_ASSIGN_OR_RETURN(const std::string content, read_file(path));
  return "data:" + std::string(media_type_of(path)) + ";base64," + crypto::base64(content);
}

Result<int> post_json(const std::string& url, const std::string& body) {
  MIMEO_ASSIGN_OR_RETURN(const HttpUrl parts, parse_http_url(url));
  http::ClientRequest request;
  request.method = "POST";
  request.headers.set("Content-Type", "application/json");
  request.body = body;
  auto response = run_blocking(exchange(parts, std::move(request)));
  if (!response.ok()) return response.status();
  return response->status;
}

std::string_view media_type_of(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  for (const auto& [known, type] : kMediaTypes) {
    if (known == extension) return type;
  }
  return "application/octet-stream";
}

}  // namespace mimeo::sdk
