// Persistence of what is known of stored files: uploads (the API's /files) and the files that
// predictions put out. The bytes are in a BlobStore. Each content is there once: the first copy
// that came stays, whoever brought it, and every file refers to it. A content that nothing refers
// to any more becomes a dead blob, which the sweeper removes.
//
// Same rules as predictions.h: methods block, are thread-safe, may be repeated, and are one
// transaction each.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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
  std::string blob_key;  // Created: of the caller's copy. Read: of the one that stayed.
};

// Where a page of files begins. The page itself is newest first either way.
struct FilesStart {
  FileId id;                 // Behind this one (older ones); nil = from the newest.
  bool is_backward = false;  // Before it: the newer ones that are next to it.
};

// A file that a prediction put out. Who knows the secret and the name may read it.
struct OutputFile {
  PredictionId prediction;
  std::string secret;
  std::string filename;
  std::int64_t size_bytes = 0;
  std::string sha256_hex;
  std::string md5_hex;
  std::string content_type;  // As the worker gave it; empty = what the name says.
  WallTime created_at;
  std::string blob_key;  // As in File.
};

class FilesStore {
 public:
  virtual ~FilesStore() = default;
  // The blob was written before, under a key of its own that nothing else uses. After an error
  // nothing is known: leave the blob, find_unknown_blobs() tells the sweeper.
  // kAlreadyExists never: a repeated call with the same id is OK.
  virtual Status create_file(const File& file) = 0;
  // kNotFound, also when it has expired by `now`. `account` 0 = any (internal callers).
  virtual Result<File> get_file(FileId id, AccountId account, WallTime now) = 0;
  // Not expired ones.
  virtual Result<std::vector<File>> list_files(AccountId account, const FilesStart& start,
                                               WallTime now, std::size_t limit) = 0;
  // kNotFound when there was none.
  virtual Status delete_file(FileId id, AccountId account) = 0;
  // Expired by `now`, oldest first; for the sweeper, which deletes them.
  virtual Result<std::vector<File>> list_expired_files(WallTime now, std::size_t limit) = 0;

  // Like create_file(). kNotFound when there is no such prediction or its data was removed: then
  // the blob is dead.
  virtual Status create_output(const OutputFile& file) = 0;
  // Makes the content of the upload `source` of `account` a file of `file.prediction`, too, and
  // copies nothing: prediction, secret, filename and created_at of `file` count. kNotFound when
  // there is no such upload by now, or when create_output() would say so.
  virtual Status share_upload(FileId source, AccountId account, const OutputFile& file) = 0;
  // kNotFound.
  virtual Result<OutputFile> get_output(PredictionId prediction, std::string_view secret,
                                        std::string_view filename) = 0;

  // All that these predictions put out, kept or not.
  virtual Status delete_outputs(std::span<const PredictionId> predictions) = 0;

  // Keys of blobs to remove that are greater than `after` (empty = from the first), in order.
  virtual Result<std::vector<std::string>> list_dead_blobs(std::string_view after,
                                                           std::size_t limit) = 0;
  // These were removed.
  virtual Status forget_dead_blobs(std::span<const std::string> keys) = 0;
  // Those of `keys` that no content has and that are not dead: of uploads that never ended.
  virtual Result<std::vector<std::string>> find_unknown_blobs(
      std::span<const std::string> keys) = 0;
};

}  // namespace mimeo::store
