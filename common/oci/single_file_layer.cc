#include "common/oci/single_file_layer.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <utility>

#include "common/base/ids.h"

namespace mimeo::oci {
namespace {

constexpr std::uint64_t kBlock = 512;
constexpr std::uint64_t kEndBytes = 2 * kBlock;             // Two blocks of zeros.
constexpr std::uint64_t kMaxOctalSize = (1ULL << 33U) - 1;  // Eleven octal digits.
constexpr std::size_t kMaxPath = 100;

std::uint64_t padded(std::uint64_t bytes) { return (bytes + kBlock - 1) / kBlock * kBlock; }

// One header of POSIX ustar; a size above 8 GiB is in the binary form that GNU tar introduced and
// everybody reads.
std::string header_of(const std::string& path, std::uint64_t size) {
  std::array<char, kBlock> block{};
  const auto put = [&block](std::size_t at, const std::string& text) {
    std::memcpy(block.data() + at, text.data(), text.size());
  };
  put(0, path);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  if (size <= kMaxOctalSize) {
    std::array<char, 13> octal{};
    std::snprintf(octal.data(), octal.size(), "%011llo", static_cast<unsigned long long>(size));
    put(124, octal.data());
  } else {
    block[124] = static_cast<char>(0x80);
    for (std::size_t i = 0; i < 8; ++i) {
      block[135 - i] = static_cast<char>((size >> (8 * i)) & 0xFFU);
    }
  }
  put(136, "00000000000");  // Never a time: the digest must not depend on it.
  put(148, "        ");
  block[156] = '0';
  put(257, std::string("ustar\0"
                       "00",
                       8));
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::array<char, 8> checksum{};
  std::snprintf(checksum.data(), checksum.size(), "%06o", sum);
  put(148, checksum.data());
  block[154] = '\0';
  return {block.data(), block.size()};
}

}  // namespace

Result<SingleFileLayer> SingleFileLayer::make(const std::string& path, std::uint64_t file_bytes,
                                              ReadFile read) {
  if (path.empty() || path.front() == '/' || path.size() > kMaxPath ||
      path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("no path of a layer's file: \"" + path + "\"");
  }
  return SingleFileLayer(header_of(path, file_bytes), file_bytes, std::move(read));
}

SingleFileLayer::SingleFileLayer(std::string header, std::uint64_t file_bytes, ReadFile read)
    : header_(std::move(header)),
      file_bytes_(file_bytes),
      read_(std::move(read)),
      hash_(std::make_unique<crypto::Sha256>()) {}

std::uint64_t SingleFileLayer::size_bytes() const {
  return kBlock + padded(file_bytes_) + kEndBytes;
}

Result<std::size_t> SingleFileLayer::read(std::span<char> buffer) {
  if (buffer.empty() || at_ == size_bytes()) return std::size_t{0};
  std::size_t got = 0;
  if (at_ < kBlock) {
    got = std::min<std::size_t>(buffer.size(), kBlock - at_);
    std::memcpy(buffer.data(), header_.data() + at_, got);
  } else if (at_ < kBlock + file_bytes_) {
    const std::uint64_t offset = at_ - kBlock;
    const auto most = std::min<std::uint64_t>(buffer.size(), file_bytes_ - offset);
    MIMEO_ASSIGN_OR_RETURN(got, read_(offset, buffer.first(static_cast<std::size_t>(most))));
    if (got == 0) return absl::InternalError("the file is shorter than it was");
  } else {
    got = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size_bytes() - at_));
    std::memset(buffer.data(), 0, got);
  }
  hash_->update(std::string_view(buffer.data(), got));
  at_ += got;
  return got;
}

std::string SingleFileLayer::digest() { return "sha256:" + to_hex(hash_->finish()); }

}  // namespace mimeo::oci
