// Blobs in a bucket of an S3-compatible server. Content goes there in parts as it comes; nothing is
// whole in memory.

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "common/blobs/blob_store.h"
#include "common/blobs/s3_client.h"

namespace mimeo::blobs {

struct S3BlobsOptions {
  S3Options s3;
  std::string prefix;  // Of all keys, without slashes at its ends; may be empty.
  // Of an upload that is larger than one part. S3 takes 5 MiB and more, and at most 10,000 parts.
  std::uint64_t part_bytes = 16U << 20;
  std::filesystem::path spool = "/tmp";  // Where a part waits until it is whole.
};

// Whether a bucket keeps what is deleted from it.
enum class Versioning : std::uint8_t {
  kNever,    // What is deleted is gone.
  kOn,       // It keeps earlier versions, or (suspended) those from before.
  kUnknown,  // The credentials do not let us ask, or the server does not know the question.
};

// Several processes may share a bucket and a prefix.
class S3Blobs final : public BlobStore {
 public:
  // kFailedPrecondition for options that are wrong or a bucket that cannot be used, kUnavailable.
  static Result<std::unique_ptr<S3Blobs>> open_bucket(S3BlobsOptions options, const Clock& clock,
                                                      Random& random);

  Result<std::unique_ptr<BlobWriter>> create(std::string_view key) override;
  Result<std::unique_ptr<BlobReader>> open(std::string_view key) override;
  Status remove(std::string_view key) override;
  NotRemoved remove_many(std::span<const std::string> keys) override;
  Status remove_all(std::string_view prefix) override;
  Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                        std::size_t limit) override;
  // Ends uploads in parts that began longer ago.
  Status remove_unfinished(std::chrono::seconds age) override;

  // kUnavailable.
  [[nodiscard]] Result<Versioning> versioning() const;

 private:
  S3Blobs(S3BlobsOptions options, const Clock& clock, Random& random)
      : options_(std::move(options)), clock_(clock), client_(options_.s3, clock, random) {}
  [[nodiscard]] std::string full_key(std::string_view key) const;
  Status check_bucket() const;
  NotRemoved remove_batch(std::span<const std::string> keys) const;
  Status end_upload(const std::string& full_key, const std::string& upload_id) const;

  const S3BlobsOptions options_;
  const Clock& clock_;
  const S3Client client_;
};

}  // namespace mimeo::blobs
