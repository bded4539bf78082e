// Who pays for what (docs/usage.md), for every UsageStore: trainings, and payers that what happens
// later does not change. Included by one program per implementation.

#pragma once

#include "common/store/contract/usage_contract.h"

namespace mimeo::store {

// Two accounts that train a public model of a third.
class BillingContract : public UsageContract {
 protected:
  void SetUp() override {
    UsageContract::SetUp();
    other_ = make_account("other");
    const auto pool = trainings().ensure_training_pool(public_version_, "cpu", 4);
    ASSERT_TRUE(pool.ok()) << pool.status();
    pool_ = *pool;
  }

  NewPrediction training_of(AccountId account) {
    NewPrediction p = new_prediction();
    p.account = account;
    p.target = pool_.id;
    p.model = public_model_.id;
    p.version = public_version_;
    p.is_training = true;
    p.destination = "caller/trained";
    return p;
  }
  PredictionId waits(AccountId account) {
    const NewPrediction p = training_of(account);
    EXPECT_EQ(create(p).outcome, CreateOutcome::kQueued);
    return p.id;
  }
  // From the moment that it is assigned on.
  void runs(PredictionId training, const InstanceRow& instance) {
    Assignment a = assignment(training);
    a.instance = instance.id;
    a.version = public_version_;
    EXPECT_TRUE(assign(a).assigned);
  }
  void ends(PredictionId training, milliseconds time, WallTime end) {
    Finish f = finish_of(training, 1);
    f.completed_at = end;
    f.billed = time;
    EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
  }
  UsageLine of_kind(std::optional<AccountId> account, UsageKind kind) {
    UsageGrouping by;
    by.by_kind = true;
    for (const UsageLine& line : lines(account, by)) {
      if (line.kind == kind) return line;
    }
    return {};
  }

  Account other_;
  Target pool_;
};

TEST_P(BillingContract, WhoTrainsPaysForTheSetupAndForTheRun) {
  const PredictionId training = waits(caller_.id);
  const InstanceRow instance = add_instance(pool_, public_version_, caller_.id);
  pass(*maintenance().now() + milliseconds{3});
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  runs(training, instance);
  ends(training, minutes{30}, ready + minutes{40});
  meter(ready + hours{1});

  const UsageLine paid = of_kind(caller_.id, UsageKind::kTraining);
  EXPECT_GE(paid.time.setup, milliseconds{3});
  EXPECT_EQ(paid.time.idle, milliseconds{0});
  EXPECT_EQ(paid.time.active, minutes{30});
  EXPECT_EQ(paid.amount.total(), paid.time.total().count() * 100);
  EXPECT_EQ(paid.predictions, 1);
  const UsageLine lost = of_kind(kUnbilled, UsageKind::kTraining);
  EXPECT_EQ(lost.time.setup, milliseconds{0});
  EXPECT_EQ(lost.time.idle, minutes{30});
  EXPECT_EQ(lost.amount.idle, lost.time.idle.count() * 100);
  EXPECT_EQ(lost.time.active, minutes{30});
  EXPECT_EQ(lost.amount.active, 0) << "who trains paid it";
  EXPECT_TRUE(lines(account_.id).empty()) << "who owns the model pays nothing";
}

TEST_P(BillingContract, EachSetupInAPoolIsPaidByWhomItWasStartedFor) {
  waits(caller_.id);
  waits(other_.id);
  add_instance(pool_, public_version_, other_.id);
  add_instance(pool_, public_version_, caller_.id);
  const WallTime now = *maintenance().now();
  meter(now + minutes{10});
  for (const AccountId account : {caller_.id, other_.id}) {
    const UsageLine paid = total(account);
    EXPECT_GE(paid.time.setup, minutes{10}) << account;
    EXPECT_LT(paid.time.setup, minutes{20}) << account << " pays for two";
    EXPECT_EQ(paid.amount.total(), paid.time.setup.count() * 100);
  }
  EXPECT_TRUE(lines(kUnbilled).empty());
}

TEST_P(BillingContract, WhoseTrainingRunsAlreadyDoesNotPayForTheNextSetup) {
  const PredictionId first = waits(caller_.id);
  const InstanceRow instance = add_instance(pool_, public_version_);
  change(instance.id, InstanceState::kReady);
  runs(first, instance);
  const WallTime ready = *stored(instance).ready_at;
  meter(ready);
  const UsageLine before = total(caller_.id);
  waits(other_.id);
  add_instance(pool_, public_version_);  // Its scheduler did not say for whom.
  meter(ready + minutes{10});
  EXPECT_EQ(total(caller_.id).time.setup, before.time.setup);
  EXPECT_GE(total(other_.id).time.setup, minutes{9});
}

// The first metering may come late: no control plane ran.
TEST_P(BillingContract, APayerIsRememberedWhenTheTrainingIsOverBeforeItIsMetered) {
  const PredictionId training = waits(caller_.id);
  const InstanceRow instance = add_instance(pool_, public_version_, caller_.id);
  const WallTime ordered = *maintenance().now();
  ASSERT_TRUE(predictions().cancel(training, 0, later()).ok());
  waits(other_.id);
  meter(ordered + minutes{5});
  const UsageLine paid = total(caller_.id);
  EXPECT_GE(paid.time.setup, minutes{5});
  EXPECT_TRUE(lines(other_.id).empty());
  EXPECT_TRUE(lines(kUnbilled).empty());
  change(instance.id, InstanceState::kReady);
  meter(ordered + minutes{7});
  EXPECT_EQ(total(caller_.id).time.total() + total(kUnbilled).time.total(),
            paid.time.setup + minutes{2})
      << "the sums are those of its life";
}

TEST_P(BillingContract, WhatAnInstanceCostsWhomIsSettledWhenItIsOrdered) {
  const InstanceRow open = add_instance(pool_of(public_version_), public_version_);
  const InstanceRow own = add_instance(target_, version_);
  ModelChange change_of;
  change_of.visibility = Visibility::kPrivate;
  ASSERT_TRUE(catalog().update_model(public_model_.id, change_of).ok());
  change_of.visibility = Visibility::kPublic;
  ASSERT_TRUE(catalog().update_model(model_.id, change_of).ok());
  change(open.id, InstanceState::kReady);
  change(own.id, InstanceState::kReady);
  const WallTime ready = *stored(own).ready_at;
  ran(caller_.id, open, public_model_.id, milliseconds{500}, ready + milliseconds{600});
  const PredictionId free =
      ran(caller_.id, own, model_.id, milliseconds{500}, ready + milliseconds{600});
  PredictionUsageQuery query;
  query.account = caller_.id;
  query.from = now_ - hours{1};
  query.to = now_ + hours{1};
  const auto is_charged = [&] {
    std::vector<bool> answers;
    const std::vector<PredictionUsage> page = *usage().list_prediction_usage(query);
    for (const PredictionUsage& one : page) answers.push_back(one.is_charged);
    return answers;
  };
  EXPECT_EQ(is_charged(), (std::vector<bool>{false, true})) << "before it is metered";
  meter(ready + minutes{10});
  EXPECT_EQ(is_charged(), (std::vector<bool>{false, true}));
  EXPECT_EQ(usage().list_prediction_usage(query)->front().id, free);
  EXPECT_EQ(total(caller_.id).amount.total(), 500 * 100);
  EXPECT_EQ(of_kind(account_.id, UsageKind::kPrivateModel).time.active, milliseconds{500});
  EXPECT_GE(of_kind(account_.id, UsageKind::kPrivateModel).time.idle, minutes{9});
  EXPECT_GE(of_kind(kUnbilled, UsageKind::kPublicModel).time.idle, minutes{9});
}

// Its instance was given up, it waited again, and was canceled.
TEST_P(BillingContract, APredictionWithoutAnInstanceIsOfTheKindOfItsTarget) {
  const Deployment deployment = make_deployment("prod");
  const Target open = pool_of(public_version_);
  struct Case {
    TargetId target;
    ModelId model;
    VersionId version;
    UsageKind kind;
    bool is_charged;
  };
  for (const Case& c :
       {Case{target_.id, model_.id, version_, UsageKind::kPrivateModel, false},
        Case{deployment.target, model_.id, version_, UsageKind::kDeployment, false},
        Case{open.id, public_model_.id, public_version_, UsageKind::kPublicModel, true},
        Case{pool_.id, public_model_.id, public_version_, UsageKind::kTraining, true}}) {
    SCOPED_TRACE(to_string(c.kind));
    NewPrediction p = new_prediction();
    p.account = caller_.id;
    p.target = c.target;
    p.model = c.model;
    p.version = c.version;
    p.is_training = c.kind == UsageKind::kTraining;
    p.grant = grant();
    ASSERT_EQ(create(p).outcome, CreateOutcome::kAssigned);
    ASSERT_TRUE(requeue(p.id, 1));
    Finish late = finish_of(p.id, 1);  // After all, and without a word of where.
    late.billed = milliseconds{40};
    ASSERT_EQ(finish(late), FinishOutcome::kCommitted);
    PredictionUsageQuery query;
    query.account = caller_.id;
    query.from = now_ - hours{1};
    query.to = now_ + hours{1};
    query.limit = 1;
    EXPECT_EQ(usage().list_prediction_usage(query)->at(0).is_charged, c.is_charged);
    meter(*maintenance().now());
    EXPECT_EQ(of_kind(caller_.id, c.kind).predictions, 1);
    EXPECT_EQ(of_kind(caller_.id, c.kind).amount.total(), c.is_charged ? 40 * 100 : 0);
  }
}

}  // namespace mimeo::store
