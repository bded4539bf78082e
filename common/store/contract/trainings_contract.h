// What every TrainingStore must do, as tests. A test program of a store includes this and says
//   INSTANTIATE_TEST_SUITE_P(Memory, TrainingsContract, testing::Values(kind));

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/store/fleet.h"
#include "common/store/outbox.h"
#include "common/store/trainings.h"

namespace mimeo::store {

struct TrainingStores {
  TrainingStore& trainings;
  PredictionStore& predictions;
  CatalogStore& catalog;
  FleetStore& fleet;
  MaintenanceStore& maintenance;
  AccountsStore& accounts;
};
struct TrainingsUnderTest {
  std::shared_ptr<void> owner;  // Of the stores.
  TrainingStores stores;
};
struct TrainingsKind {
  std::string name;
  std::function<TrainingsUnderTest()> make;
};
inline void PrintTo(const TrainingsKind& kind, std::ostream* out) { *out << kind.name; }

// A trainable version "a", an account with a destination, and a training that was assigned.
class TrainingsContract : public testing::TestWithParam<TrainingsKind> {
 protected:
  void SetUp() override {
    const WallTime now = *stores().maintenance.now();
    ASSERT_TRUE(stores().maintenance.make_partitions(now, std::chrono::hours{48}).ok());
    ASSERT_TRUE(stores().fleet.ensure_cell(1).ok());
    fence_ = {1, stores().fleet.take_cell(1, ids_.next(), "here:1", std::chrono::hours{1})->epoch};
    Account account;
    account.username = "acme";
    account.webhook_secret = "whsec_x";
    account_ = *stores().catalog.create_account(account);
    base_ = version_of(make_model("hello"), 'a');
    ASSERT_TRUE(stores().catalog.put_version(base_).ok());
    destination_ = make_model("trained");
    target_ = *stores().trainings.ensure_training_pool(base_.id, "cpu", 2);
    training_ = create();
  }

  TrainingStores& stores() { return under_test_.stores; }

  ModelId make_model(const std::string& name) {
    Model model;
    model.owner_id = account_.id;
    model.name = name;
    model.sku = "cpu";
    model.created_at = clock_.now();
    return stores().catalog.create_model(model)->id;
  }
  Version version_of(ModelId model, char digit) const {
    Version version;
    version.id = *VersionId::parse(std::string(64, digit));
    version.model = model;
    version.repository = "acme/trained";
    version.image_digest = "sha256:" + std::string(64, digit);
    version.cog_version = "0.23.1";
    version.openapi_schema = R"({"openapi":"3.0.2"})";
    version.config = "{}";
    version.pushed_by = "acme";
    version.created_at = clock_.now();
    return version;
  }
  PredictionId create() {
    NewPrediction row;
    row.id = ids_.next();
    row.account = account_.id;
    row.target = target_.id;
    row.cell = target_.cell;
    row.model = base_.model;
    row.version = base_.id;
    row.is_training = true;
    row.destination = "acme/trained";
    row.created_at = clock_.now();
    row.input = "{}";
    row.grant = Grant{fence_, ids_.next(), ids_.next(), 1, base_.id, 0};
    EXPECT_EQ(stores().predictions.create({&row, 1})->front().outcome, CreateOutcome::kAssigned);
    return row.id;
  }
  Finish finish_of(PredictionId id) const {
    Finish finish;
    finish.id = id;
    finish.attempt = 1;
    finish.status = PredictionStatus::kSucceeded;
    finish.started_at = id.created_at();
    finish.completed_at = id.created_at() + std::chrono::seconds{1};
    finish.output = R"({"version":"acme/trained:bb"})";
    return finish;
  }
  Result<FinishOutcome> finish(char digit) {
    return stores().trainings.finish_with_version(finish_of(training_),
                                                  version_of(destination_, digit));
  }
  bool has_version(char digit) {
    return stores().catalog.get_version(*VersionId::parse(std::string(64, digit)), 0).ok();
  }

  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_{clock_, random_};
  TrainingsUnderTest under_test_ = GetParam().make();
  Fence fence_;
  Account account_;
  Version base_;
  ModelId destination_ = 0;
  Target target_;
  PredictionId training_;
};

TEST_P(TrainingsContract, ATrainingPoolTakesANewBound) {
  const auto again = stores().trainings.ensure_training_pool(base_.id, "cpu", 5);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id, target_.id);
  EXPECT_EQ(again->max_instances, 5);
  const auto runnable = stores().catalog.get_runnable_target(target_.id);
  EXPECT_EQ(runnable->target.max_instances, 5);
  EXPECT_GT(again->config_seq, target_.config_seq) << "schedulers hear of it";
  EXPECT_EQ(stores().trainings.ensure_training_pool(base_.id, "cpu", 5)->config_seq,
            again->config_seq);
}

TEST_P(TrainingsContract, ATrainingPoolIsOneAndNotTheVersionPool) {
  const auto again = stores().trainings.ensure_training_pool(base_.id, "cpu", 2);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id, target_.id);
  EXPECT_EQ(again->kind, TargetKind::kTraining);
  EXPECT_EQ(again->config_seq, target_.config_seq);
  const auto pool = stores().catalog.ensure_version_pool(base_.id, "cpu", 1);
  ASSERT_TRUE(pool.ok());
  EXPECT_NE(pool->id, target_.id);
  EXPECT_EQ(pool->kind, TargetKind::kVersionPool);
  EXPECT_NE(stores().trainings.ensure_training_pool(base_.id, "gpu", 1)->id, target_.id);
}

TEST_P(TrainingsContract, ATrainingPoolRunsItsVersion) {
  const auto runnable = stores().catalog.get_runnable_target(target_.id);
  ASSERT_TRUE(runnable.ok()) << runnable.status();
  ASSERT_EQ(runnable->releases.size(), 1U);
  EXPECT_EQ(runnable->releases[0].version.id, base_.id);
  EXPECT_EQ(runnable->owner, account_.id);
}

TEST_P(TrainingsContract, ThereIsNoTrainingPoolOfAnUnknownVersion) {
  const auto id = *VersionId::parse(std::string(64, '9'));
  EXPECT_TRUE(absl::IsNotFound(stores().trainings.ensure_training_pool(id, "cpu", 1).status()));
}

TEST_P(TrainingsContract, ResultAndVersionAppearTogether) {
  ASSERT_EQ(finish('b').value(), FinishOutcome::kCommitted);
  EXPECT_EQ(stores().predictions.get(training_, 0)->status, PredictionStatus::kSucceeded);
  const auto model = stores().catalog.get_model_by_id(destination_);
  ASSERT_TRUE(model->latest_version.has_value());
  EXPECT_EQ(model->latest_version->hex(), std::string(64, 'b'));
}

TEST_P(TrainingsContract, TheVersionIsInTheAuditLogOfTheModelsOwner) {
  ASSERT_TRUE(finish('b').ok());
  AuditFilter filter;
  filter.account = account_.id;
  filter.action = "version.create";
  const auto entries = stores().accounts.list_audit(filter);
  ASSERT_EQ(entries->size(), 1U);
  const AuditEntry& entry = entries->front();
  EXPECT_EQ(entry.target, "acme/trained/" + std::string(64, 'b'));
  EXPECT_EQ(entry.actor, "acme");
  EXPECT_NE(entry.details.find(training_.str()), std::string::npos) << entry.details;
}

TEST_P(TrainingsContract, ARepetitionChangesNothing) {
  ASSERT_TRUE(finish('b').ok());
  EXPECT_EQ(finish('b').value(), FinishOutcome::kAlreadySame);
  EXPECT_EQ(stores().accounts.list_audit({})->size(), 1U);
  EXPECT_EQ(stores().catalog.list_versions(destination_, {}, 10)->size(), 1U);
}

TEST_P(TrainingsContract, ACanceledTrainingLeavesNoVersion) {
  Finish canceled = finish_of(training_);
  canceled.status = PredictionStatus::kCanceled;
  canceled.output.clear();
  ASSERT_EQ(stores().predictions.finish({&canceled, 1})->front(), FinishOutcome::kCommitted);
  EXPECT_EQ(finish('b').value(), FinishOutcome::kSuperseded);
  EXPECT_FALSE(has_version('b'));
  EXPECT_TRUE(stores().accounts.list_audit({})->empty());
}

TEST_P(TrainingsContract, WithoutItsModelNothingIsCommitted) {
  ASSERT_TRUE(stores().catalog.delete_model(destination_).ok());
  EXPECT_TRUE(absl::IsNotFound(finish('b').status()));
  EXPECT_FALSE(is_terminal(stores().predictions.get(training_, 0)->status));
  EXPECT_FALSE(has_version('b'));
}

TEST_P(TrainingsContract, AVersionThatWasDeletedBecomesReadyAgain) {
  ASSERT_TRUE(stores().catalog.put_version(version_of(destination_, 'b')).ok());
  ASSERT_TRUE(stores().catalog.delete_version(*VersionId::parse(std::string(64, 'b'))).ok());
  ASSERT_EQ(finish('b').value(), FinishOutcome::kCommitted);
  EXPECT_EQ(stores().catalog.list_versions(destination_, {}, 10)->size(), 1U);
}

}  // namespace mimeo::store
