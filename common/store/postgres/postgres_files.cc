// The FilesStore part of PostgresStore.

#include <algorithm>
#include <pqxx/transaction>

#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/contents.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_files.h"

namespace mimeo::store {
namespace {

// Where the content of uploads lay before there were contents.
std::string old_blob_key(FileId id) { return "files/" + id.str(); }

File file_of(const pqxx::row& row) {
  RowReader reader(row);
  File file;
  file.id = reader.uuid();
  file.account = reader.integer();
  file.name = reader.text();
  file.content_type = reader.text();
  file.size_bytes = reader.integer();
  file.sha256_hex = reader.text();
  file.md5_hex = reader.text();
  file.metadata = reader.text();
  file.created_at = reader.time();
  file.expires_at = reader.maybe_time();
  file.blob_key = reader.text();
  if (file.blob_key.empty()) file.blob_key = old_blob_key(file.id);
  return file;
}

std::vector<File> files_of(const pqxx::result& rows) {
  std::vector<File> files;
  for (const pqxx::row& row : rows) files.push_back(file_of(row));
  return files;
}

std::vector<std::string> texts_of(const pqxx::result& rows) {
  std::vector<std::string> texts;
  for (const pqxx::row& row : rows) texts.emplace_back(row[0].c_str());
  return texts;
}

std::string array_of(std::span<const std::string> texts) {
  SqlArray array;
  for (const std::string& text : texts) array.add_text(text);
  return array.take();
}

// The content that was to be referred to may be deleted at the same moment: then the foreign key
// refuses, and the next try brings the content itself.
template <class Work>
Status with_content(Work work) {
  Status status;
  for (int attempt = 0; attempt < 5; ++attempt) {
    status = work();
    if (!absl::IsFailedPrecondition(status)) break;
  }
  return status;
}

}  // namespace

void release_contents(Connection& connection, pqxx::transaction_base& transaction,
                      const pqxx::result& contents) {
  SqlArray array;
  for (const pqxx::row& row : contents) {
    if (!row[0].is_null()) array.add_text(row[0].c_str());
  }
  const std::string list = array.take();
  if (list == "{}") return;
  connection.run_in(transaction, kLockContents, list);
  connection.run_in(transaction, kDropUnused, list);
}

Status PostgresStore::create_file(const File& file) {
  return with_content([&] {
    return pool_->with("creating a file", [&](Connection& connection) -> Status {
      connection.run(kCreateFile, file.id.hex(), file.account, file.name, file.content_type,
                     file.size_bytes, file.sha256_hex, file.md5_hex, file.metadata,
                     sql_time(file.created_at), sql_time(file.expires_at), file.blob_key);
      return absl::OkStatus();
    });
  });
}

Result<File> PostgresStore::get_file(FileId id, AccountId account, WallTime now) {
  return pool_->with("reading a file", [&](Connection& connection) -> Result<File> {
    const pqxx::result rows = connection.run(kGetFile, id.hex(), account, sql_time(now));
    if (rows.empty()) return absl::NotFoundError("no such file");
    return file_of(rows[0]);
  });
}

Result<std::vector<File>> PostgresStore::list_files(AccountId account, const FilesStart& start,
                                                    WallTime now, std::size_t limit) {
  return pool_->with("listing files", [&](Connection& connection) -> Result<std::vector<File>> {
    const auto& statement = start.is_backward ? kListFilesBackward : kListFiles;
    std::vector<File> files = files_of(connection.run(
        statement, account, sql_uuid(start.id), sql_time(now), static_cast<std::int64_t>(limit)));
    if (start.is_backward) std::reverse(files.begin(), files.end());
    return files;
  });
}

Status PostgresStore::delete_file(FileId id, AccountId account) {
  return pool_->with("deleting a file", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    const pqxx::result gone = connection.run_in(transaction, kDeleteFile, id.hex(), account);
    if (gone.empty()) return absl::NotFoundError("no such file");
    if (gone[0][0].is_null()) {
      connection.run_in(transaction, kAddDeadBlob, old_blob_key(id));
    } else {
      release_contents(connection, transaction, gone);
    }
    transaction.commit();
    return absl::OkStatus();
  });
}

Result<std::vector<File>> PostgresStore::list_expired_files(WallTime now, std::size_t limit) {
  return pool_->with(
      "listing expired files", [&](Connection& connection) -> Result<std::vector<File>> {
        return files_of(
            connection.run(kListExpiredFiles, sql_time(now), static_cast<std::int64_t>(limit)));
      });
}

Status PostgresStore::create_output(const OutputFile& file) {
  return with_content([&] {
    return pool_->with("creating an output file", [&](Connection& connection) -> Status {
      const pqxx::result rows =
          connection.run(kCreateOutput, file.prediction.hex(), file.secret, file.filename,
                         file.sha256_hex, file.md5_hex, file.size_bytes, sql_time(file.created_at),
                         file.blob_key, file.content_type);
      if (rows[0][0].as<bool>()) return absl::OkStatus();
      return absl::NotFoundError("no such prediction, or its data was removed");
    });
  });
}

Status PostgresStore::share_upload(FileId source, AccountId account, const OutputFile& file) {
  return with_content([&] {
    return pool_->with("sharing an upload", [&](Connection& connection) -> Status {
      const pqxx::row row =
          connection.run(kShareUpload, file.prediction.hex(), file.secret, file.filename,
                         sql_time(file.created_at), source.hex(), account, old_blob_key(source))[0];
      if (!row[0].as<bool>()) {
        return absl::NotFoundError("no such prediction, or its data was removed");
      }
      if (!row[1].as<bool>()) return absl::NotFoundError("no such file");
      return absl::OkStatus();
    });
  });
}

Result<OutputFile> PostgresStore::get_output(PredictionId prediction, std::string_view secret,
                                             std::string_view filename) {
  using Answer = Result<OutputFile>;
  return pool_->with("reading an output file", [&](Connection& connection) -> Answer {
    const pqxx::result rows =
        connection.run(kGetOutput, prediction.hex(), std::string(secret), std::string(filename));
    if (rows.empty()) return absl::NotFoundError("no such output file");
    const pqxx::row row = rows[0];
    RowReader reader(row);
    OutputFile file;
    file.prediction = prediction;
    file.secret = secret;
    file.filename = filename;
    file.size_bytes = reader.integer();
    file.sha256_hex = reader.text();
    file.md5_hex = reader.text();
    file.content_type = reader.text();
    file.created_at = reader.time();
    file.blob_key = reader.text();
    return file;
  });
}

Status PostgresStore::delete_outputs(std::span<const PredictionId> predictions) {
  return pool_->with("deleting outputs", [&](Connection& connection) -> Status {
    SqlArray ids;
    for (const PredictionId& id : predictions) ids.add(id);
    pqxx::work transaction(connection.raw());
    const pqxx::result gone = connection.run_in(transaction, kDeleteOutputs, ids.take());
    release_contents(connection, transaction, gone);
    transaction.commit();
    return absl::OkStatus();
  });
}

Result<std::vector<std::string>> PostgresStore::list_dead_blobs(std::string_view after,
                                                                std::size_t limit) {
  using Answer = Result<std::vector<std::string>>;
  return pool_->with("listing dead blobs", [&](Connection& connection) -> Answer {
    return texts_of(
        connection.run(kListDeadBlobs, std::string(after), static_cast<std::int64_t>(limit)));
  });
}

Status PostgresStore::forget_dead_blobs(std::span<const std::string> keys) {
  return pool_->with("forgetting dead blobs", [&](Connection& connection) -> Status {
    connection.run(kForgetDeadBlobs, array_of(keys));
    return absl::OkStatus();
  });
}

Result<std::vector<std::string>> PostgresStore::find_unknown_blobs(
    std::span<const std::string> keys) {
  using Answer = Result<std::vector<std::string>>;
  return pool_->with("looking for unknown blobs", [&](Connection& connection) -> Answer {
    return texts_of(connection.run(kFindUnknownBlobs, array_of(keys)));
  });
}

}  // namespace mimeo::store
