// What has come of a blob but was not sent on yet: in memory while it is small, in a file without a
// name above that, so that a thousand slow uploads cost descriptors and not memory.

#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "common/base/descriptor.h"
#include "common/base/status.h"
#include "common/crypto/crypto.h"

namespace mimeo::blobs {

// Used by one thread at a time.
class Spool {
 public:
  explicit Spool(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // kResourceExhausted when the disk is full.
  Status append(std::string_view data);
  // What begins at `offset`, at most buffer.size(); 0 at the end.
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) const;
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  // Empty again.
  Status clear();

 private:
  Status move_to_file();

  const std::filesystem::path folder_;
  std::uint64_t size_bytes_ = 0;
  std::string memory_;  // All of it, until there is a file.
  Descriptor file_{-1};
};

}  // namespace mimeo::blobs
