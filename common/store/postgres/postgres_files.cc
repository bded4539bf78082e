// The FilesStore part of PostgresStore.

#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_files.h"

namespace mimeo::store {
namespace {

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
  return file;
}

std::vector<File> files_of(const pqxx::result& rows) {
  std::vector<File> files;
  for (const pqxx::row& row : rows) files.push_back(file_of(row));
  return files;
}

}  // namespace

Status PostgresStore::create_file(const File& file) {
  return pool_->with("creating a file", [&](Connection& connection) -> Status {
    connection.run(kCreateFile, file.id.hex(), file.account, file.name, file.content_type,
                   file.size_bytes, file.sha256_hex, file.md5_hex, file.metadata,
                   sql_time(file.created_at), sql_time(file.expires_at));
    return absl::OkStatus();
  });
}

Result<File> PostgresStore::get_file(FileId id, AccountId account, WallTime now) {
  return pool_->with("reading a file", [&](Connection& connection) -> Result<File> {
    const pqxx::result rows = connection.run(kGetFile, id.hex(), account, sql_time(now));
    if (rows.empty()) return absl::NotFoundError("no such file");
    return file_of(rows[0]);
  });
}

Result<std::vector<File>> PostgresStore::list_files(AccountId account, FileId before, WallTime now,
                                                    std::size_t limit) {
  return pool_->with("listing files", [&](Connection& connection) -> Result<std::vector<File>> {
    return files_of(connection.run(kListFiles, account, sql_uuid(before), sql_time(now),
                                   static_cast<std::int64_t>(limit)));
  });
}

Status PostgresStore::delete_file(FileId id, AccountId account) {
  return pool_->with("deleting a file", [&](Connection& connection) -> Status {
    const pqxx::result result = connection.run(kDeleteFile, id.hex(), account);
    return result.affected_rows() > 0 ? absl::OkStatus() : absl::NotFoundError("no such file");
  });
}

Result<std::vector<File>> PostgresStore::list_expired_files(WallTime now, std::size_t limit) {
  return pool_->with(
      "listing expired files", [&](Connection& connection) -> Result<std::vector<File>> {
        return files_of(
            connection.run(kListExpiredFiles, sql_time(now), static_cast<std::int64_t>(limit)));
      });
}

}  // namespace mimeo::store
