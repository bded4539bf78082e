// Statements of uploaded files.

#pragma once

#include "common/store/postgres/statement.h"

namespace mimeo::store {

inline constexpr Statement kCreateFile{"files_create", R"sql(
INSERT INTO files (id, account_id, name, content_type, size_bytes, sha256_hex, md5_hex, metadata,
  created_at, expires_at)
VALUES ($1::uuid, $2::bigint, $3::text, $4::text, $5::bigint, $6::text, $7::text, $8::json,
  $9::timestamptz, $10::timestamptz)
ON CONFLICT (id) DO NOTHING)sql"};

#define MIMEO_FILE_COLUMNS                                                                      \
  "id, account_id, name, content_type, size_bytes, sha256_hex, md5_hex, metadata, created_at, " \
  "expires_at"

inline constexpr Statement kGetFile{"files_get", "SELECT " MIMEO_FILE_COLUMNS R"sql( FROM files
WHERE id = $1::uuid AND ($2::bigint = 0 OR account_id = $2::bigint)
  AND (expires_at IS NULL OR expires_at > $3::timestamptz))sql"};

// $2: ids below it; NULL = from the newest.
inline constexpr Statement kListFiles{"files_list", "SELECT " MIMEO_FILE_COLUMNS R"sql( FROM files
WHERE account_id = $1::bigint AND ($2::uuid IS NULL OR id < $2::uuid)
  AND (expires_at IS NULL OR expires_at > $3::timestamptz)
ORDER BY id DESC LIMIT $4::bigint)sql"};

inline constexpr Statement kDeleteFile{"files_delete", R"sql(
DELETE FROM files WHERE id = $1::uuid AND ($2::bigint = 0 OR account_id = $2::bigint))sql"};

inline constexpr Statement kListExpiredFiles{"files_expired",
                                             "SELECT " MIMEO_FILE_COLUMNS R"sql( FROM files
WHERE expires_at <= $1::timestamptz ORDER BY expires_at LIMIT $2::bigint)sql"};

#undef MIMEO_FILE_COLUMNS

}  // namespace mimeo::store
