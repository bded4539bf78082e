// Where files live: uploaded inputs and model outputs. local_blobs (a directory) and s3_blobs
// implement it. Content is addressed by key, streamed, never whole in memory.
//
// Methods block: call them from a BlockingPool thread. Safe from any thread.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace mimeo::blobs {

struct BlobInfo {
  std::uint64_t size_bytes = 0;
  std::string sha256_hex;
  std::string md5_hex;
};

// Writes one blob; nothing is visible before commit(). Destroyed without commit: nothing remains.
// That blocks like everything else: let it happen on a pool's thread (BlockingPool::share()).
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual Status write(std::string_view data) = 0;
  virtual Result<BlobInfo> commit() = 0;
};

class BlobReader {
 public:
  virtual ~BlobReader() = default;
  [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;
  // At most buffer.size() bytes from `offset`; 0 at the end. Always of the same blob: when it is
  // replaced or removed meanwhile, either of that one still, or an error.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) = 0;
};

// What remove_many() could not remove.
struct NotRemoved {
  std::vector<std::string> keys;  // Empty = all are gone.
  Status why;                     // Of the first of them. kUnavailable: not of a key, but of all.
};

class BlobStore {
 public:
  virtual ~BlobStore() = default;
  // Keys: segments [A-Za-z0-9._-]+ joined by '/'; kInvalidArgument otherwise.
  virtual Result<std::unique_ptr<BlobWriter>> create(std::string_view key) = 0;
  // kNotFound.
  virtual Result<std::unique_ptr<BlobReader>> open(std::string_view key) = 0;
  // OK also when it was not there.
  virtual Status remove(std::string_view key) = 0;
  // As remove() of each, in fewer requests. One that cannot be removed holds no other up.
  virtual NotRemoved remove_many(std::span<const std::string> keys) = 0;
  // Everything under `prefix` + '/'; all that can be, and an error when something cannot.
  virtual Status remove_all(std::string_view prefix) = 0;
  // Keys under `prefix` + '/' that are greater than `after` (empty = from the first), in the order
  // of their bytes, at most `limit`.
  virtual Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                                std::size_t limit) = 0;
  // Clears away what writers that died left, as far as it is older than `age`. Takes a writer that
  // has been at it for longer its work.
  virtual Status remove_unfinished(std::chrono::seconds age) = 0;
};

}  // namespace mimeo::blobs
