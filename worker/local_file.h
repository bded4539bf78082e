// Whole files on this machine's disk. Blocking.

#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::worker {

// The whole file, or kNotFound.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path);
// Replaces the file so that a crash leaves the old or the new one, and nothing after it is lost.
Status write_file_durably(const std::filesystem::path& path, std::string_view content);

// kInternal: "`what`: No space left on device", by errno.
[[nodiscard]] Status errno_status(std::string_view what);

}  // namespace mimeo::worker
