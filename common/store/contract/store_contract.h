// What every implementation of the store interfaces is tested with: the fixture of the suites in
// this folder. Each *_contract.h holds TEST_P's and is included by exactly one program per
// implementation, which instantiates them with its factory.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/store/catalog.h"
#include "common/store/fleet.h"
#include "common/store/outbox.h"
#include "common/store/predictions.h"

namespace mimeo::store {

// One empty store, for one test.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual PredictionStore& predictions() = 0;
  virtual CatalogStore& catalog() = 0;
  virtual FleetStore& fleet() = 0;
  virtual OutboxStore& outbox() = 0;
  virtual WebhookLogStore& webhooks() = 0;
  virtual MaintenanceStore& maintenance() = 0;
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
};
inline void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }

// Gives each test a store with an account that owns a private model with one version and its pool,
// and a cell that "our" scheduler holds.
class StoreContract : public testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    under_test_ = GetParam().make();
    ASSERT_NE(under_test_, nullptr);
    const auto now = maintenance().now();
    ASSERT_TRUE(now.ok()) << now.status();
    now_ = *now;
    ASSERT_TRUE(maintenance().make_partitions(now_, std::chrono::hours{48}).ok());
    ASSERT_TRUE(fleet().ensure_cell(1).ok());
    const auto lease = fleet().take_cell(1, scheduler_, "here:1", std::chrono::hours{1});
    ASSERT_TRUE(lease.ok()) << lease.status();
    fence_ = {1, lease->epoch};
    account_ = make_account("acme");
    model_ = make_model(account_, "hello");
    version_ = make_version(model_.id, 'a');
    const auto pool = catalog().ensure_version_pool(version_, "cpu", 3);
    ASSERT_TRUE(pool.ok()) << pool.status();
    target_ = *pool;
  }

  PredictionStore& predictions() { return under_test_->predictions(); }
  CatalogStore& catalog() { return under_test_->catalog(); }
  FleetStore& fleet() { return under_test_->fleet(); }
  OutboxStore& outbox() { return under_test_->outbox(); }
  WebhookLogStore& webhooks() { return under_test_->webhooks(); }
  MaintenanceStore& maintenance() { return under_test_->maintenance(); }

  Account make_account(const std::string& username) {
    Account account;
    account.username = username;
    account.webhook_secret = "whsec_x";
    account.created_at = now_;
    const auto made = catalog().create_account(account);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : account;
  }

  Model make_model(const Account& owner, const std::string& name,
                   Visibility visibility = Visibility::kPrivate) {
    Model model;
    model.owner_id = owner.id;
    model.name = name;
    model.visibility = visibility;
    model.sku = "cpu";
    model.created_at = later();
    const auto made = catalog().create_model(model);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : model;
  }

  // The version whose id is `digit` 64 times.
  static VersionId version_id(char digit) { return *VersionId::parse(std::string(64, digit)); }

  Version version_of(ModelId model, char digit) {
    Version version;
    version.id = version_id(digit);
    version.model = model;
    version.repository = "acme/hello";
    version.image_digest = "sha256:" + std::string(64, digit);
    version.image_bytes = 12345;
    version.cog_version = "0.16.0";
    version.openapi_schema = R"({"openapi":"3.0.2"})";
    version.config = "{}";
    version.pushed_by = "acme";
    version.created_at = later();
    return version;
  }

  VersionId make_version(ModelId model, char digit) {
    const auto made = catalog().put_version(version_of(model, digit));
    EXPECT_TRUE(made.ok()) << made.status();
    return version_id(digit);
  }

  Deployment make_deployment(const std::string& name) {
    Deployment deployment;
    deployment.owner_id = account_.id;
    deployment.name = name;
    deployment.model = model_.id;
    deployment.created_at = later();
    deployment.current.version = version_;
    deployment.current.sku = "cpu";
    deployment.current.min_instances = 0;
    deployment.current.max_instances = 2;
    deployment.current.created_by = account_.id;
    deployment.current.created_at = deployment.created_at;
    const auto made = catalog().create_deployment(deployment);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : deployment;
  }

  // A moment after all earlier ones.
  WallTime later() { return now_ += std::chrono::milliseconds{1}; }

  NewPrediction new_prediction() {
    NewPrediction p;
    p.id = ids_.next();
    p.account = account_.id;
    p.target = target_.id;
    p.cell = target_.cell;
    p.model = model_.id;
    p.version = version_;
    p.created_at = later();
    p.run_limit = std::chrono::minutes{30};
    p.input = R"({"text":"hi"})";
    return p;
  }

  Grant grant() const { return {fence_, instance_, worker_, 7, version_, 0}; }

  Assignment assignment(PredictionId id, std::uint32_t expected_attempt = 0) const {
    return {id, expected_attempt, instance_, worker_, 7, version_, 0};
  }

  Finish finish_of(PredictionId id, std::optional<std::uint32_t> attempt,
                   PredictionStatus status = PredictionStatus::kSucceeded) {
    Finish f;
    f.id = id;
    f.attempt = attempt;
    f.status = status;
    f.completed_at = later();
    f.output = R"("hello")";
    return f;
  }

  // The usual calls for one prediction; each fails the test when the store answers an error.
  Created create(const NewPrediction& p) {
    const auto answers = predictions().create({&p, 1});
    EXPECT_TRUE(answers.ok()) << answers.status();
    return answers.ok() ? answers->at(0) : Created{};
  }
  PredictionId create_queued() {
    const NewPrediction p = new_prediction();
    EXPECT_EQ(create(p).outcome, CreateOutcome::kQueued);
    return p.id;
  }
  PredictionId create_assigned() {
    NewPrediction p = new_prediction();
    p.grant = grant();
    EXPECT_EQ(create(p).outcome, CreateOutcome::kAssigned);
    return p.id;
  }
  Assigned assign(const Assignment& a) {
    const auto answers = predictions().assign(fence_, {&a, 1});
    EXPECT_TRUE(answers.ok()) << answers.status();
    return answers.ok() ? answers->at(0) : Assigned{};
  }
  bool start(PredictionId id, std::uint32_t attempt) {
    const Started started{id, attempt, later()};
    const auto answers = predictions().mark_started({&started, 1});
    EXPECT_TRUE(answers.ok()) << answers.status();
    return answers.ok() && answers->at(0);
  }
  FinishOutcome finish(const Finish& f) {
    const auto answers = predictions().finish({&f, 1});
    EXPECT_TRUE(answers.ok()) << answers.status();
    return answers.ok() ? answers->at(0) : FinishOutcome::kUnknown;
  }
  bool requeue(PredictionId id, std::uint32_t attempt, std::uint32_t infra_failures = 0) {
    const Requeue item{id, attempt, worker_, 7, infra_failures};
    const auto answers = predictions().requeue(fence_, {&item, 1});
    EXPECT_TRUE(answers.ok()) << answers.status();
    return answers.ok() && answers->at(0);
  }
  PredictionView view(PredictionId id) {
    const auto answer = predictions().get(id, 0);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : PredictionView{};
  }
  std::optional<ActiveRow> active_row(PredictionId id) {
    const auto rows = predictions().scan_active(1, {}, 10'000);
    EXPECT_TRUE(rows.ok()) << rows.status();
    for (const ActiveRow& row : *rows) {
      if (row.id == id) return row;
    }
    return std::nullopt;
  }

  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_{clock_, random_};
  std::unique_ptr<StoreUnderTest> under_test_;
  WallTime now_;
  const ReplicaId scheduler_ = ids_.next();
  const InstanceId instance_ = ids_.next();
  const WorkerId worker_ = ids_.next();
  Fence fence_;
  Account account_;
  Model model_;
  VersionId version_;
  Target target_;
};

}  // namespace mimeo::store
