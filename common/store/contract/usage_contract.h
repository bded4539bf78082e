// What every UsageStore is tested with, over a whole store. Included by one program per
// implementation.

#pragma once

#include <limits>
#include <utility>

#include "common/store/contract/store_contract.h"
#include "common/store/trainings.h"
#include "common/store/usage.h"

namespace mimeo::store {

class StoreWithUsage : public StoreUnderTest {
 public:
  virtual UsageStore& usage() = 0;
  virtual TrainingStore& trainings() = 0;
};

// Times of instances are the store's own, so that tests compare with what its rows say.
class UsageContract : public StoreContract {
 protected:
  void SetUp() override {
    StoreContract::SetUp();
    set_price("cpu", 100);
    public_model_ = make_model(account_, "open", Visibility::kPublic);
    public_version_ = make_version(public_model_.id, 'b');
    caller_ = make_account("caller");
  }

  UsageStore& usage() { return static_cast<StoreWithUsage&>(*under_test_).usage(); }
  TrainingStore& trainings() { return static_cast<StoreWithUsage&>(*under_test_).trainings(); }

  void set_price(const std::string& sku, std::int64_t micros) {
    Hardware hardware;
    hardware.sku = sku;
    hardware.name = sku;
    hardware.price_micros_per_second = micros;
    ASSERT_EQ(catalog().put_hardware(hardware, 0), absl::OkStatus());
  }
  Target pool_of(VersionId version) { return *catalog().ensure_version_pool(version, "cpu", 3); }

  InstanceRow add_instance(const Target& target, VersionId version, AccountId started_for = 0,
                           const std::string& sku = "cpu") {
    InstanceRow row;
    row.id = ids_.next();
    row.target = target.id;
    row.version = version;
    row.worker = worker_;
    row.incarnation = 7;
    row.sku = sku;
    row.started_for = started_for;
    EXPECT_EQ(fleet().insert_instances(fence_, {&row, 1}), absl::OkStatus());
    return row;
  }
  void change(InstanceId id, InstanceState state) {
    const InstanceChange change{id, state, ""};
    EXPECT_EQ(fleet().update_instances({&change, 1}), absl::OkStatus());
  }
  InstanceRow stored(const InstanceRow& instance) {
    const auto rows = fleet().list_target_instances(instance.target, 100);
    for (const InstanceRow& row : *rows) {
      if (row.id == instance.id) return row;
    }
    ADD_FAILURE() << "the instance is gone";
    return instance;
  }
  // A prediction of `account` that ran in that instance and ended at `end`.
  PredictionId ran(AccountId account, const InstanceRow& instance, ModelId model,
                   std::chrono::milliseconds time, WallTime end,
                   PredictionStatus status = PredictionStatus::kSucceeded) {
    NewPrediction p = new_prediction();
    p.account = account;
    p.target = instance.target;
    p.model = model;
    p.version = instance.version;
    p.grant = grant();
    p.grant->instance = instance.id;
    EXPECT_EQ(create(p).outcome, CreateOutcome::kAssigned);
    Finish f = finish_of(p.id, 1, status);
    f.completed_at = end;
    f.billed = time;
    f.instance = instance.id;
    EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
    EXPECT_EQ(finish(f), FinishOutcome::kAlreadySame) << "must not count again";
    return p.id;
  }
  Metered meter(WallTime now) {
    Metered sums;
    for (bool has_more = true; has_more;) {
      const auto step = usage().meter(now, 2);
      EXPECT_TRUE(step.ok()) << step.status();
      if (!step.ok()) return sums;
      has_more = step->has_more;
      sums.predictions += step->predictions;
      sums.ran += step->ran;
      sums.instances += step->instances;
    }
    return sums;
  }
  std::vector<UsageLine> lines(std::optional<AccountId> account, UsageGrouping by = {}) {
    UsageQuery query;
    query.account = account;
    query.from = now_ - std::chrono::hours{24 * 40};
    query.to = now_ + std::chrono::hours{24 * 40};
    query.grouping = by;
    const auto lines = usage().list_usage(query);
    EXPECT_TRUE(lines.ok()) << lines.status();
    return lines.value_or(std::vector<UsageLine>{});
  }
  // All in one line; zeros when there is none.
  UsageLine total(std::optional<AccountId> account) {
    const auto all = lines(account);
    EXPECT_LE(all.size(), 1U);
    return all.empty() ? UsageLine{} : all.front();
  }
  // Until the store's clock is past it: a moment, not a wait for something else.
  void pass(WallTime at) {
    while (*maintenance().now() <= at) {
    }
  }
  static std::chrono::milliseconds between(WallTime from, WallTime to) {
    return std::chrono::floor<std::chrono::milliseconds>(to) -
           std::chrono::floor<std::chrono::milliseconds>(from);
  }

  Model public_model_;
  VersionId public_version_;
  Account caller_;
};

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

TEST_P(UsageContract, NothingHappenedNothingIsCounted) {
  EXPECT_EQ(meter(now_).predictions, 0);
  EXPECT_TRUE(lines(std::nullopt).empty());
}

TEST_P(UsageContract, CallersOfAPublicModelPayForWhatRanAndTheOperatorForTheRest) {
  const InstanceRow instance = add_instance(pool_of(public_version_), public_version_);
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  for (int i = 1; i <= 3; ++i) {  // One after the other, the last half over the second.
    const WallTime end = ready + milliseconds{1000 * i - (i == 3 ? 500 : 0)};
    ran(caller_.id, instance, public_model_.id, milliseconds{1000}, end);
  }
  const Metered metered = meter(ready + minutes{90});
  EXPECT_EQ(metered.predictions, 3);
  EXPECT_EQ(metered.ran, milliseconds{3000});
  EXPECT_EQ(metered.instances.active, milliseconds{2500}) << "overlaps count once";

  const UsageLine paid = total(caller_.id);
  EXPECT_EQ(paid.time, (PhaseTimes{milliseconds{0}, milliseconds{0}, milliseconds{3000}}));
  EXPECT_EQ(paid.amount, (PhaseAmounts{0, 0, 300'000}));
  EXPECT_EQ(paid.predictions, 3);
  EXPECT_EQ(total(account_.id).predictions, 0) << "who owns the model pays nothing";

  const UsageLine lost = total(kUnbilled);
  EXPECT_EQ(lost.time.active, milliseconds{2500});
  EXPECT_EQ(lost.time.idle + lost.time.active, minutes{90});
  EXPECT_EQ(lost.amount.active, 0) << "the callers paid it";
  EXPECT_EQ(lost.amount.idle, lost.time.idle.count() * 100);
  EXPECT_EQ(lost.amount.setup, lost.time.setup.count() * 100);
}

TEST_P(UsageContract, TheOwnerOfAPrivateModelPaysForTheWholeLife) {
  const InstanceRow instance = add_instance(target_, version_);
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  ran(account_.id, instance, model_.id, milliseconds{700}, ready + milliseconds{1700});
  meter(ready + hours{3});
  const UsageLine paid = total(account_.id);
  EXPECT_EQ(paid.time.active, milliseconds{700});
  EXPECT_EQ(paid.time.idle + paid.time.active, hours{3});
  EXPECT_EQ(paid.amount.total(), paid.time.total().count() * 100);
  EXPECT_EQ(paid.predictions, 1);
  EXPECT_EQ(paid.ran, milliseconds{700});
  EXPECT_TRUE(lines(kUnbilled).empty());
}

TEST_P(UsageContract, TheOwnerOfADeploymentPaysWhoeverOwnsTheModel) {
  Deployment deployment;
  deployment.owner_id = caller_.id;
  deployment.name = "prod";
  deployment.model = public_model_.id;
  deployment.current.version = public_version_;
  deployment.current.sku = "cpu";
  deployment.current.max_instances = 1;
  deployment.current.created_by = caller_.id;
  deployment.created_at = deployment.current.created_at = later();
  Target target;
  target.id = catalog().create_deployment(deployment)->target;
  const InstanceRow instance = add_instance(target, public_version_);
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  ran(account_.id, instance, public_model_.id, milliseconds{700}, ready + milliseconds{1700});
  meter(ready + minutes{10});
  EXPECT_TRUE(lines(kUnbilled).empty());
  const UsageLine caller = total(account_.id);
  EXPECT_EQ(caller.amount.total(), 0) << "who runs something there pays nothing more";
  EXPECT_EQ(caller.predictions, 1);
  UsageGrouping by;
  by.by_deployment = by.by_model = by.by_kind = by.by_hardware = by.by_account = true;
  const auto all = lines(caller_.id, by);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].account, "caller");
  EXPECT_EQ(all[0].deployment, "caller/prod");
  EXPECT_EQ(all[0].model, "acme/open");
  EXPECT_EQ(all[0].sku, "cpu");
  EXPECT_EQ(all[0].kind, UsageKind::kDeployment);
  EXPECT_EQ(all[0].time.active, milliseconds{700});
  EXPECT_EQ(all[0].time.idle, minutes{10} - milliseconds{700});
  EXPECT_EQ(all[0].amount.total(), all[0].time.total().count() * 100);
}

TEST_P(UsageContract, AnInstanceThatNeverBecameReadyWasInSetupUntilItsEnd) {
  const InstanceRow instance = add_instance(target_, version_);
  const WallTime ordered = *maintenance().now();
  meter(ordered + minutes{2});
  const UsageLine so_far = total(account_.id);
  EXPECT_GE(so_far.time.setup, minutes{2});
  EXPECT_EQ(so_far.time.total(), so_far.time.setup);
  pass(ordered + milliseconds{3});
  change(instance.id, InstanceState::kFailed);
  const InstanceRow ended = stored(instance);
  meter(ordered + hours{5});
  const UsageLine paid = total(account_.id);
  EXPECT_EQ(paid.time.idle, milliseconds{0});
  EXPECT_EQ(paid.time.active, milliseconds{0});
  // What was counted beyond its end is taken back: it lived from shortly before `ordered` on.
  const milliseconds beyond = between(ended.state_since, ordered + minutes{2});
  EXPECT_EQ(paid.time.setup, so_far.time.setup - beyond);
  EXPECT_GE(paid.time.setup, milliseconds{3});
  EXPECT_EQ(paid.amount.total(), paid.time.setup.count() * 100);
}

TEST_P(UsageContract, MeteringAgainChangesNothing) {
  const InstanceRow instance = add_instance(target_, version_);
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  ran(account_.id, instance, model_.id, milliseconds{700}, ready + milliseconds{1700});
  meter(ready + hours{2});
  const UsageLine once = total(account_.id);
  const Metered again = meter(ready + hours{2});
  EXPECT_EQ(again.predictions, 0);
  EXPECT_EQ(again.instances, PhaseTimes{});
  meter(ready + hours{1});  // An older clock.
  EXPECT_EQ(total(account_.id).time, once.time);
  EXPECT_EQ(total(account_.id).amount, once.amount);
}

TEST_P(UsageContract, ALateResultTurnsIdleIntoActiveTime) {
  const InstanceRow instance = add_instance(target_, version_);
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  meter(ready + minutes{100});
  const UsageLine before = total(account_.id);
  EXPECT_EQ(before.time.active, milliseconds{0});
  ran(account_.id, instance, model_.id, minutes{80}, ready + minutes{90});
  meter(ready + minutes{100});
  const UsageLine after = total(account_.id);
  EXPECT_EQ(after.time.active, minutes{80});
  EXPECT_EQ(after.time.total(), before.time.total());
  EXPECT_EQ(after.amount.total(), before.amount.total());
}

TEST_P(UsageContract, WhatIsSealedStaysAsItWasCounted) {
  const InstanceRow instance = add_instance(target_, version_);
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  meter(ready + hours{5});
  ASSERT_EQ(usage().seal_usage(ready + hours{3}), absl::OkStatus());
  const auto life = total(account_.id).time.total();
  ran(account_.id, instance, model_.id, hours{5}, ready + hours{5});
  meter(ready + hours{6});
  const UsageLine after = total(account_.id);
  EXPECT_EQ(after.time.total(), life + hours{1});
  const WallTime sealed_to = floor<minutes>(ready + hours{3});
  EXPECT_EQ(after.time.active, between(sealed_to, ready + hours{5})) << "idle before";
  EXPECT_EQ(after.ran, hours{5});
}

TEST_P(UsageContract, WhereSomethingMayStillRunNothingIsSealed) {
  const InstanceRow instance = add_instance(target_, version_);
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  NewPrediction p = new_prediction();
  p.grant = grant();
  p.grant->instance = instance.id;
  ASSERT_EQ(create(p).outcome, CreateOutcome::kAssigned);
  meter(ready + hours{5});
  ASSERT_EQ(usage().seal_usage(ready + hours{3}), absl::OkStatus());
  Finish f = finish_of(p.id, 1);
  f.completed_at = ready + hours{5};
  f.billed = hours{5};
  ASSERT_EQ(finish(f), FinishOutcome::kCommitted);
  meter(ready + hours{6});
  EXPECT_EQ(total(account_.id).time.active, hours{5});
}

TEST_P(UsageContract, HoursAddUpToTheirDaysAndMonths) {
  const InstanceRow instance = add_instance(target_, version_);
  change(instance.id, InstanceState::kReady);
  const WallTime ready = *stored(instance).ready_at;
  for (int i = 1; i <= 5; ++i) {
    ran(account_.id, instance, model_.id, minutes{7}, ready + hours{6 * i});
  }
  meter(ready + hours{40});
  const UsageLine all = total(account_.id);
  for (const UsageStep step : {UsageStep::kHour, UsageStep::kDay, UsageStep::kMonth}) {
    UsageLine sum;
    std::optional<WallTime> last;
    for (const UsageLine& line : lines(account_.id, {.step = step})) {
      EXPECT_LT(last, line.begin) << "in order";
      last = line.begin;
      if (step == UsageStep::kHour) {
        EXPECT_LE(line.time.total(), hours{1});
      }
      sum += line;
    }
    EXPECT_EQ(sum.time, all.time);
    EXPECT_EQ(sum.amount, all.amount);
    EXPECT_EQ(sum.predictions, 5);
  }
  UsageQuery narrow;
  narrow.from = ready;
  narrow.to = ready + hours{40};
  narrow.grouping.step = UsageStep::kHour;
  narrow.limit = 3;
  EXPECT_EQ(usage().list_usage(narrow)->size(), 3U);
}

TEST_P(UsageContract, PagesOfAnyGroupsHaveEachLineOnce) {
  const InstanceRow own = add_instance(target_, version_);
  const InstanceRow open = add_instance(pool_of(public_version_), public_version_);
  const WallTime begin = *maintenance().now();
  for (int i = 0; i < 5; ++i) {
    ran(caller_.id, open, public_model_.id, minutes{1}, begin + hours{i});
    ran(account_.id, own, model_.id, minutes{1}, begin + hours{i});
  }
  meter(begin + hours{5});
  UsageGrouping all;
  all.step = UsageStep::kHour;
  all.by_account = all.by_hardware = all.by_model = all.by_deployment = all.by_kind = true;
  UsageGrouping few;
  few.by_model = few.by_account = true;
  for (const UsageGrouping& by : {all, few, UsageGrouping{}}) {
    const std::vector<UsageLine> whole = lines(std::nullopt, by);
    UsageQuery query;
    query.from = now_ - hours{24};
    query.to = now_ + hours{24};
    query.grouping = by;
    for (const std::size_t limit : {1, 2, 3, 100}) {
      query.limit = limit;
      query.after.reset();
      std::vector<UsageLine> paged;
      for (bool has_more = true; has_more;) {
        const std::vector<UsageLine> page = *usage().list_usage(query);
        paged.insert(paged.end(), page.begin(), page.end());
        has_more = page.size() == limit;
        if (has_more) query.after = page.back();
      }
      ASSERT_EQ(paged.size(), whole.size());
      for (std::size_t i = 0; i < whole.size(); ++i) {
        EXPECT_EQ(paged[i].begin, whole[i].begin);
        EXPECT_EQ(paged[i].account, whole[i].account);
        EXPECT_EQ(paged[i].model, whole[i].model);
        EXPECT_EQ(paged[i].kind, whole[i].kind);
        EXPECT_EQ(paged[i].time, whole[i].time);
      }
    }
  }
}

TEST_P(UsageContract, ADeploymentThatWasMadeAgainSharesALineWithTheOneBefore) {
  for (int i = 0; i < 2; ++i) {
    const Deployment deployment = make_deployment("prod");
    Target target;
    target.id = deployment.target;
    const InstanceRow instance = add_instance(target, version_);
    change(instance.id, InstanceState::kReady);
    meter(*stored(instance).ready_at + minutes{10});
    pass(*stored(instance).ready_at + milliseconds{3});
    change(instance.id, InstanceState::kStopped);
    ASSERT_TRUE(catalog().delete_deployment(deployment.id, std::chrono::seconds{0}).ok());
  }
  meter(now_ + minutes{10});
  UsageGrouping by;
  by.by_deployment = by.by_model = true;
  const auto all = lines(account_.id, by);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].deployment, "acme/prod");
  EXPECT_EQ(all[0].time, total(account_.id).time);
  EXPECT_GE(all[0].time.total(), milliseconds{6});
}

TEST_P(UsageContract, APriceHasARange) {
  Hardware hardware;
  hardware.sku = "gold";
  for (const std::int64_t wrong : {std::int64_t{-1}, kHighestPrice + 1}) {
    hardware.price_micros_per_second = wrong;
    EXPECT_TRUE(absl::IsInvalidArgument(catalog().put_hardware(hardware, 1))) << wrong;
  }
  EXPECT_TRUE(usage().list_prices("gold")->empty());
  set_price("gold", kHighestPrice);
  EXPECT_EQ(usage().list_prices("gold")->at(0).micros_per_second, kHighestPrice);
}

// Months of the dearest hardware, many times over: the bill is wrong, but metering and reading go
// on.
TEST_P(UsageContract, SumsThatNoNumberHoldsAreTheHighest) {
  set_price("gold", kHighestPrice);
  const InstanceRow instance = add_instance(pool_of(public_version_), public_version_, 0, "gold");
  const WallTime now = *maintenance().now();
  for (int i = 0; i < 3; ++i) {
    ran(caller_.id, instance, public_model_.id, milliseconds{8'000'000'000}, now - hours{i});
  }
  meter(now);
  const std::int64_t highest = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(total(caller_.id).amount.total(), highest);
  EXPECT_EQ(usage().get_spend(caller_.id, now)->spent, highest);
}

TEST_P(UsageContract, ANewPriceCountsFromThenOn) {
  const InstanceRow instance = add_instance(pool_of(public_version_), public_version_);
  const WallTime now = *maintenance().now();
  ran(caller_.id, instance, public_model_.id, milliseconds{10}, now);
  set_price("cpu", 700);
  set_price("cpu", 700);
  ran(caller_.id, instance, public_model_.id, milliseconds{10}, now + hours{1});
  meter(now);
  EXPECT_EQ(total(caller_.id).amount.active, 10 * 100 + 10 * 700);
  const auto prices = *usage().list_prices("cpu");
  ASSERT_EQ(prices.size(), 2U);
  EXPECT_EQ(prices[0].micros_per_second, 700);
  EXPECT_GE(prices[0].since, now);
  EXPECT_EQ(prices[1].micros_per_second, 100);
  EXPECT_FALSE(prices[1].since.has_value());
  EXPECT_TRUE(usage().list_prices("unknown")->empty());
}

TEST_P(UsageContract, WhatNeverRanIsFreeAndWhatWasCanceledIsPaidForItsTime) {
  const InstanceRow instance = add_instance(pool_of(public_version_), public_version_);
  ASSERT_TRUE(predictions().cancel(create_queued(), 0, later()).ok());
  NewPrediction p = new_prediction();
  p.account = caller_.id;
  p.target = instance.target;
  p.grant = grant();
  p.grant->instance = instance.id;
  create(p);
  const WallTime assigned = *active_row(p.id)->assigned_at;
  const Started started{p.id, 1, assigned + milliseconds{100}};
  ASSERT_TRUE(predictions().mark_started({&started, 1}).ok());
  Finish f = finish_of(p.id, std::nullopt, PredictionStatus::kCanceled);
  f.completed_at = started.started_at + milliseconds{2500};  // And nobody measured it.
  EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
  NewPrediction lost = p;
  lost.id = ids_.next();
  create(lost);
  const Started also{lost.id, 1, assigned + milliseconds{100}};
  ASSERT_TRUE(predictions().mark_started({&also, 1}).ok());
  Finish failed = finish_of(lost.id, 1, PredictionStatus::kFailed);
  failed.completed_at = f.completed_at;
  failed.error = "its host was lost";
  EXPECT_EQ(finish(failed), FinishOutcome::kCommitted);
  meter(*maintenance().now());
  const UsageLine paid = total(caller_.id);
  EXPECT_EQ(paid.time.active, milliseconds{2500});
  EXPECT_EQ(paid.predictions, 2);
  EXPECT_EQ(total(account_.id).predictions, 0) << "one that was never assigned is not used";
}

TEST_P(UsageContract, PredictionsAreListedWithWhatTheyCost) {
  const InstanceRow open = add_instance(pool_of(public_version_), public_version_);
  const InstanceRow own = add_instance(target_, version_);
  const WallTime end = *maintenance().now();
  const PredictionId first = ran(account_.id, open, public_model_.id, milliseconds{30}, end);
  const PredictionId second =
      ran(account_.id, own, model_.id, milliseconds{40}, end, PredictionStatus::kFailed);
  ran(caller_.id, open, public_model_.id, milliseconds{50}, end);
  ASSERT_TRUE(predictions().cancel(create_queued(), 0, later()).ok());
  PredictionUsageQuery query;
  query.account = account_.id;
  query.from = end - hours{1};
  query.to = end + hours{1};
  auto page = *usage().list_prediction_usage(query);
  ASSERT_EQ(page.size(), 2U);
  EXPECT_FALSE(page[0].is_charged) << "known before it is metered";
  meter(end);
  page = *usage().list_prediction_usage(query);
  EXPECT_EQ(page[0].id, second);
  EXPECT_FALSE(page[0].is_charged) << "its instance is";
  EXPECT_EQ(page[0].amount, 40 * 100);
  EXPECT_EQ(page[0].status, PredictionStatus::kFailed);
  EXPECT_EQ(page[0].model, "acme/hello");
  EXPECT_EQ(page[1].id, first);
  EXPECT_TRUE(page[1].is_charged);
  EXPECT_EQ(page[1].ran, milliseconds{30});
  EXPECT_EQ(page[1].amount, 30 * 100);
  EXPECT_EQ(page[1].sku, "cpu");
  EXPECT_EQ(page[1].deployment, "");
  query.before = second;
  page = *usage().list_prediction_usage(query);
  ASSERT_EQ(page.size(), 1U);
  EXPECT_EQ(page[0].id, first);
  query.before = {};
  query.from = end + minutes{30};
  EXPECT_TRUE(usage().list_prediction_usage(query)->empty());
}

TEST_P(UsageContract, TheLowerSpendLimitCounts) {
  const InstanceRow instance = add_instance(pool_of(public_version_), public_version_);
  const WallTime now = *maintenance().now();
  ran(caller_.id, instance, public_model_.id, milliseconds{10'000}, now);  // 1000 micro-units.
  meter(now);
  EXPECT_FALSE(usage().get_spend(caller_.id, now)->is_reached());
  EXPECT_FALSE(*usage().is_limit_reached(caller_.id, now));
  EXPECT_FALSE(*usage().is_limit_reached(987'654, now));
  const auto set = [&](LimitSetter setter, std::optional<std::int64_t> micros) {
    EXPECT_EQ(usage().set_spend_limit(caller_.id, setter, micros), absl::OkStatus());
  };
  set(LimitSetter::kOperator, 5000);
  set(LimitSetter::kAccount, 1001);
  Spend spend = *usage().get_spend(caller_.id, now);
  EXPECT_EQ(spend.spent, 1'000'000);
  EXPECT_EQ(spend.limits.effective(), 1001);
  EXPECT_FALSE(spend.is_reached());
  EXPECT_FALSE(*usage().is_limit_reached(caller_.id, now));
  set(LimitSetter::kAccount, 1000);
  EXPECT_TRUE(usage().get_spend(caller_.id, now)->is_reached());
  EXPECT_TRUE(*usage().is_limit_reached(caller_.id, now));
  EXPECT_FALSE(*usage().is_limit_reached(account_.id, now)) << "another account";
  EXPECT_FALSE(usage().get_spend(caller_.id, month_end(now))->is_reached()) << "a new month";
  EXPECT_FALSE(*usage().is_limit_reached(caller_.id, month_end(now)));
  EXPECT_FALSE(usage().get_spend(account_.id, now)->is_reached()) << "another account";
  set(LimitSetter::kAccount, std::nullopt);
  spend = *usage().get_spend(caller_.id, now);
  EXPECT_EQ(spend.limits.effective(), 5000);
  EXPECT_FALSE(spend.limits.by_account.has_value());
  set(LimitSetter::kOperator, std::nullopt);
  EXPECT_FALSE(*usage().is_limit_reached(caller_.id, now)) << "taken away";
  EXPECT_TRUE(absl::IsNotFound(usage().set_spend_limit(987'654, LimitSetter::kOperator, 1)));
}

TEST_P(UsageContract, DeploymentsOfAccountsAtTheirLimitScaleToZeroAndBack) {
  const Deployment deployment = make_deployment("prod");
  DeploymentChange bounds;
  bounds.min_instances = 1;
  ASSERT_TRUE(catalog().update_deployment(deployment.id, bounds, account_.id, later()).ok());
  const auto minimum = [&] {
    return catalog().get_runnable_target(deployment.target)->target.min_instances;
  };
  const auto pause = [&](UsageStore::Pausing pausing) {
    return *usage().pause_deployments(now_, pausing);
  };
  using enum UsageStore::Pausing;
  EXPECT_EQ(pause(kPauseAndResume), 0);
  ASSERT_EQ(usage().set_spend_limit(account_.id, LimitSetter::kOperator, 0), absl::OkStatus());
  const std::int64_t seq = catalog().get_runnable_target(deployment.target)->target.config_seq;
  EXPECT_EQ(pause(kPauseAndResume), 1);
  EXPECT_EQ(minimum(), 0);
  EXPECT_GT(catalog().get_runnable_target(deployment.target)->target.config_seq, seq);
  EXPECT_EQ(pause(kPauseAndResume), 0) << "only once";
  ASSERT_EQ(usage().set_spend_limit(account_.id, LimitSetter::kOperator, 10), absl::OkStatus());
  EXPECT_EQ(pause(kPauseAndResume), 1);
  EXPECT_EQ(minimum(), 1);
  ASSERT_EQ(usage().set_spend_limit(account_.id, LimitSetter::kOperator, 0), absl::OkStatus());
  pause(kPauseAndResume);
  EXPECT_EQ(pause(kResumeOnly), 1) << "the operator turned it off";
  EXPECT_EQ(minimum(), 1);
}

}  // namespace mimeo::store
