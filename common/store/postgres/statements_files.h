// Statements of uploaded files, files that predictions put out, and the contents of both.
//
// A file and its content are inserted by one statement. The foreign key is what makes that safe
// beside the deletion of unused contents: it locks the content's row (FOR KEY SHARE, which many can
// hold), or fails when the row was deleted meanwhile, and the statement is run again.

#pragma once

#include "common/store/postgres/statement.h"

namespace mimeo::store {

// A copy that is not needed is dead at once. $11: the key of this one.
inline constexpr Statement kCreateFile{"files_create", R"sql(
WITH c AS (
  INSERT INTO contents (sha256, blob_key, size_bytes) VALUES (decode($6::text, 'hex'), $11::text, $5::bigint)
  ON CONFLICT DO NOTHING RETURNING blob_key
), d AS (
  INSERT INTO dead_blobs (blob_key) SELECT $11::text
  WHERE NOT EXISTS (SELECT FROM c) AND NOT EXISTS (SELECT FROM contents WHERE blob_key = $11::text AND sha256 = decode($6::text, 'hex'))
  ON CONFLICT DO NOTHING
)
INSERT INTO files (id, account_id, name, content_type, size_bytes, sha256_hex, md5_hex, metadata,
  created_at, expires_at, content)
VALUES ($1::uuid, $2::bigint, $3::text, $4::text, $5::bigint, $6::text, $7::text, $8::json,
  $9::timestamptz, $10::timestamptz, decode($6::text, 'hex'))
ON CONFLICT (id) DO NOTHING)sql"};

#define MIMEO_FILE_COLUMNS                                                                        \
  "id, account_id, name, content_type, f.size_bytes, sha256_hex, md5_hex, metadata, created_at, " \
  "expires_at, blob_key FROM files AS f LEFT JOIN contents AS c ON c.sha256 = f.content"

inline constexpr Statement kGetFile{"files_get", "SELECT " MIMEO_FILE_COLUMNS R"sql(
WHERE id = $1::uuid AND ($2::bigint = 0 OR account_id = $2::bigint)
  AND (expires_at IS NULL OR expires_at > $3::timestamptz))sql"};

// $2: ids below it; NULL = from the newest.
inline constexpr Statement kListFiles{"files_list", "SELECT " MIMEO_FILE_COLUMNS R"sql(
WHERE account_id = $1::bigint AND ($2::uuid IS NULL OR id < $2::uuid)
  AND (expires_at IS NULL OR expires_at > $3::timestamptz)
ORDER BY id DESC LIMIT $4::bigint)sql"};

// The next above $2; oldest first.
inline constexpr Statement kListFilesBackward{"files_list_backward",
                                              "SELECT " MIMEO_FILE_COLUMNS R"sql(
WHERE account_id = $1::bigint AND id > $2::uuid
  AND (expires_at IS NULL OR expires_at > $3::timestamptz)
ORDER BY id LIMIT $4::bigint)sql"};

// The content that it referred to, if any.
inline constexpr Statement kDeleteFile{"files_delete", R"sql(
DELETE FROM files WHERE id = $1::uuid AND ($2::bigint = 0 OR account_id = $2::bigint)
RETURNING content)sql"};

inline constexpr Statement kListExpiredFiles{"files_expired", "SELECT " MIMEO_FILE_COLUMNS R"sql(
WHERE expires_at <= $1::timestamptz ORDER BY expires_at LIMIT $2::bigint)sql"};

#undef MIMEO_FILE_COLUMNS

// Only while the prediction has its data: the lock on its input makes a removal wait, which then
// finds this file. Returns whether it had.
inline constexpr Statement kCreateOutput{"outputs_create", R"sql(
WITH p AS MATERIALIZED (
  SELECT id FROM payloads WHERE id = $1::uuid AND kind = 0 FOR KEY SHARE
), c AS (
  INSERT INTO contents (sha256, blob_key, size_bytes)
  SELECT decode($4::text, 'hex'), $8::text, $6::bigint FROM p
  ON CONFLICT DO NOTHING RETURNING blob_key
), o AS (
  INSERT INTO output_files (prediction_id, secret, filename, content, md5_hex, created_at,
    content_type)
  SELECT id, $2::text, $3::text, decode($4::text, 'hex'), $5::text, $7::timestamptz, $9::text FROM p
  ON CONFLICT DO NOTHING
), d AS (
  INSERT INTO dead_blobs (blob_key) SELECT $8::text
  WHERE NOT EXISTS (SELECT FROM c) AND NOT EXISTS (SELECT FROM contents WHERE blob_key = $8::text AND sha256 = decode($4::text, 'hex'))
  ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM p))sql"};

// The same with the content of an upload, $5 of the account $6, whose row is locked against
// deletion and proves that its content is there. The content of an upload from before contents
// becomes one. Returns whether the prediction had its data, and whether there is such an upload.
inline constexpr Statement kShareUpload{"outputs_share", R"sql(
WITH p AS MATERIALIZED (
  SELECT id FROM payloads WHERE id = $1::uuid AND kind = 0 FOR KEY SHARE
), f AS MATERIALIZED (
  SELECT id, content, sha256_hex, md5_hex, size_bytes, content_type FROM files
  WHERE id = $5::uuid AND account_id = $6::bigint
    AND (expires_at IS NULL OR expires_at > $4::timestamptz)
  FOR KEY SHARE
), c AS (
  INSERT INTO contents (sha256, blob_key, size_bytes)
  SELECT decode(f.sha256_hex, 'hex'), $7::text, f.size_bytes FROM f, p WHERE f.content IS NULL
  ON CONFLICT DO NOTHING RETURNING sha256
), u AS (
  UPDATE files AS t SET content = c.sha256 FROM c WHERE t.id = $5::uuid
), o AS (
  INSERT INTO output_files (prediction_id, secret, filename, content, md5_hex, created_at,
    content_type)
  SELECT p.id, $2::text, $3::text, COALESCE(f.content, decode(f.sha256_hex, 'hex')), f.md5_hex,
    $4::timestamptz, f.content_type FROM p, f
  ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM p), EXISTS (SELECT FROM f))sql"};

inline constexpr Statement kGetOutput{"outputs_get", R"sql(
SELECT c.size_bytes, encode(c.sha256, 'hex'), o.md5_hex, o.content_type, o.created_at, c.blob_key
FROM output_files AS o JOIN contents AS c ON c.sha256 = o.content
WHERE o.prediction_id = $1::uuid AND o.secret = $2::text AND o.filename = $3::text)sql"};

// Nobody can begin to refer to these any more, and who already did has committed.
inline constexpr Statement kLockContents{"contents_lock", R"sql(
SELECT 1 FROM contents WHERE sha256 = ANY($1::bytea[]) ORDER BY sha256 FOR UPDATE)sql"};

// After kLockContents, as a statement of its own: it must see what those committed.
inline constexpr Statement kDropUnused{"contents_drop_unused", R"sql(
WITH gone AS (
  DELETE FROM contents AS c WHERE sha256 = ANY($1::bytea[])
    AND NOT EXISTS (SELECT FROM files WHERE content = c.sha256)
    AND NOT EXISTS (SELECT FROM output_files WHERE content = c.sha256)
  RETURNING blob_key
)
INSERT INTO dead_blobs (blob_key) SELECT blob_key FROM gone ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kAddDeadBlob{"dead_blobs_add", R"sql(
INSERT INTO dead_blobs (blob_key) VALUES ($1::text) ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kListDeadBlobs{"dead_blobs_list", R"sql(
SELECT blob_key FROM dead_blobs WHERE blob_key > $1::text
ORDER BY blob_key LIMIT $2::bigint)sql"};

inline constexpr Statement kForgetDeadBlobs{"dead_blobs_forget", R"sql(
DELETE FROM dead_blobs WHERE blob_key = ANY($1::text[]))sql"};

inline constexpr Statement kFindUnknownBlobs{"contents_find_unknown", R"sql(
SELECT i.key FROM unnest($1::text[]) AS i(key)
WHERE NOT EXISTS (SELECT FROM contents WHERE blob_key = i.key)
  AND NOT EXISTS (SELECT FROM dead_blobs WHERE blob_key = i.key))sql"};

inline constexpr Statement kDeleteOutputs{"outputs_delete", R"sql(
DELETE FROM output_files WHERE prediction_id = ANY($1::uuid[]) RETURNING content)sql"};

}  // namespace mimeo::store
