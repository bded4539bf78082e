#include "common/blobs/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/file_io.h"

namespace mimeo::blobs {
namespace {

constexpr std::size_t kMostMemory = 128 * 1024;
constexpr const char* kWriting = "writing to the spool";

}  // namespace

Status Spool::move_to_file() {
  std::string pattern = (folder_ / "mimeo-spool-XXXXXX").string();
  file_ = Descriptor(::mkostemp(pattern.data(), O_CLOEXEC));
  if (!file_.is_open()) return from_errno(errno, "making a spool file");
  ::unlink(pattern.c_str());
  MIMEO_RETURN_IF_ERROR(write_all(file_.get(), memory_, kWriting));
  std::string().swap(memory_);
  return absl::OkStatus();
}

Status Spool::append(std::string_view data) {
  size_bytes_ += data.size();
  if (!file_.is_open()) {
    if (size_bytes_ <= kMostMemory) {
      memory_.append(data);
      return absl::OkStatus();
    }
    MIMEO_RETURN_IF_ERROR(move_to_file());
  }
  return write_all(file_.get(), data, kWriting);
}

Result<std::size_t> Spool::read(std::uint64_t offset, std::span<char> buffer) const {
  if (offset >= size_bytes_) return std::size_t{0};
  if (!file_.is_open()) {
    const std::size_t count = std::min<std::size_t>(buffer.size(), size_bytes_ - offset);
    std::copy_n(memory_.data() + offset, count, buffer.data());
    return count;
  }
  while (true) {
    const ssize_t got =
        ::pread(file_.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return from_errno(errno, "reading the spool");
  }
}

Status Spool::clear() {
  size_bytes_ = 0;
  memory_.clear();
  if (!file_.is_open()) return absl::OkStatus();
  if (::ftruncate(file_.get(), 0) != 0 || ::lseek(file_.get(), 0, SEEK_SET) != 0) {
    return from_errno(errno, "emptying the spool");
  }
  return absl::OkStatus();
}

}  // namespace mimeo::blobs
