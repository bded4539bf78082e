// Persistence of uploaded files' metadata (the API's /files). The bytes are in a BlobStore under
// `blob_key`; whoever removes a row removes the blob after it.
//
// Same rules as predictions.h: methods block, are thread-safe, may be repeated, and are one
// transaction each.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"

namespace mimeo::store {

using FileId = Uuid;

struct File {
  FileId id;
  AccountId account = 0;
  std::string name;
  std::string content_type;
  std::int64_t size_bytes = 0;
  std::string sha256_hex;
  std::string md5_hex;
  std::string metadata = "{}";  // JSON object as the caller sent it.
  WallTime created_at;
  std::optional<WallTime> expires_at;  // nullopt = kept until deleted.

  // "files/<id>".
  [[nodiscard]] std::string blob_key() const { return "files/" + id.str(); }
};

class FilesStore {
 public:
  virtual ~FilesStore() = default;
  // The blob was written before. kAlreadyExists never: a repeated call with the same id is OK.
  virtual Status create_file(const File& file) = 0;
  // kNotFound, also when it has expired by `now`. `account` 0 = any (internal callers).
  virtual Result<File> get_file(FileId id, AccountId account, WallTime now) = 0;
  // Not expired ones, newest first, ids below `before` (nil = from the newest).
  virtual Result<std::vector<File>> list_files(AccountId account, FileId before, WallTime now,
                                               std::size_t limit) = 0;
  // kNotFound when there was none.
  virtual Status delete_file(FileId id, AccountId account) = 0;
  // Expired by `now`, oldest first; for the sweeper, which removes blob and row.
  virtual Result<std::vector<File>> list_expired_files(WallTime now, std::size_t limit) = 0;
};

}  // namespace mimeo::store
