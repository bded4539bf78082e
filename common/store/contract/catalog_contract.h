// Contract of CatalogStore.

#pragma once

#include "common/store/contract/store_contract.h"

namespace mimeo::store {

class CatalogContract : public StoreContract {
 protected:
  static absl::StatusCode code(const Status& status) { return status.code(); }
  static absl::StatusCode code(const auto& result) { return result.status().code(); }
};

// --- accounts and tokens ---

TEST_P(CatalogContract, AccountsAreFoundByIdAndName) {
  Account wish;
  wish.username = "big-corp";
  wish.type = AccountType::kOrganization;
  wish.github_url = "https://github.com/x";
  wish.avatar_url = "https://a/b.png";
  wish.weight = 2.5;
  wish.max_running = 3;
  wish.max_queued = 77;
  wish.webhook_secret = "whsec_abc";
  wish.created_at = later();
  const auto made = catalog().create_account(wish);
  ASSERT_TRUE(made.ok()) << made.status();
  const auto found = catalog().get_account_by_username("big-corp");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->id, made->id);
  EXPECT_EQ(found->type, AccountType::kOrganization);
  EXPECT_EQ(found->name, "big-corp") << "never empty";
  EXPECT_EQ(found->github_url, wish.github_url);
  EXPECT_EQ(found->avatar_url, wish.avatar_url);
  EXPECT_EQ(found->weight, 2.5);
  EXPECT_EQ(found->max_running, 3);
  EXPECT_EQ(found->max_queued, 77);
  EXPECT_EQ(found->webhook_secret, "whsec_abc");
  EXPECT_EQ(found->created_at, wish.created_at);
  EXPECT_EQ(catalog().get_account(made->id)->username, "big-corp");
  EXPECT_EQ(code(catalog().get_account(made->id + 1000)), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(catalog().get_account_by_username("nobody")), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(catalog().create_account(wish)), absl::StatusCode::kAlreadyExists);
  const auto all = catalog().list_accounts();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ(all->at(0).username, "acme");
  EXPECT_EQ(all->at(1).username, "big-corp");
}

TEST_P(CatalogContract, ATokenLeadsToItsOwner) {
  Token wish;
  wish.account = account_.id;
  wish.name = "laptop";
  wish.hash = std::string("\0\x01\xFF\\'{}\"", 8) + std::string(24, 'h');
  wish.prefix = "r8_abcd";
  wish.created_at = later();
  wish.expires_at = later();
  const auto made = catalog().create_token(wish);
  ASSERT_TRUE(made.ok()) << made.status();
  const auto owner = catalog().get_token_owner(wish.hash);
  ASSERT_TRUE(owner.ok()) << owner.status();
  EXPECT_EQ(owner->account.username, "acme");
  EXPECT_EQ(owner->token.id, made->id);
  EXPECT_EQ(owner->token.hash, wish.hash);
  EXPECT_EQ(owner->token.prefix, "r8_abcd");
  EXPECT_EQ(owner->token.expires_at, wish.expires_at);
  EXPECT_FALSE(owner->token.disabled_at.has_value());
  EXPECT_EQ(code(catalog().get_token_owner(std::string(32, 'x'))), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(catalog().create_token(wish)), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(catalog().list_tokens(account_.id)->size(), 1u);
  EXPECT_TRUE(catalog().list_tokens(account_.id + 1)->empty());
}

TEST_P(CatalogContract, UseOfATokenIsNotedOnceAMinute) {
  Token wish;
  wish.account = account_.id;
  wish.hash = std::string(32, 'h');
  const auto id = catalog().create_token(wish)->id;
  const auto last_used = [&] { return catalog().get_token_owner(wish.hash)->token.last_used_at; };
  const WallTime first = later();
  EXPECT_TRUE(catalog().touch_token(id, first).ok());
  EXPECT_EQ(last_used(), first);
  EXPECT_TRUE(catalog().touch_token(id, first + std::chrono::seconds{59}).ok());
  EXPECT_EQ(last_used(), first);
  EXPECT_TRUE(catalog().touch_token(id, first + std::chrono::seconds{60}).ok());
  EXPECT_EQ(last_used(), first + std::chrono::seconds{60});
  EXPECT_TRUE(catalog().touch_token(id + 1000, first).ok());
}

TEST_P(CatalogContract, HardwareComesInTheOperatorsOrder) {
  Hardware gpu;
  gpu.sku = "gpu-t4";
  gpu.name = "Nvidia T4 GPU";
  gpu.resources = {4000, 16_GiB, 1, 15_GiB, 2_GiB};
  gpu.price_micros_per_second = 225;
  Hardware cpu;
  cpu.sku = "cpu";
  cpu.name = "CPU";
  EXPECT_TRUE(catalog().put_hardware(gpu, 2).ok());
  EXPECT_TRUE(catalog().put_hardware(cpu, 3).ok());
  EXPECT_TRUE(catalog().put_hardware(cpu, 1).ok()) << "replaces";
  const auto all = catalog().list_hardware();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ(all->at(0).sku, "cpu");
  EXPECT_EQ(all->at(1).name, "Nvidia T4 GPU");
  EXPECT_EQ(all->at(1).resources, gpu.resources);
  EXPECT_EQ(all->at(1).price_micros_per_second, 225);
}

// --- models ---

TEST_P(CatalogContract, AModelKeepsWhatItWasGiven) {
  Model wish;
  wish.owner_id = account_.id;
  wish.name = "painter";
  wish.visibility = Visibility::kPublic;
  wish.description = "paints";
  wish.sku = "gpu-t4";
  wish.github_url = "g";
  wish.paper_url = "p";
  wish.license_url = "l";
  wish.weights_url = "w";
  wish.cover_image_url = "c";
  wish.readme = "# Painter";
  wish.created_at = later();
  ASSERT_TRUE(catalog().create_model(wish).ok());
  EXPECT_EQ(code(catalog().create_model(wish)), absl::StatusCode::kAlreadyExists);
  const auto found = catalog().get_model("acme", "painter", 0);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->owner, "acme");
  EXPECT_EQ(found->owner_id, account_.id);
  EXPECT_EQ(found->visibility, Visibility::kPublic);
  EXPECT_EQ(found->description, "paints");
  EXPECT_EQ(found->sku, "gpu-t4");
  EXPECT_EQ(found->github_url + found->paper_url + found->license_url + found->weights_url +
                found->cover_image_url + found->readme,
            "gplwc# Painter");
  EXPECT_EQ(found->run_count, 0);
  EXPECT_EQ(found->created_at, wish.created_at);
  EXPECT_FALSE(found->latest_version.has_value());
  EXPECT_EQ(catalog().get_model_by_id(found->id)->name, "painter");
}

TEST_P(CatalogContract, APrivateModelIsNotFoundByOthers) {
  const AccountId other = make_account("other").id;
  EXPECT_TRUE(catalog().get_model("acme", "hello", account_.id).ok());
  EXPECT_TRUE(catalog().get_model("acme", "hello", 0).ok());
  EXPECT_EQ(code(catalog().get_model("acme", "hello", other)), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(catalog().get_version(version_, other)), absl::StatusCode::kNotFound);
  EXPECT_TRUE(catalog().get_version(version_, account_.id).ok());
  make_model(account_, "open", Visibility::kPublic);
  EXPECT_TRUE(catalog().get_model("acme", "open", other).ok());
  EXPECT_EQ(code(catalog().get_model("acme", "none", 0)), absl::StatusCode::kNotFound);
}

TEST_P(CatalogContract, ListsShowEachViewerTheirOwn) {
  const Account other = make_account("other");
  make_model(account_, "open", Visibility::kPublic);
  make_model(other, "theirs");
  const auto names = [&](const ModelFilter& filter) {
    std::string all;
    const auto page = catalog().list_models(filter);
    EXPECT_TRUE(page.ok()) << page.status();
    for (const Model& m : *page) all += m.owner + "/" + m.name + " ";
    return all;
  };
  ModelFilter filter;
  filter.viewer = account_.id;
  EXPECT_EQ(names(filter), "acme/open ");
  filter.include_private = true;
  EXPECT_EQ(names(filter), "acme/open acme/hello ");
  filter = {};
  EXPECT_EQ(names(filter), "acme/open ");
  filter.include_private = true;
  EXPECT_EQ(names(filter), "other/theirs acme/open acme/hello ") << "viewer 0 sees all";
}

TEST_P(CatalogContract, ListsLeaveReadmesOut) {
  const Model model = make_model(account_, "open", Visibility::kPublic);
  ModelChange change;
  change.description = "Draws";
  change.readme = "# Long";
  ASSERT_EQ(catalog().update_model(model.id, change)->readme, "# Long");
  const auto page = catalog().list_models({});
  ASSERT_EQ(page->size(), 1u);
  EXPECT_EQ(page->at(0).description, "Draws");
  EXPECT_EQ(page->at(0).readme, "");
}

TEST_P(CatalogContract, ModelsArePagedInBothOrdersAndDirections) {
  const Model older = make_model(account_, "older", Visibility::kPublic);
  const Model newer = make_model(account_, "newer", Visibility::kPublic);
  make_version(older.id, 'b');  // So `older` has the latest version.
  const auto names = [&](ModelSort sort, SortDirection direction) {
    ModelFilter filter;
    filter.sort = sort;
    filter.direction = direction;
    filter.limit = 1;
    std::string all;
    for (int i = 0; i < 5; ++i) {
      const auto page = catalog().list_models(filter);
      EXPECT_TRUE(page.ok()) << page.status();
      if (page->empty()) break;
      const Model& m = page->at(0);
      all += m.name + " ";
      const bool by_version = sort == ModelSort::kLatestVersion;
      filter.after = {by_version ? m.latest_version_at.value_or(m.created_at) : m.created_at, m.id};
    }
    return all;
  };
  EXPECT_EQ(names(ModelSort::kLatestVersion, SortDirection::kDescending), "older newer ");
  EXPECT_EQ(names(ModelSort::kLatestVersion, SortDirection::kAscending), "newer older ");
  EXPECT_EQ(names(ModelSort::kCreated, SortDirection::kDescending), "newer older ");
  EXPECT_EQ(names(ModelSort::kCreated, SortDirection::kAscending), "older newer ");
}

TEST_P(CatalogContract, AModelIsChangedFieldByField) {
  ModelChange change;
  change.description = "new";
  change.visibility = Visibility::kPublic;
  change.sku = "gpu-t4";
  change.default_example = create_queued();
  const auto changed = catalog().update_model(model_.id, change);
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->description, "new");
  EXPECT_EQ(changed->visibility, Visibility::kPublic);
  EXPECT_EQ(changed->sku, "gpu-t4");
  EXPECT_EQ(changed->default_example, change.default_example);
  EXPECT_EQ(changed->name, "hello");
  EXPECT_EQ(changed->latest_version, version_);
  change = {};
  change.readme = "";
  EXPECT_EQ(catalog().update_model(model_.id, change)->description, "new");
  EXPECT_EQ(code(catalog().update_model(model_.id + 1000, change)), absl::StatusCode::kNotFound);
}

TEST_P(CatalogContract, AModelIsDeletedOnlyWhenPrivateAndEmpty) {
  EXPECT_EQ(code(catalog().delete_model(model_.id)), absl::StatusCode::kFailedPrecondition);
  const Model open = make_model(account_, "open", Visibility::kPublic);
  EXPECT_EQ(code(catalog().delete_model(open.id)), absl::StatusCode::kFailedPrecondition);
  const PredictionId id = create_queued();
  ASSERT_TRUE(catalog().delete_version(version_).ok());
  EXPECT_TRUE(catalog().delete_model(model_.id).ok());
  EXPECT_EQ(code(catalog().delete_model(model_.id)), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(catalog().get_model("acme", "hello", 0)), absl::StatusCode::kNotFound);
  EXPECT_EQ(view(id).model_name, "hello") << "its predictions stay readable";
  make_model(account_, "hello");
}

// --- versions ---

TEST_P(CatalogContract, AVersionKeepsWhatItWasGiven) {
  Version wish = version_of(model_.id, 'b');
  wish.config = R"({"build":{"gpu":true}})";
  wish.needs_gpu = true;
  wish.concurrency = 4;
  ASSERT_TRUE(catalog().put_version(wish).ok());
  const auto found = catalog().get_version(wish.id, 0);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->model, model_.id);
  EXPECT_EQ(found->state, VersionState::kReady);
  EXPECT_EQ(found->repository, "acme/hello");
  EXPECT_EQ(found->image_digest, wish.image_digest);
  EXPECT_EQ(found->image_bytes, 12345);
  EXPECT_EQ(found->cog_version, "0.16.0");
  EXPECT_EQ(found->openapi_schema, wish.openapi_schema);
  EXPECT_EQ(found->config, wish.config);
  EXPECT_TRUE(found->needs_gpu);
  EXPECT_EQ(found->concurrency, 4);
  EXPECT_EQ(found->pushed_by, "acme");
  EXPECT_EQ(found->created_at, wish.created_at);
  EXPECT_EQ(code(catalog().get_version(version_id('f'), 0)), absl::StatusCode::kNotFound);
  Version orphan = version_of(model_.id + 1000, 'c');
  EXPECT_EQ(code(catalog().put_version(orphan)), absl::StatusCode::kNotFound);
}

TEST_P(CatalogContract, TheNewestReadyVersionIsTheLatest) {
  const VersionId second = make_version(model_.id, 'b');
  const auto latest = [&] { return catalog().get_model_by_id(model_.id)->latest_version; };
  EXPECT_EQ(latest(), second);
  ASSERT_TRUE(catalog().delete_version(second).ok());
  EXPECT_EQ(latest(), version_);
  EXPECT_EQ(code(catalog().delete_version(second)), absl::StatusCode::kNotFound);
  make_version(model_.id, 'b');
  EXPECT_EQ(latest(), second) << "pushed again";
  EXPECT_EQ(catalog().get_version(second, 0)->state, VersionState::kReady);
}

TEST_P(CatalogContract, PuttingAVersionTwiceChangesNothing) {
  Version again = version_of(model_.id, 'a');
  again.cog_version = "9.9.9";
  const auto answer = catalog().put_version(again);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->cog_version, "0.16.0");
  EXPECT_EQ(catalog().get_version(version_, 0)->cog_version, "0.16.0");
}

TEST_P(CatalogContract, VersionsAreListedNewestFirst) {
  const VersionId b = make_version(model_.id, 'b');
  const VersionId c = make_version(model_.id, 'c');
  const auto first = catalog().list_versions(model_.id, std::nullopt, 2);
  ASSERT_EQ(first->size(), 2u);
  EXPECT_EQ(first->at(0).id, c);
  EXPECT_EQ(first->at(1).id, b);
  const auto rest = catalog().list_versions(model_.id, first->at(1).created_at, 2);
  ASSERT_EQ(rest->size(), 1u);
  EXPECT_EQ(rest->at(0).id, version_);
}

TEST_P(CatalogContract, ARefusedPushIsFoundUntilABetterOneComes) {
  EXPECT_FALSE(catalog().find_refusal(model_.id)->has_value());
  Version refused = version_of(model_.id, 'd');
  refused.state = VersionState::kRefused;
  refused.refusal = "no schema label";
  refused.openapi_schema = "";
  ASSERT_TRUE(catalog().put_version(refused).ok());
  const auto found = catalog().find_refusal(model_.id);
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->refusal, "no schema label");
  EXPECT_EQ(catalog().get_model_by_id(model_.id)->latest_version, version_);
  EXPECT_EQ(catalog().list_versions(model_.id, std::nullopt, 10)->size(), 1u);
  make_version(model_.id, 'e');
  EXPECT_FALSE(catalog().find_refusal(model_.id)->has_value());
}

TEST_P(CatalogContract, AVersionInUseIsNotDeleted) {
  const Deployment deployment = make_deployment("prod");
  EXPECT_EQ(code(catalog().delete_version(version_)), absl::StatusCode::kFailedPrecondition);
  DeploymentChange change;
  change.version = make_version(model_.id, 'b');
  ASSERT_TRUE(catalog().update_deployment(deployment.id, change, account_.id, later()).ok());
  EXPECT_TRUE(catalog().delete_version(version_).ok());
}

// --- targets and deployments ---

TEST_P(CatalogContract, AVersionPoolIsRunnable) {
  EXPECT_EQ(target_.kind, TargetKind::kVersionPool);
  EXPECT_EQ(target_.cell, 1);
  EXPECT_EQ(catalog().ensure_version_pool(version_, "cpu", 9)->id, target_.id);
  EXPECT_NE(catalog().ensure_version_pool(version_, "gpu", 9)->id, target_.id);
  EXPECT_EQ(code(catalog().ensure_version_pool(version_id('f'), "cpu", 1)),
            absl::StatusCode::kNotFound);
  Hardware cpu;
  cpu.sku = "cpu";
  cpu.resources.cpu_milli = 2000;
  ASSERT_TRUE(catalog().put_hardware(cpu, 1).ok());
  const auto runnable = catalog().get_runnable_target(target_.id);
  ASSERT_TRUE(runnable.ok()) << runnable.status();
  EXPECT_EQ(runnable->owner, account_.id);
  EXPECT_EQ(runnable->target.max_instances, 3);
  EXPECT_EQ(runnable->hardware.resources.cpu_milli, 2000u);
  ASSERT_EQ(runnable->releases.size(), 1u);
  EXPECT_EQ(runnable->releases[0].number, 0);
  EXPECT_EQ(runnable->releases[0].version.id, version_);
  EXPECT_EQ(code(catalog().get_runnable_target(target_.id + 1000)), absl::StatusCode::kNotFound);
}

TEST_P(CatalogContract, ChangesOfTargetsAreReadInOrder) {
  const auto changed_since = [&](std::int64_t seq) {
    const auto page = catalog().list_runnable_targets(1, seq, 100);
    EXPECT_TRUE(page.ok()) << page.status();
    return *page;
  };
  const auto first = changed_since(0);
  ASSERT_EQ(first.size(), 1u);
  std::int64_t seen = first[0].target.config_seq;
  EXPECT_TRUE(changed_since(seen).empty());
  const Deployment deployment = make_deployment("prod");
  auto changes = changed_since(seen);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].target.id, deployment.target);
  EXPECT_EQ(changes[0].releases.at(0).version.openapi_schema, R"({"openapi":"3.0.2"})");
  seen = changes[0].target.config_seq;
  DeploymentChange change;
  change.max_instances = 5;
  ASSERT_TRUE(catalog().update_deployment(deployment.id, change, account_.id, later()).ok());
  changes = changed_since(seen);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].target.max_instances, 5);
  seen = changes[0].target.config_seq;
  ASSERT_TRUE(catalog().put_hardware({"cpu", "CPU", {}, 0}, 1).ok());
  EXPECT_EQ(changed_since(seen).size(), 2u) << "both run on cpu";
  EXPECT_EQ(catalog().list_runnable_targets(1, 0, 1)->size(), 1u);
  EXPECT_TRUE(catalog().list_runnable_targets(2, 0, 100)->empty());
}

TEST_P(CatalogContract, AVersionPoolOfADeletedVersionHasNoRelease) {
  const auto before = catalog().get_runnable_target(target_.id)->target.config_seq;
  ASSERT_TRUE(catalog().delete_version(version_).ok());
  const auto after = catalog().get_runnable_target(target_.id);
  EXPECT_TRUE(after->releases.empty());
  EXPECT_GT(after->target.config_seq, before);
}

TEST_P(CatalogContract, ADeploymentBeginsWithALiveRelease) {
  const Deployment made = make_deployment("prod");
  const auto found = catalog().get_deployment("acme", "prod");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->id, made.id);
  EXPECT_EQ(found->owner, "acme");
  EXPECT_EQ(found->model_owner + "/" + found->model_name, "acme/hello");
  EXPECT_EQ(found->current.number, 1);
  EXPECT_EQ(found->current.state, ReleaseState::kLive);
  EXPECT_EQ(found->current.version, version_);
  EXPECT_EQ(found->current.max_instances, 2);
  EXPECT_EQ(found->current.created_by, account_.id);
  EXPECT_FALSE(found->last_used_at.has_value());
  const auto runnable = catalog().get_runnable_target(found->target);
  EXPECT_EQ(runnable->target.kind, TargetKind::kDeployment);
  EXPECT_EQ(runnable->target.deployment, found->id);
  EXPECT_EQ(runnable->owner, account_.id);
  EXPECT_EQ(code(catalog().get_deployment("acme", "none")), absl::StatusCode::kNotFound);
  Deployment again = made;
  EXPECT_EQ(code(catalog().create_deployment(again)), absl::StatusCode::kAlreadyExists);
  again.name = "broken";
  again.current.version = version_id('f');
  EXPECT_EQ(code(catalog().create_deployment(again)), absl::StatusCode::kNotFound);
  again.model = 99'999;
  EXPECT_EQ(code(catalog().create_deployment(again)), absl::StatusCode::kNotFound);
}

TEST_P(CatalogContract, EveryChangeOfADeploymentIsARelease) {
  const Deployment deployment = make_deployment("prod");
  const auto update = [&](const DeploymentChange& change) {
    const auto answer = catalog().update_deployment(deployment.id, change, account_.id, later());
    EXPECT_TRUE(answer.ok()) << answer.status();
    return *answer;
  };
  DeploymentChange same;
  same.max_instances = 2;
  EXPECT_EQ(update(same).current.number, 1) << "nothing differs";
  DeploymentChange bounds;
  bounds.min_instances = 1;
  const Deployment bounded = update(bounds);
  EXPECT_EQ(bounded.current.number, 2);
  EXPECT_EQ(bounded.current.state, ReleaseState::kLive) << "bounds take over at once";
  EXPECT_EQ(bounded.current.min_instances, 1);
  EXPECT_EQ(bounded.current.max_instances, 2);
  DeploymentChange rollout;
  rollout.version = make_version(model_.id, 'b');
  const Deployment rolling = update(rollout);
  EXPECT_EQ(rolling.current.number, 3);
  EXPECT_EQ(rolling.current.state, ReleaseState::kRolling);
  auto runnable = catalog().get_runnable_target(deployment.target);
  ASSERT_EQ(runnable->releases.size(), 2u) << "the live one keeps serving";
  EXPECT_EQ(runnable->releases[0].number, 3);
  EXPECT_EQ(runnable->releases[1].number, 2);
  rollout.version = make_version(model_.id, 'c');
  EXPECT_EQ(update(rollout).current.number, 4);
  runnable = catalog().get_runnable_target(deployment.target);
  ASSERT_EQ(runnable->releases.size(), 2u) << "the unfinished roll-out is given up";
  EXPECT_EQ(runnable->releases[0].number, 4);
  EXPECT_EQ(runnable->releases[1].number, 2);
  DeploymentChange broken;
  broken.version = version_id('f');
  EXPECT_EQ(code(catalog().update_deployment(deployment.id, broken, account_.id, later())),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(code(catalog().update_deployment(99'999, bounds, account_.id, later())),
            absl::StatusCode::kNotFound);
}

TEST_P(CatalogContract, AReleaseThatGoesLiveSupersedesOlderOnes) {
  const Deployment deployment = make_deployment("prod");
  DeploymentChange change;
  change.sku = "gpu-t4";
  ASSERT_TRUE(catalog().update_deployment(deployment.id, change, account_.id, later()).ok());
  const auto set = [&](std::int32_t number, ReleaseState from, ReleaseState to) {
    return code(catalog().set_release_state(deployment.id, number, from, to));
  };
  EXPECT_EQ(set(2, ReleaseState::kLive, ReleaseState::kFailed), absl::StatusCode::kAborted);
  EXPECT_EQ(set(9, ReleaseState::kLive, ReleaseState::kFailed), absl::StatusCode::kNotFound);
  EXPECT_EQ(set(2, ReleaseState::kRolling, ReleaseState::kLive), absl::StatusCode::kOk);
  const auto runnable = catalog().get_runnable_target(deployment.target);
  ASSERT_EQ(runnable->releases.size(), 1u);
  EXPECT_EQ(runnable->releases[0].number, 2);
  EXPECT_EQ(runnable->releases[0].state, ReleaseState::kLive);
  EXPECT_EQ(runnable->hardware.sku, "gpu-t4");
}

TEST_P(CatalogContract, AFailedReleaseLeavesThePreviousOneServing) {
  const Deployment deployment = make_deployment("prod");
  DeploymentChange change;
  change.version = make_version(model_.id, 'b');
  ASSERT_TRUE(catalog().update_deployment(deployment.id, change, account_.id, later()).ok());
  ASSERT_TRUE(
      catalog()
          .set_release_state(deployment.id, 2, ReleaseState::kRolling, ReleaseState::kFailed)
          .ok());
  const auto runnable = catalog().get_runnable_target(deployment.target);
  ASSERT_EQ(runnable->releases.size(), 2u);
  EXPECT_EQ(runnable->releases[0].state, ReleaseState::kFailed);
  EXPECT_EQ(runnable->releases[1].state, ReleaseState::kLive);
}

TEST_P(CatalogContract, ADeploymentIsDeletedWhenIdle) {
  const Deployment deployment = make_deployment("prod");
  NewPrediction p = new_prediction();
  p.deployment = deployment.id;
  create(p);
  EXPECT_EQ(catalog().get_deployment("acme", "prod")->last_used_at, p.created_at);
  EXPECT_EQ(code(catalog().delete_deployment(deployment.id, std::chrono::minutes{15})),
            absl::StatusCode::kFailedPrecondition);
  const Deployment unused = make_deployment("unused");
  EXPECT_TRUE(catalog().delete_deployment(unused.id, std::chrono::minutes{15}).ok());
  EXPECT_EQ(code(catalog().delete_deployment(unused.id, std::chrono::minutes{15})),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(code(catalog().get_deployment("acme", "unused")), absl::StatusCode::kNotFound);
  const auto runnable = catalog().get_runnable_target(unused.target);
  EXPECT_TRUE(runnable->releases.empty());
  EXPECT_EQ(runnable->target.max_instances, 0);
  make_deployment("unused");
}

TEST_P(CatalogContract, ADeploymentWithInstancesIsNotDeleted) {
  const Deployment deployment = make_deployment("prod");
  InstanceRow row;
  row.id = ids_.next();
  row.target = deployment.target;
  row.version = version_;
  row.worker = worker_;
  row.sku = "cpu";
  ASSERT_TRUE(fleet().insert_instances(fence_, {&row, 1}).ok());
  EXPECT_EQ(code(catalog().delete_deployment(deployment.id, std::chrono::seconds{0})),
            absl::StatusCode::kFailedPrecondition);
  const InstanceChange stopped{row.id, InstanceState::kStopped, ""};
  ASSERT_TRUE(fleet().update_instances({&stopped, 1}).ok());
  EXPECT_EQ(code(catalog().delete_deployment(deployment.id, std::chrono::minutes{15})),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(catalog().delete_deployment(deployment.id, std::chrono::seconds{0}).ok());
}

TEST_P(CatalogContract, DeploymentsAreListedNewestFirst) {
  const Deployment a = make_deployment("a");
  const Deployment b = make_deployment("b");
  const auto first = catalog().list_deployments(account_.id, std::nullopt, 1);
  ASSERT_EQ(first->size(), 1u);
  EXPECT_EQ(first->at(0).name, "b");
  const auto rest = catalog().list_deployments(account_.id, first->at(0).created_at, 10);
  ASSERT_EQ(rest->size(), 1u);
  EXPECT_EQ(rest->at(0).name, "a");
  EXPECT_TRUE(catalog().list_deployments(account_.id + 1000, std::nullopt, 10)->empty());
}

}  // namespace mimeo::store
