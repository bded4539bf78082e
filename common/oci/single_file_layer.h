// An image layer that holds one file, made on the way from where the file is read: an uncompressed
// tar archive whose bytes depend on the path and the content alone.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/base/status.h"
#include "common/crypto/crypto.h"

namespace mimeo::oci {

// Gives its bytes once, in order. One thread.
class SingleFileLayer {
 public:
  // At most buffer.size() bytes of the file from `offset`; 0 only at its end.
  using ReadFile = std::function<Result<std::size_t>(std::uint64_t offset, std::span<char> buffer)>;

  // `path`: as in an archive, without a leading slash ("src/weights"); the folders must be those of
  // lower layers, or are made by whoever unpacks. kInvalidArgument when it does not fit an entry.
  static Result<SingleFileLayer> make(const std::string& path, std::uint64_t file_bytes,
                                      ReadFile read);

  // Of the whole layer.
  [[nodiscard]] std::uint64_t size_bytes() const;
  // The next bytes; 0 at the end. kInternal when the file is shorter than was said.
  Result<std::size_t> read(std::span<char> buffer);
  // "sha256:..." of what read() gave; call it once, after the end.
  [[nodiscard]] std::string digest();

 private:
  SingleFileLayer(std::string header, std::uint64_t file_bytes, ReadFile read);

  std::string header_;
  std::uint64_t file_bytes_;
  ReadFile read_;
  std::uint64_t at_ = 0;
  std::unique_ptr<crypto::Sha256> hash_;
};

}  // namespace mimeo::oci
