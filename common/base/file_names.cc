#include "common/base/file_names.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace mimeo {
namespace {

constexpr std::size_t kLongestEnding = 16;
constexpr std::size_t kLongestType = 255;

// What models read and write; for each ending the type that clients see, and for each type the
// first ending.
constexpr auto kTypes = std::to_array<std::pair<std::string_view, std::string_view>>({
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".webp", "image/webp"},
    {".gif", "image/gif"},
    {".svg", "image/svg+xml"},
    {".bmp", "image/bmp"},
    {".tiff", "image/tiff"},
    {".tif", "image/tiff"},
    {".avif", "image/avif"},
    {".heic", "image/heic"},
    {".heif", "image/heif"},
    {".jxl", "image/jxl"},
    {".exr", "image/x-exr"},
    {".psd", "image/vnd.adobe.photoshop"},
    {".ico", "image/vnd.microsoft.icon"},
    {".mp4", "video/mp4"},
    {".m4v", "video/mp4"},
    {".webm", "video/webm"},
    {".mov", "video/quicktime"},
    {".mkv", "video/x-matroska"},
    {".avi", "video/x-msvideo"},
    {".mpeg", "video/mpeg"},
    {".mp3", "audio/mpeg"},
    {".wav", "audio/wav"},
    {".wav", "audio/x-wav"},
    {".wav", "audio/wave"},
    {".flac", "audio/flac"},
    {".ogg", "audio/ogg"},
    {".oga", "audio/ogg"},
    {".opus", "audio/opus"},
    {".weba", "audio/webm"},
    {".m4a", "audio/mp4"},
    {".aac", "audio/aac"},
    {".aiff", "audio/aiff"},
    {".mid", "audio/midi"},
    {".json", "application/json"},
    {".jsonl", "application/jsonl"},
    {".txt", "text/plain"},
    {".csv", "text/csv"},
    {".tsv", "text/tab-separated-values"},
    {".html", "text/html"},
    {".htm", "text/html"},
    {".css", "text/css"},
    {".md", "text/markdown"},
    {".vtt", "text/vtt"},
    {".srt", "application/x-subrip"},
    {".xml", "application/xml"},
    {".xml", "text/xml"},
    {".yaml", "application/yaml"},
    {".yml", "application/yaml"},
    {".pdf", "application/pdf"},
    {".zip", "application/zip"},
    {".tar", "application/x-tar"},
    {".gz", "application/gzip"},
    {".glb", "model/gltf-binary"},
    {".gltf", "model/gltf+json"},
    {".obj", "model/obj"},
    {".ply", "model/ply"},
    {".stl", "model/stl"},
    {".usdz", "model/vnd.usdz+zip"},
});

char lowered(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lowered(c);
  return out;
}

// The bytes of the character in front: 0 when it is malformed, overlong or half of a pair.
std::size_t size_of_first(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  const bool is_wrong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
                        (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F);
  return is_wrong ? 0 : size;
}

bool is_control(std::string_view character) {
  const auto first = static_cast<std::uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && static_cast<std::uint8_t>(character[1]) < 0xA0;  // U+0080 to U+009F.
}

// The first `size` bytes or a little less: no character is cut.
std::string_view shortened(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<std::uint8_t>(text[size]) & 0xC0U) == 0x80) --size;
  return text.substr(0, size);
}

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$&^_.+-";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    const char low = lowered(c);
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

}  // namespace

std::string_view file_ending(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || name.size() - dot > kLongestEnding) return {};
  return name.substr(dot);
}

std::string harmless_file_name(std::string_view name, std::string_view otherwise) {
  name = name.substr(name.rfind('/') + 1);  // npos + 1 = 0.
  std::string out;
  while (!name.empty()) {
    const std::size_t size = size_of_first(name);
    const std::string_view character = name.substr(0, std::max<std::size_t>(size, 1));
    const bool is_hidden = out.empty() && character == ".";
    if (size > 0 && !is_control(character) && !is_hidden) out += character;
    name.remove_prefix(character.size());
  }
  if (out.size() > kLongestFileName) {
    const std::string ending(file_ending(out));
    out = std::string(shortened(out, kLongestFileName - ending.size())) + ending;
  }
  return out.empty() ? std::string(otherwise) : out;
}

std::string_view type_of_file_name(std::string_view name) {
  const std::string wanted = lowered(file_ending(name));
  for (const auto& [ending, type] : kTypes) {
    if (ending == wanted) return type;
  }
  return "application/octet-stream";
}

std::string_view ending_of_type(std::string_view content_type) {
  const std::string wanted = lowered(content_type.substr(0, content_type.find_first_of("; \t")));
  for (const auto& [ending, type] : kTypes) {
    if (type == wanted) return ending;
  }
  return {};
}

std::string checked_content_type(std::string_view content_type) {
  const std::size_t end = std::min(content_type.find_first_of("; \t"), content_type.size());
  const std::string_view name = content_type.substr(0, end);
  const std::size_t slash = name.find('/');
  const bool is_one = content_type.size() <= kLongestType && slash != std::string_view::npos &&
                      is_token(name.substr(0, slash)) && is_token(name.substr(slash + 1)) &&
                      std::all_of(content_type.begin(), content_type.end(),
                                  [](char c) { return c >= 0x20 && c < 0x7F; });
  if (!is_one) return {};
  return lowered(name).append(content_type.substr(end));
}

}  // namespace mimeo
