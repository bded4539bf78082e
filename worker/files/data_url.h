// "data:" URLs (RFC 2397) and names of files. Pure.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mimeo::worker {

struct DataUrl {
  std::string content_type;  // Without parameters; "text/plain" when none is given.
  std::string content;
};
// nullopt when it is none or malformed.
[[nodiscard]] std::optional<DataUrl> parse_data_url(std::string_view url);
[[nodiscard]] std::string make_data_url(std::string_view content_type, std::string_view content);

// By the name's extension; "application/octet-stream" when unknown.
[[nodiscard]] std::string content_type_of(std::string_view filename);
// ".png" for "image/png"; empty when unknown.
[[nodiscard]] std::string extension_of(std::string_view content_type);

// The last segment of a URL's path as a harmless file name: [A-Za-z0-9._-], at most 100 characters,
// extension kept; "file" when nothing is left.
[[nodiscard]] std::string filename_of_url(std::string_view url);
[[nodiscard]] std::string harmless_filename(std::string_view name);

}  // namespace mimeo::worker
