// Uploaded files' metadata in memory, for tests: passes the same contract as the one in Postgres.

#pragma once

#include <map>
#include <mutex>

#include "common/store/files.h"

namespace mimeo::store {

class MemoryFiles final : public FilesStore {
 public:
  Status create_file(const File& file) override;
  Result<File> get_file(FileId id, AccountId account, WallTime now) override;
  Result<std::vector<File>> list_files(AccountId account, FileId before, WallTime now,
                                       std::size_t limit) override;
  Status delete_file(FileId id, AccountId account) override;
  Result<std::vector<File>> list_expired_files(WallTime now, std::size_t limit) override;

 private:
  std::mutex mutex_;
  std::map<FileId, File> files_;  // Guarded by mutex_.
};

}  // namespace mimeo::store
