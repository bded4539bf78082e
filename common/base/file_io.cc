#include "common/base/file_io.h"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace mimeo {

Status from_errno(int error, std::string_view what) {
  const std::string text =
      std::string(what).append(": ").append(std::generic_category().message(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
  return absl::InternalError(text);
}

Status write_all(int fd, std::string_view data, std::string_view what) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return from_errno(errno, what);
    data.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace mimeo
