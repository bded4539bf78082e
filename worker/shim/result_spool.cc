#include "worker/shim/result_spool.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "common/base/file_io.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFree = 64;              // Files kept for later.
constexpr std::size_t kMaxOpen = 256;             // Of those that hold a result.
constexpr std::uint64_t kMaxKeptBytes = 1 << 16;  // A larger file is not worth its disk space.

// In front of the attempt's name and the payload. All zero: the file holds nothing. It is written
// last, so that a writer that dies on the way leaves nothing that looks whole.
struct Header {
  std::uint64_t name_bytes = 0;
  std::uint64_t payload_bytes = 0;
};

std::string directory_of(const std::string& spool_dir) {
  return absl::StrCat(spool_dir, "/results");
}

constexpr const char* kWriting = "keeping a result";

bool write_header(int fd, const Header& header) {
  return ::pwrite(fd, &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header);
}

Status write_record(int fd, std::string_view name, std::string_view payload) {
  std::array<iovec, 2> parts{{{const_cast<char*>(name.data()), name.size()},
                              {const_cast<char*>(payload.data()), payload.size()}}};
  const ssize_t first = ::pwritev(fd, parts.data(), parts.size(), sizeof(Header));
  if (first < static_cast<ssize_t>(name.size())) return from_errno(errno, kWriting);
  // The rest, only for very large ones.
  for (auto done = static_cast<std::size_t>(first) - name.size(); done < payload.size();) {
    const ssize_t n = ::pwrite(fd, payload.data() + done, payload.size() - done,
                               static_cast<off_t>(sizeof(Header) + name.size() + done));
    if (n <= 0) return from_errno(errno, kWriting);
    done += static_cast<std::size_t>(n);
  }
  if (!write_header(fd, {name.size(), payload.size()})) return from_errno(errno, kWriting);
  return absl::OkStatus();
}

struct Record {
  std::string name;
  std::string payload;
};

std::optional<Record> read_record(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Header header;
  if (text.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, text.data(), sizeof header);
  const std::uint64_t rest = text.size() - sizeof header;
  if (header.name_bytes == 0 || header.name_bytes > rest) return std::nullopt;
  if (header.payload_bytes > rest - header.name_bytes) return std::nullopt;
  return Record{text.substr(sizeof header, header.name_bytes),
                text.substr(sizeof header + header.name_bytes, header.payload_bytes)};
}

}  // namespace

ResultSpool::ResultSpool(const std::string& spool_dir) : directory_(directory_of(spool_dir)) {}

ResultSpool::~ResultSpool() {
  for (const File& file : free_) discard(file);
  for (const auto& [attempt, file] : held_) {
    if (file.fd >= 0) ::close(file.fd);
  }
}

Result<ResultSpool::File> ResultSpool::take_file() {
  if (!free_.empty()) {
    File file = std::move(free_.back());
    free_.pop_back();
    return file;
  }
  for (;;) {  // Past what an earlier shim may have left here.
    File file;
    file.path = absl::StrCat(directory_, "/", made_++);
    file.fd = ::open(file.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (file.fd >= 0) return file;
    if (errno != EEXIST) return from_errno(errno, kWriting);
  }
}

Status ResultSpool::put(const std::string& attempt, std::string_view payload) {
  MIMEO_ASSIGN_OR_RETURN(File file, take_file());
  if (Status written = write_record(file.fd, attempt, payload); !written.ok()) {
    discard(file);
    return written;
  }
  file.size_bytes =
      std::max<std::uint64_t>(file.size_bytes, sizeof(Header) + attempt.size() + payload.size());
  if (held_.size() >= kMaxOpen) {
    ::close(file.fd);
    file.fd = -1;
  }
  held_.emplace(attempt, std::move(file));
  return absl::OkStatus();
}

void ResultSpool::drop(const std::string& attempt) {
  const auto found = held_.find(attempt);
  if (found == held_.end()) return;
  File file = std::move(found->second);
  held_.erase(found);
  give_back(std::move(file));
}

void ResultSpool::give_back(File file) {
  const bool is_kept = file.fd >= 0 && file.size_bytes <= kMaxKeptBytes && free_.size() < kMaxFree;
  if (is_kept && write_header(file.fd, {})) {
    free_.push_back(std::move(file));
  } else {
    discard(file);
  }
}

void ResultSpool::discard(const File& file) {
  ::unlink(file.path.c_str());
  if (file.fd >= 0) ::close(file.fd);
}

std::vector<std::string> read_results(const std::string& spool_dir) {
  std::vector<std::string> payloads;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_of(spool_dir), error)) {
    if (auto record = read_record(entry.path())) payloads.push_back(std::move(record->payload));
  }
  return payloads;
}

void erase_result(const std::string& spool_dir, std::string_view attempt) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_of(spool_dir), error)) {
    const auto record = read_record(entry.path());
    if (!record.has_value() || record->name != attempt) continue;
    std::error_code ignored;
    fs::remove(entry.path(), ignored);
    return;
  }
}

}  // namespace mimeo::worker
