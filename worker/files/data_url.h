// "data:" URLs (RFC 2397) and the names of files behind others. Pure.

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

// The name of the file behind a URL: the last segment of its path, as harmless_file_name() has it.
[[nodiscard]] std::string filename_of_url(std::string_view url);

}  // namespace mimeo::worker
