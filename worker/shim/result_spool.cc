#include "worker/shim/result_files.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLengthBytes = 8;

std::array<char, kLengthBytes> encode(std::uint64_t length) {
  std::array<char, kLengthBytes> bytes{};
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    bytes[i] = static_cast<char>(length >> (8 * (kLengthBytes - 1 - i)));
  }
  return bytes;
}

std::optional<std::string> read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.size() < kLengthBytes) return std::nullopt;
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length = length << 8U | static_cast<unsigned char>(text[i]);
  }
  if (text.size() != length + kLengthBytes) return std::nullopt;
  return text.substr(kLengthBytes);
}

}  // namespace

std::string result_path(const std::string& spool_dir, const std::string& attempt) {
  return absl::StrCat(spool_dir, "/results/", attempt);
}

Status write_result_file(const std::string& path, const std::string& payload) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return absl::InternalError(std::system_category().message(errno));
  const auto length = encode(payload.size());
  std::array<iovec, 2> parts{{{const_cast<char*>(length.data()), length.size()},
                              {const_cast<char*>(payload.data()), payload.size()}}};
  ssize_t written = ::writev(fd, parts.data(), parts.size());
  std::size_t done = written > 0 ? static_cast<std::size_t>(written) : 0;
  const std::size_t whole = kLengthBytes + payload.size();
  while (written > 0 && done < whole && done >= kLengthBytes) {  // Only for very large ones.
    const std::size_t at = done - kLengthBytes;
    written = ::write(fd, payload.data() + at, payload.size() - at);
    if (written > 0) done += static_cast<std::size_t>(written);
  }
  const int error = errno;
  ::close(fd);
  if (done == whole) return absl::OkStatus();
  return absl::InternalError(std::system_category().message(error));
}

std::vector<std::string> read_result_files(const std::string& spool_dir) {
  std::vector<std::string> payloads;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(spool_dir + "/results", error)) {
    if (auto payload = read_whole(entry.path())) payloads.push_back(*std::move(payload));
  }
  return payloads;
}

}  // namespace mimeo::worker
