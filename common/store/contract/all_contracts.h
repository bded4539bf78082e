// Instantiates every contract suite for one kind of store.

#pragma once

#include "common/store/contract/catalog_contract.h"
#include "common/store/contract/fleet_contract.h"
#include "common/store/contract/outbox_contract.h"
#include "common/store/contract/predictions_contract.h"
#include "common/store/contract/races_contract.h"
#include "common/store/contract/reading_contract.h"
#include "common/store/contract/webhooks_contract.h"

// `kind` is a mimeo::store::StoreKind. Use in namespace mimeo::store.
#define MIMEO_INSTANTIATE_STORE_CONTRACTS(label, kind)                         \
  INSTANTIATE_TEST_SUITE_P(label, PredictionsContract, testing::Values(kind)); \
  INSTANTIATE_TEST_SUITE_P(label, ReadingContract, testing::Values(kind));     \
  INSTANTIATE_TEST_SUITE_P(label, RacesContract, testing::Values(kind));       \
  INSTANTIATE_TEST_SUITE_P(label, OutboxContract, testing::Values(kind));      \
  INSTANTIATE_TEST_SUITE_P(label, WebhooksContract, testing::Values(kind));    \
  INSTANTIATE_TEST_SUITE_P(label, CatalogContract, testing::Values(kind));     \
  INSTANTIATE_TEST_SUITE_P(label, FleetContract, testing::Values(kind))
