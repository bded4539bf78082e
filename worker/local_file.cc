#include "worker/local_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;

Status sync_folder(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno_status("opening " + path.string());
  const int result = ::fsync(fd);
  ::close(fd);
  return result == 0 ? absl::OkStatus() : errno_status("syncing " + path.string());
}

}  // namespace

Status errno_status(std::string_view what) {
  return absl::InternalError(std::string(what) + ": " + std::strerror(errno));
}

Result<std::string> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(path.string() + " is not there");
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) return absl::InternalError("reading " + path.string());
  return content;
}

Status write_file_durably(const fs::path& path, std::string_view content) {
  const fs::path temporary = path.string() + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errno_status("writing " + temporary.string());
  Status status;
  while (!content.empty() && status.ok()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno != EINTR) status = errno_status("writing " + temporary.string());
    if (n > 0) content.remove_prefix(static_cast<std::size_t>(n));
  }
  if (status.ok() && ::fsync(fd) != 0) status = errno_status("syncing " + temporary.string());
  ::close(fd);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = errno_status("renaming " + temporary.string());
  }
  MIMEO_RETURN_IF_ERROR(status);
  return sync_folder(path.parent_path());
}

}  // namespace mimeo::worker
