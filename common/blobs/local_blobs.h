// Blobs in a directory of this machine. A blob appears whole or not at all: it is written beside,
// synced, and renamed.

#pragma once

#include <filesystem>
#include <memory>

#include "common/blobs/blob_store.h"

namespace mimeo::blobs {

// Several processes may share one directory.
class LocalBlobs final : public BlobStore {
 public:
  // Makes the directory when missing. kFailedPrecondition when it cannot be written.
  static Result<std::unique_ptr<LocalBlobs>> open_directory(std::filesystem::path directory);

  Result<std::unique_ptr<BlobWriter>> create(std::string_view key) override;
  Result<std::unique_ptr<BlobReader>> open(std::string_view key) override;
  Status remove(std::string_view key) override;
  NotRemoved remove_many(std::span<const std::string> keys) override;
  Status remove_all(std::string_view prefix) override;
  Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                        std::size_t limit) override;
  // By the time of the last write.
  Status remove_unfinished(std::chrono::seconds age) override;

 private:
  explicit LocalBlobs(std::filesystem::path directory) : directory_(std::move(directory)) {}
  [[nodiscard]] std::filesystem::path path_of(std::string_view key) const {
    return directory_ / std::filesystem::path(key);
  }
  void remove_empty_parents(std::filesystem::path of) const;

  const std::filesystem::path directory_;
};

}  // namespace mimeo::blobs
