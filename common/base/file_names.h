// Names of files that came from outside, made fit for a folder, a row and the end of a URL; and the
// types that their endings stand for. Pure.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mimeo {

inline constexpr std::size_t kLongestFileName = 200;  // In bytes. A folder takes 255.

// What a person would call the file that somebody called `name`: what follows the last '/', as
// valid UTF-8, without control characters and without dots in front (no hidden file, no ".."), at
// most kLongestFileName bytes with its ending kept; `otherwise` when nothing is left.
[[nodiscard]] std::string harmless_file_name(std::string_view name,
                                             std::string_view otherwise = "file");

// ".png" of "a.b.png"; empty without one, and of what is too long to be one.
[[nodiscard]] std::string_view file_ending(std::string_view name);

// By the name's ending, in any case; "application/octet-stream" when it is not known.
[[nodiscard]] std::string_view type_of_file_name(std::string_view name);
// ".png" of "image/png"; empty when it is not known. Parameters of the type do not count.
[[nodiscard]] std::string_view ending_of_type(std::string_view content_type);

// `content_type` when it is one ("type/subtype" and perhaps parameters, in ASCII, at most 255
// characters), type and subtype in lower case; else empty.
[[nodiscard]] std::string checked_content_type(std::string_view content_type);

}  // namespace mimeo
