// Reads the end of a container's own log: what coglet prints about a prediction there (its
// synchronous answer has no logs when the model failed), and the last lines before a crash.
//
// Understands Docker's json-file driver and plain files. Blocking; the files are on local disk and
// at most `kTailBytes` are read.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mimeo::worker::cog {

inline constexpr std::size_t kTailBytes = 1 << 20;

// The last `limit` bytes of what the container wrote, readable; empty when there is no such file.
[[nodiscard]] std::string log_tail(const std::string& path, std::size_t limit);

// What `prediction` printed, from coglet's structured lines; nullopt while the line that ends it
// ("Prediction failed", "Prediction cancelled", ...) is not there yet, so that the caller may look
// again.
[[nodiscard]] std::optional<std::string> prediction_log(const std::string& path,
                                                        const std::string& prediction);

// The pure parts, for lines as the container wrote them. readable_log() leaves the messages of
// structured lines, which is how every Cog server writes its own log.
[[nodiscard]] std::string readable_log(std::string_view lines);
[[nodiscard]] std::string unwrap_json_file(std::string_view lines);
[[nodiscard]] std::optional<std::string> find_prediction_log(std::string_view text,
                                                             std::string_view prediction);

}  // namespace mimeo::worker::cog
