#include "worker/launch/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace mimeo::worker {

LogFile::LogFile(std::filesystem::path current, std::filesystem::path old, Bytes limit)
    : current_(std::move(current)), old_(std::move(old)), limit_(limit) {
  open();
}

void LogFile::open() {
  file_ = Descriptor(::open(current_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat info {};
  size_ = ::fstat(file_.get(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

void LogFile::write(std::string_view text) {
  while (!text.empty()) {
    if (size_ >= limit_.count) {
      std::rename(current_.c_str(), old_.c_str());
      open();
    }
    const std::size_t room = size_ < limit_.count ? limit_.count - size_ : limit_.count;
    std::string_view piece = text.substr(0, room);
    // Files begin with whole lines, except where a line is longer than what a pipe gives at once.
    const std::size_t newline = piece.rfind('\n');
    if (piece.size() < text.size() && newline != std::string_view::npos) {
      piece = piece.substr(0, newline + 1);
    }
    const ssize_t n = ::write(file_.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    size_ += static_cast<std::uint64_t>(n);
    // Full but for the rest of a line: that goes to the next file.
    if (piece.size() < room && piece.size() < text.size()) size_ = limit_.count;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace mimeo::worker
