#include "worker/files/data_url.h"

#include <array>
#include <utility>

#include "common/crypto/crypto.h"
#include "common/http/message.h"
#include "worker/text.h"

namespace mimeo::worker {
namespace {

// What models read and write; for each extension the type that clients see, and for each type the
// first extension.
constexpr std::array<std::pair<std::string_view, std::string_view>, 40> kTypes{{
    {".png", "image/png"},         {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},       {".webp", "image/webp"},
    {".gif", "image/gif"},         {".svg", "image/svg+xml"},
    {".bmp", "image/bmp"},         {".tiff", "image/tiff"},
    {".tif", "image/tiff"},        {".avif", "image/avif"},
    {".heic", "image/heic"},       {".ico", "image/vnd.microsoft.icon"},
    {".mp4", "video/mp4"},         {".webm", "video/webm"},
    {".mov", "video/quicktime"},   {".mkv", "video/x-matroska"},
    {".avi", "video/x-msvideo"},   {".mp3", "audio/mpeg"},
    {".wav", "audio/x-wav"},       {".wav", "audio/wav"},
    {".flac", "audio/flac"},       {".ogg", "audio/ogg"},
    {".m4a", "audio/mp4"},         {".aac", "audio/aac"},
    {".opus", "audio/opus"},       {".json", "application/json"},
    {".txt", "text/plain"},        {".csv", "text/csv"},
    {".html", "text/html"},        {".md", "text/markdown"},
    {".xml", "application/xml"},   {".yaml", "application/yaml"},
    {".pdf", "application/pdf"},   {".zip", "application/zip"},
    {".tar", "application/x-tar"}, {".gz", "application/gzip"},
    {".glb", "model/gltf-binary"}, {".gltf", "model/gltf+json"},
    {".obj", "model/obj"},         {".ply", "model/ply"},
}};

constexpr std::size_t kMaxFilename = 100;
constexpr std::size_t kMaxExtension = 16;

std::string_view extension(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || name.size() - dot > kMaxExtension) return {};
  return name.substr(dot);
}

}  // namespace

std::optional<DataUrl> parse_data_url(std::string_view url) {
  constexpr std::string_view kScheme = "data:";
  if (!starts_with_any_case(url, kScheme)) return std::nullopt;
  const std::size_t comma = url.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  std::string_view head = url.substr(kScheme.size(), comma - kScheme.size());
  const std::string_view body = url.substr(comma + 1);
  DataUrl out;
  bool is_base64 = false;
  const std::size_t semicolon = head.find(';');
  out.content_type = to_lower(head.substr(0, semicolon));
  if (out.content_type.empty()) out.content_type = "text/plain";
  while (!head.empty()) {
    const std::size_t end = head.find(';');
    if (to_lower(head.substr(0, end)) == "base64") is_base64 = true;
    if (end == std::string_view::npos) break;
    head.remove_prefix(end + 1);
  }
  // Base64 in a URL may be percent-encoded, too ("%3D"); its own alphabet has no '%'.
  std::optional<std::string> decoded;
  if (body.find('%') != std::string_view::npos) {
    decoded = http::percent_decode(body);
    if (!decoded) return std::nullopt;
  }
  const std::string_view text = decoded ? std::string_view(*decoded) : body;
  if (!is_base64) {
    out.content = std::string(text);
    return out;
  }
  auto content = crypto::base64_decode(text);
  if (!content) return std::nullopt;
  out.content = std::move(*content);
  return out;
}

std::string make_data_url(std::string_view content_type, std::string_view content) {
  return "data:" + std::string(content_type) + ";base64," + crypto::base64(content);
}

std::string content_type_of(std::string_view filename) {
  const std::string wanted = to_lower(extension(filename));
  for (const auto& [ending, type] : kTypes) {
    if (ending == wanted) return std::string(type);
  }
  return "application/octet-stream";
}

std::string extension_of(std::string_view content_type) {
  for (const auto& [ending, type] : kTypes) {
    if (type == content_type) return std::string(ending);
  }
  return {};
}

std::string harmless_filename(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const char low = lower_ascii(c);
    const bool is_kept =
        (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    out += is_kept ? c : '_';
  }
  while (!out.empty() && out.front() == '.') out.erase(0, 1);  // No hidden files, no "..".
  if (out.size() > kMaxFilename) {
    const std::string ending(extension(out));
    out = out.substr(0, kMaxFilename - ending.size()) + ending;
  }
  return out.empty() ? "file" : out;
}

std::string filename_of_url(std::string_view url) {
  std::string_view path = url.substr(0, url.find_first_of("?#"));
  if (const std::size_t scheme = path.find("://"); scheme != std::string_view::npos) {
    path.remove_prefix(scheme + 3);
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos) return "file";
    path.remove_prefix(slash);
  }
  const std::string_view last = path.substr(path.rfind('/') + 1);
  return harmless_filename(http::percent_decode(last).value_or(std::string(last)));
}

}  // namespace mimeo::worker
