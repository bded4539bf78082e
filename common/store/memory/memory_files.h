// What is known of stored files in memory, for tests: passes the same contract as the one in
// Postgres.

#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "common/store/files.h"

namespace mimeo::store {

class MemoryFiles final : public FilesStore {
 public:
  // Says whether there is such a prediction with its data. Without one, all have.
  using HasData = std::function<bool(PredictionId)>;
  void set_has_data(HasData has_data);
  // Of a prediction whose data is removed.
  void remove_outputs(PredictionId id);

  Status create_file(const File& file) override;
  Result<File> get_file(FileId id, AccountId account, WallTime now) override;
  Result<std::vector<File>> list_files(AccountId account, const FilesStart& start, WallTime now,
                                       std::size_t limit) override;
  Status delete_file(FileId id, AccountId account) override;
  Result<std::vector<File>> list_expired_files(WallTime now, std::size_t limit) override;
  Status create_output(const OutputFile& file) override;
  Status share_upload(FileId source, AccountId account, const OutputFile& file) override;
  Result<OutputFile> get_output(PredictionId prediction, std::string_view secret,
                                std::string_view filename) override;
  Status delete_outputs(std::span<const PredictionId> predictions) override;
  Result<std::vector<std::string>> list_dead_blobs(std::string_view after,
                                                   std::size_t limit) override;
  Status forget_dead_blobs(std::span<const std::string> keys) override;
  Result<std::vector<std::string>> find_unknown_blobs(std::span<const std::string> keys) override;

 private:
  struct Content {
    std::string blob_key;
    std::size_t references = 0;
  };
  using OutputKey = std::pair<PredictionId, std::string>;

  // With mutex_ held.
  void refer(const std::string& sha256_hex, const std::string& blob_key);
  void release(const std::string& sha256_hex);
  File shown(File file) const;

  std::mutex mutex_;
  // Guarded by mutex_.
  HasData has_data_;
  std::map<FileId, File> files_;
  std::map<OutputKey, OutputFile> outputs_;
  std::map<std::string, Content> contents_;  // By SHA-256.
  std::set<std::string> dead_;
};

}  // namespace mimeo::store
