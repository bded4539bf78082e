#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <string>

#include "common/store/contract/discovery_contract.h"
#include "common/store/contract/examples_contract.h"
#include "common/store/postgres/postgres_store.h"
#include "migrations/migrations.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

class PostgresDiscoveryUnderTest final : public DiscoveryUnderTest {
 public:
  PostgresDiscoveryUnderTest()
      : store_({.conninfo = testing_support::PrivatePostgres::shared().make_database()}) {}

  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }
  RetentionStore& retention() override { return store_; }
  DiscoveryStore& discovery() override { return store_; }
  VersionDeletionStore& deletions() override { return store_; }
  AccountLimitsStore& limits() override { return store_; }

 private:
  PostgresStore store_;
};

StoreKind postgres() {
  return {"postgres", [] { return std::make_unique<PostgresDiscoveryUnderTest>(); }};
}

// One account, two models with an example each of a deleted version; the first model is deleted.
constexpr const char* kLostExample = R"sql(
INSERT INTO accounts (type, username, name, github_url, avatar_url, weight, max_running, max_queued,
  webhook_secret, created_at) VALUES (0, 'acme', '', '', '', 1, 0, 1, '', now());
INSERT INTO models (owner_id, name, visibility, description, sku, github_url, paper_url,
  license_url, weights_url, cover_image_url, readme, created_at, deleted_at)
SELECT a.id, n.name, 1, '', 'cpu', '', '', '', '', '', '', now(), n.deleted_at
FROM accounts AS a, (VALUES ('gone', now()), ('there', NULL)) AS n(name, deleted_at);
INSERT INTO versions (id, model_id, state, refusal, repository, image_digest, image_bytes,
  cog_version, openapi_schema, config, needs_gpu, concurrency, pushed_by, created_at)
SELECT m.name::bytea, m.id, 2, '', '', '', 0, '', '', '', false, 1, '', now() FROM models AS m;
INSERT INTO examples (model_id, prediction_id, account_id, version_id, added_at, source, created_at,
  completed_at, input, output, logs, metrics)
SELECT m.id, gen_random_uuid(), m.owner_id, m.name::bytea, now(), 0, now(), now(), '', '', '', ''
FROM models AS m)sql";

TEST(Migration18, WhatDeletedModelsStillShowIsRemovedOnceMore) {
  pqxx::connection connection(testing_support::PrivatePostgres::shared().make_empty_database());
  pqxx::nontransaction transaction(connection);
  for (const Migration& migration : migrations()) {
    if (migration.number == 18) transaction.exec(kLostExample);
    if (migration.number <= 18) transaction.exec(std::string(migration.sql));
  }
  const pqxx::result rows = transaction.exec(
      "SELECT convert_from(version_id, 'UTF8'), account_id = (SELECT id FROM accounts), "
      "claimed_until < now() FROM version_deletions");
  ASSERT_EQ(rows.size(), 1);
  EXPECT_STREQ(rows[0][0].c_str(), "gone");
  EXPECT_TRUE(rows[0][1].as<bool>());
  EXPECT_TRUE(rows[0][2].as<bool>()) << "nobody is at it";
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, DiscoveryContract, testing::Values(postgres()));
INSTANTIATE_TEST_SUITE_P(Postgres, ExamplesContract, testing::Values(postgres()));

}  // namespace mimeo::store
