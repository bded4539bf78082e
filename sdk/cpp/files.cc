#include "sdk/cpp/files.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <utility>

#include "common/crypto/crypto.h"
#include "common/http/message.h"
#include "sdk/cpp/fetch.h"

namespace mimeo::sdk {
namespace {

namespace asio = boost::asio;

// One write of the whole file: weights have gigabytes.
constexpr std::chrono::hours kUploadTime{1};

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

std::filesystem::path free_path(const std::filesystem::path& folder, const std::string& name) {
  std::filesystem::path path = folder / name;
  for (int n = 2; std::filesystem::exists(path); ++n) {
    path = folder / (std::to_string(n) + "-" + name);
  }
  return path;
}

Status cannot_write(const std::filesystem::path& path) {
  return absl::ResourceExhaustedError("cannot write the input file " + path.string());
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
  const std::filesystem::path path = free_path(folder, "file" + extension_for(media_type));
  std::ofstream out(path, std::ios::binary);
  out << *content;
  out.close();
  if (!out) return cannot_write(path);
  return path;
}

Result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError("cannot read the output file " + path.string());
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

Result<std::filesystem::path> fetch_file(const std::string& url,
                                         const std::filesystem::path& folder) {
  if (url.starts_with("data:")) return fetch_data_uri(url, folder);
  const std::string shown = url.substr(0, url.find('?'));  // Queries may hold signatures.
  const Result<HttpUrl> parts = parse_http_url(url);
  if (!parts.ok()) return with_context(parts.status(), "fetching " + shown);
  const std::filesystem::path path = free_path(folder, name_in(parts->target));
  std::ofstream out(path, std::ios::binary);
  const FetchSink sink = [&out, &path](std::string_view piece) {
    out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    return out ? absl::OkStatus() : cannot_write(path);
  };
  const Status status = run_blocking(download(url, sink));
  if (!status.ok()) return with_context(status, "fetching " + shown);
  out.close();
  if (!out) return cannot_write(path);
  return path;
}

Result<std::string> upload_file(const std::filesystem::path& path, const std::string& upload_url,
                                const std::string& prediction_id) {
  const std::string clause = "uploading " + path.filename().string();
  std::string url = upload_url;
  if (!url.ends_with('/')) url += '/';
  url += http::percent_encode(path.filename().string());
  MIMEO_ASSIGN_OR_RETURN(const HttpUrl parts, parse_http_url(url));
  http::ClientRequest request;
  request.method = "PUT";
  request.headers.set("Content-Type", std::string(media_type_of(path)));
  request.headers.set("X-Prediction-ID", prediction_id);
  request.timeout = kUploadTime;
  MIMEO_ASSIGN_OR_RETURN(request.body, read_file(path));
  const Result<http::Response> response = run_blocking(fetch(parts, std::move(request)));
  if (!response.ok()) return with_context(response.status(), clause);
  if (response->status / 100 != 2) {
    return absl::UnavailableError(clause + ": HTTP " + std::to_string(response->status));
  }
  std::string location(response->headers.get("Location"));
  location = location.empty() ? url : resolve_location(parts, location);
  return location.substr(0, location.find('?'));
}

Result<std::string> data_uri(const std::filesystem::path& path) {
  MIMEO_ASSIGN_OR_RETURN(const std::string content, read_file(path));
  return "data:" + std::string(media_type_of(path)) + ";base64," + crypto::base64(content);
}

std::string_view media_type_of(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  for (const auto& [known, type] : kMediaTypes) {
    if (known == extension) return type;
  }
  return "application/octet-stream";
}

}  // namespace mimeo::sdk
