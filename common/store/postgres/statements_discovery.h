// Statements of search, official models, collections, and pages of versions and deployments.
// The search itself depends on its words: its text is made in postgres_search.cc.

#pragma once

#include "common/store/postgres/statement.h"
#include "common/store/postgres/statements_catalog.h"
#include "common/store/postgres/statements_deployments.h"

namespace mimeo::store {

// In no order.
inline constexpr Statement kModelsByIds{"models_by_ids",
                                        MIMEO_LISTED_MODEL_SELECT "AND m.id = ANY($1::bigint[])"};

// Official or not, its tags, and how large its latest version and default example are (0 = none;
// known without reading them).
inline constexpr Statement kModelFacts{"models_facts", R"sql(
SELECT m.id, m.is_official, COALESCE((
  SELECT string_agg(c.slug, ' ' ORDER BY c.slug) FROM collection_models AS cm
  JOIN collections AS c ON c.id = cm.collection_id WHERE cm.model_id = m.id), ''),
  COALESCE((SELECT 1 + octet_length(openapi_schema) + octet_length(config) FROM versions
    WHERE id = m.latest_version AND state = 0), 0)::bigint,
  COALESCE((SELECT 1 + octet_length(input) + octet_length(output) + octet_length(logs)
      + octet_length(metrics)
    FROM examples WHERE model_id = m.id AND prediction_id = m.default_example), 0)::bigint
FROM models AS m WHERE m.id = ANY($1::bigint[]) AND m.deleted_at IS NULL)sql"};

inline constexpr Statement kLatestVersions{
    "versions_latest_of", "SELECT " MIMEO_VERSION_COLUMNS
                          " FROM models AS m JOIN versions AS v ON v.id = m.latest_version"
                          " WHERE m.id = ANY($1::bigint[]) AND v.state = 0"};

inline constexpr Statement kIsOfficial{"models_is_official",
                                       "SELECT is_official FROM models WHERE id = $1::bigint"};
inline constexpr Statement kSetOfficial{"models_set_official", R"sql(
UPDATE models SET is_official = $2::boolean WHERE id = $1::bigint AND deleted_at IS NULL)sql"};
inline constexpr Statement kCountModels{"models_count", R"sql(
SELECT count(*) FROM models WHERE owner_id = $1::bigint AND deleted_at IS NULL)sql"};

inline constexpr Statement kVersionsBehind{
    "versions_behind", "SELECT " MIMEO_VERSION_COLUMNS
                       " FROM versions AS v WHERE v.model_id = $1::bigint AND v.state = 0"
                       " AND (v.created_at, v.id) < ($2::timestamptz, $3::bytea)"
                       " ORDER BY v.created_at DESC, v.id DESC LIMIT $4::bigint"};
inline constexpr Statement kVersionsBefore{
    "versions_before", "SELECT " MIMEO_VERSION_COLUMNS
                       " FROM versions AS v WHERE v.model_id = $1::bigint AND v.state = 0"
                       " AND (v.created_at, v.id) > ($2::timestamptz, $3::bytea)"
                       " ORDER BY v.created_at, v.id LIMIT $4::bigint"};

inline constexpr Statement kDeploymentsBehind{
    "deployments_behind", MIMEO_DEPLOYMENT_SELECT
    "AND d.owner_id = $1::bigint AND (d.created_at, d.id) < ($2::timestamptz, $3::bigint) "
    "ORDER BY d.created_at DESC, d.id DESC LIMIT $4::bigint"};
inline constexpr Statement kDeploymentsBefore{
    "deployments_before", MIMEO_DEPLOYMENT_SELECT
    "AND d.owner_id = $1::bigint AND (d.created_at, d.id) > ($2::timestamptz, $3::bigint) "
    "ORDER BY d.created_at, d.id LIMIT $4::bigint"};

#define MIMEO_COLLECTION_COLUMNS \
  "c.id, c.slug, c.name, c.description, c.full_description, c.created_at"

inline constexpr Statement kCreateCollection{"collections_create", R"sql(
INSERT INTO collections AS c (slug, name, description, full_description, created_at)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::timestamptz)
RETURNING )sql" MIMEO_COLLECTION_COLUMNS};
inline constexpr Statement kGetCollection{"collections_get",
                                          "SELECT " MIMEO_COLLECTION_COLUMNS
                                          " FROM collections AS c WHERE c.slug = $1::text"};
inline constexpr Statement kUpdateCollection{"collections_update", R"sql(
UPDATE collections SET name = COALESCE($2::text, name),
  description = COALESCE($3::text, description),
  full_description = COALESCE($4::text, full_description)
WHERE slug = $1::text)sql"};
inline constexpr Statement kDeleteCollection{"collections_delete", R"sql(
DELETE FROM collections WHERE slug = $1::text)sql"};
inline constexpr Statement kCollectionsBehind{"collections_behind",
                                              "SELECT " MIMEO_COLLECTION_COLUMNS
                                              " FROM collections AS c WHERE c.slug > $1::text"
                                              " ORDER BY c.slug LIMIT $2::bigint"};
inline constexpr Statement kCollectionsBefore{"collections_before",
                                              "SELECT " MIMEO_COLLECTION_COLUMNS
                                              " FROM collections AS c WHERE c.slug < $1::text"
                                              " ORDER BY c.slug DESC LIMIT $2::bigint"};

inline constexpr Statement kLockCollection{"collections_lock", R"sql(
SELECT id FROM collections WHERE slug = $1::text FOR UPDATE)sql"};
inline constexpr Statement kCollectionMembers{"collection_models_list", R"sql(
SELECT model_id FROM collection_models WHERE collection_id = $1::bigint ORDER BY position)sql"};
inline constexpr Statement kClearCollection{"collection_models_clear", R"sql(
DELETE FROM collection_models WHERE collection_id = $1::bigint)sql"};
inline constexpr Statement kFillCollection{"collection_models_fill", R"sql(
INSERT INTO collection_models (collection_id, model_id, position)
SELECT $1::bigint, id, n FROM unnest($2::bigint[]) WITH ORDINALITY AS m(id, n))sql"};
inline constexpr Statement kRemoveFromCollection{"collection_models_remove", R"sql(
DELETE FROM collection_models AS cm USING collections AS c
WHERE c.slug = $1::text AND cm.collection_id = c.id AND cm.model_id = $2::bigint)sql"};

// $2 the viewer.
inline constexpr Statement kCollectionModels{
    "collections_models", MIMEO_LISTED_MODEL_SELECT
    "AND m.id IN (SELECT model_id FROM collection_models WHERE collection_id = $1::bigint) "
    "AND (m.visibility = 0 OR m.owner_id = $2::bigint) "
    "ORDER BY (SELECT position FROM collection_models WHERE collection_id = $1::bigint"
    "          AND model_id = m.id)"};

// $1 the words, $2 the viewer. There are few collections.
inline constexpr Statement kSearchCollections{"collections_search",
                                              "SELECT " MIMEO_COLLECTION_COLUMNS R"sql(, COALESCE((
  SELECT string_agg(m.search_title, ' ' ORDER BY cm.position) FROM collection_models AS cm
  JOIN models AS m ON m.id = cm.model_id
  WHERE cm.collection_id = c.id AND m.deleted_at IS NULL
    AND (m.visibility = 0 OR m.owner_id = $2::bigint)), '')
FROM collections AS c
WHERE NOT EXISTS (
  SELECT FROM unnest($1::text[]) AS w(word)
  WHERE strpos(lower(c.slug || ' ' || c.name || ' ' || c.description), word) = 0)
ORDER BY c.slug LIMIT $3::bigint)sql"};

}  // namespace mimeo::store
