#include "worker/shim/event_spool.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace mimeo::worker {
namespace {

constexpr std::size_t kLongestJoinedLog = 16 * 1024;

}  // namespace

EventSpool::EventSpool(std::string file_path, std::size_t memory_bytes)
    : file_path_(std::move(file_path)), memory_bytes_(memory_bytes) {}

EventSpool::~EventSpool() { close_file(); }

std::uint64_t EventSpool::append(SpooledKind kind, std::uint32_t since_start_ms, std::string data) {
  if (kind == SpooledKind::kLog && !entries_.empty() && last_seq() > read_through_) {
    Entry& last = entries_.back();
    if (last.kind == SpooledKind::kLog && last.offset < 0 &&
        last.data.size() + data.size() <= kLongestJoinedLog) {
      last.data.append(data);
      last.size = static_cast<std::uint32_t>(last.data.size());
      memory_used_ += data.size();
      return last_seq();
    }
  }
  Entry entry{kind, since_start_ms, static_cast<std::uint32_t>(data.size()), -1, std::move(data)};
  const std::size_t size = entry.data.size();
  const bool is_full = memory_used_ + size > memory_bytes_ && !entries_.empty();
  if (!is_full || !spill(entry)) memory_used_ += size;
  entries_.push_back(std::move(entry));
  return last_seq();
}

bool EventSpool::spill(Entry& entry) {
  if (fd_ < 0) {
    fd_ = ::open(file_path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd_ < 0) return false;
    file_end_ = 0;
  }
  const ssize_t written = ::pwrite(fd_, entry.data.data(), entry.data.size(), file_end_);
  if (written != static_cast<ssize_t>(entry.data.size())) return false;
  entry.offset = file_end_;
  file_end_ += written;
  entry.data = std::string();
  ++in_file_;
  return true;
}

Result<SpooledEvent> EventSpool::read(std::uint64_t seq) {
  if (seq < first_seq_ || seq > last_seq() || entries_.empty()) {
    return absl::NotFoundError(absl::StrCat("no event ", seq));
  }
  const Entry& entry = entries_[seq - first_seq_];
  read_through_ = std::max(read_through_, seq);
  SpooledEvent event{seq, entry.kind, entry.since_start_ms, entry.data};
  if (entry.offset < 0) return event;
  event.data.resize(entry.size);
  const ssize_t got = ::pread(fd_, event.data.data(), event.data.size(), entry.offset);
  if (got != static_cast<ssize_t>(entry.size)) {
    return absl::InternalError(absl::StrCat("reading the event spool: ",
                                            std::system_category().message(got < 0 ? errno : EIO)));
  }
  return event;
}

void EventSpool::drop_through(std::uint64_t seq) {
  while (!entries_.empty() && first_seq_ <= seq) {
    const Entry& first = entries_.front();
    if (first.offset < 0) {
      memory_used_ -= first.size;
    } else {
      --in_file_;
    }
    entries_.pop_front();
    ++first_seq_;
  }
  if (in_file_ == 0) close_file();
}

void EventSpool::close_file() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(file_path_.c_str());
  fd_ = -1;
}

}  // namespace mimeo::worker
