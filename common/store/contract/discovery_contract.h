// Contract of DiscoveryStore, VersionDeletionStore and AccountLimitsStore; of examples:
// examples_contract.h.

#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "common/store/account_limits.h"
#include "common/store/contract/store_contract.h"
#include "common/store/discovery.h"
#include "common/store/retention.h"
#include "common/store/version_deletion.h"

namespace mimeo::store {

class DiscoveryUnderTest : public StoreUnderTest {
 public:
  virtual RetentionStore& retention() = 0;
  virtual DiscoveryStore& discovery() = 0;
  virtual VersionDeletionStore& deletions() = 0;
  virtual AccountLimitsStore& limits() = 0;
};

// StoreKind::make must give a DiscoveryUnderTest.
class DiscoveryContract : public StoreContract {
 protected:
  using Names = std::vector<std::string>;

  DiscoveryUnderTest& more() { return dynamic_cast<DiscoveryUnderTest&>(*under_test_); }
  RetentionStore& retention() { return more().retention(); }
  DiscoveryStore& discovery() { return more().discovery(); }
  VersionDeletionStore& deletions() { return more().deletions(); }
  AccountLimitsStore& limits() { return more().limits(); }

  static absl::StatusCode code(const Status& status) { return status.code(); }
  static absl::StatusCode code(const auto& result) { return result.status().code(); }

  Model make_described(const std::string& name, const std::string& description,
                       const std::string& readme = "") {
    const Model model = make_model(account_, name, Visibility::kPublic);
    ModelChange change;
    change.description = description;
    change.readme = readme;
    EXPECT_TRUE(catalog().update_model(model.id, change).ok());
    return model;
  }
  Names search(const std::string& text, AccountId viewer = 0, bool include_private = false) {
    ModelSearch search;
    search.text = text;
    search.viewer = viewer;
    search.include_private = include_private;
    return names(discovery().search_models(search));
  }
  static Names names(const Result<std::vector<SearchHit>>& hits) {
    EXPECT_TRUE(hits.ok()) << hits.status();
    Names out;
    if (!hits.ok()) return out;
    for (const SearchHit& hit : *hits) {
      out.push_back(hit.model.name);
      EXPECT_GT(hit.score, 0.0);
      EXPECT_LE(hit.score, 1.0);
    }
    return out;
  }
  static Names sorted(Names names) {
    std::sort(names.begin(), names.end());
    return names;
  }

  Collection make_collection(const std::string& slug) {
    Collection collection;
    collection.slug = slug;
    collection.name = "Name of " + slug;
    collection.description = "All about " + slug;
    collection.full_description = "# " + slug;
    collection.created_at = later();
    const auto made = discovery().create_collection(collection);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : collection;
  }
  Names members(const std::string& slug, AccountId viewer) {
    Names out;
    const auto collection = discovery().get_collection(slug);
    EXPECT_TRUE(collection.ok()) << collection.status();
    const auto models = discovery().list_collection_models(collection->id, viewer);
    EXPECT_TRUE(models.ok()) << models.status();
    for (const Model& model : *models) out.push_back(model.name);
    return out;
  }

  // A prediction of version_ that succeeded.
  PredictionId succeeded() {
    const PredictionId id = create_assigned();
    EXPECT_EQ(finish(finish_of(id, 1)), FinishOutcome::kCommitted);
    return id;
  }
  Example example_of(PredictionId id) {
    Example example;
    example.model = model_.id;
    example.prediction = view(id);
    example.added_at = later();
    return example;
  }
  PredictionId add_example() {
    const PredictionId id = succeeded();
    EXPECT_TRUE(discovery().add_example(example_of(id)).ok());
    return id;
  }
  std::optional<PredictionId> default_example() {
    const auto facts = discovery().describe_models(std::vector<ModelId>{model_.id}, FactsBounds{});
    EXPECT_TRUE(facts.ok()) << facts.status();
    if (!facts->at(0).default_example) return std::nullopt;
    return facts->at(0).default_example->prediction.id;
  }
};

// --- search ---

TEST_P(DiscoveryContract, SearchFindsWordsOfNameDescriptionAndReadme) {
  make_described("painter", "Draws pictures of cats", "Trained on watercolours");
  make_described("singer", "Makes songs about dogs");
  EXPECT_EQ(search("painter"), Names{"painter"});
  EXPECT_EQ(search("CATS"), Names{"painter"});
  EXPECT_EQ(search("watercolours"), Names{"painter"});
  EXPECT_EQ(search("songs dogs"), Names{"singer"});
  EXPECT_EQ(search("acme/singer"), Names{"singer"});
  EXPECT_EQ(sorted(search("acme")), (Names{"painter", "singer"}));
  EXPECT_EQ(search("songs cats"), Names{}) << "every word is needed";
  EXPECT_EQ(search("elephant"), Names{});
}

TEST_P(DiscoveryContract, SearchFindsBeginningsStemsPartsAndTypos) {
  make_described("stable-diffusion", "Paints", "");
  EXPECT_EQ(search("diffu"), Names{"stable-diffusion"}) << "the beginning of a word";
  EXPECT_EQ(search("painting"), Names{"stable-diffusion"}) << "another form of it";
  EXPECT_EQ(search("fusion"), Names{"stable-diffusion"}) << "a part of the name";
  EXPECT_EQ(search("stable difusion"), Names{"stable-diffusion"}) << "nearly";
  EXPECT_EQ(search("pa"), Names{}) << "short words are found whole";
}

TEST_P(DiscoveryContract, SearchPutsTheNameBeforeTheText) {
  make_described("companion", "Works well with llama", "llama llama llama");
  make_described("llama", "Writes text");
  make_described("llama-chat", "Writes text");
  const Names found = search("llama");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0], "llama");
  EXPECT_EQ(found[1], "llama-chat");
}

TEST_P(DiscoveryContract, SearchShowsPrivateModelsToTheirOwnerAtMost) {
  const Account other = make_account("other");
  EXPECT_EQ(search("hello"), Names{});
  EXPECT_EQ(search("hello", account_.id, true), Names{"hello"});
  EXPECT_EQ(search("hello", account_.id, false), Names{});
  EXPECT_EQ(search("hello", other.id, true), Names{});
  EXPECT_EQ(search("hello", 0, true), Names{}) << "nobody owns nothing";
}

TEST_P(DiscoveryContract, SearchSeesChangesAtOnceAndNoDeletedModels) {
  const Model model = make_model(account_, "fresh");
  ModelChange change;
  change.readme = "aubergine";
  ASSERT_TRUE(catalog().update_model(model.id, change).ok());
  EXPECT_EQ(search("aubergine", account_.id, true), Names{"fresh"});
  change.readme = "tomato";
  ASSERT_TRUE(catalog().update_model(model.id, change).ok());
  EXPECT_EQ(search("aubergine", account_.id, true), Names{});
  ASSERT_TRUE(catalog().delete_model(model.id).ok());
  EXPECT_EQ(search("tomato", account_.id, true), Names{});
}

TEST_P(DiscoveryContract, SearchTextIsNeverAPattern) {
  make_described("painter", "100% of a_b \\ 'quoted' (a | b) & !c:*", "");
  EXPECT_EQ(search("100%"), Names{"painter"});
  EXPECT_EQ(search("p%r"), Names{});
  EXPECT_EQ(search("'quoted'"), Names{"painter"});
  for (const char* odd : {"", "   ", "%%%", "'", "\\", "!:*&|()<->", "\xff\xfe", "''''"}) {
    EXPECT_EQ(search(odd), Names{}) << odd;
  }
  EXPECT_EQ(search(std::string(5'000, 'x')), Names{});
  EXPECT_EQ(search("猫"), Names{});
}

TEST_P(DiscoveryContract, AReadmeOfAnyLengthCanBeSearched) {
  std::string readme = "beginning ";
  for (int i = 0; i < 200'000; ++i) readme += "w" + std::to_string(i) + " ";
  make_described("long", "", readme);
  EXPECT_EQ(search("beginning"), Names{"long"});
}

TEST_P(DiscoveryContract, SearchIsPagedInBothDirections) {
  for (int i = 0; i < 7; ++i) make_described("robot-" + std::to_string(i), "walks");
  ModelSearch query;
  query.text = "robot";
  query.limit = 3;
  const auto first = discovery().search_models(query);
  ASSERT_EQ(first->size(), 3u);
  query.start = {first->back().score, first->back().model.id, false};
  const auto second = discovery().search_models(query);
  ASSERT_EQ(second->size(), 3u);
  query.start = {second->back().score, second->back().model.id, false};
  const auto third = discovery().search_models(query);
  ASSERT_EQ(third->size(), 1u);
  query.start = {third->front().score, third->front().model.id, true};
  EXPECT_EQ(names(discovery().search_models(query)), names(second));
  Names all = names(first);
  for (const Names& more : {names(second), names(third)}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  const Names unique = sorted(all);
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  EXPECT_EQ(unique.size(), 7u);
}

TEST_P(DiscoveryContract, TheVeryNameIsFoundAmongMoreModelsThanAreRanked) {
  for (std::size_t i = 0; i < kSearchCandidates; ++i) {
    make_model(account_, "robot-" + std::to_string(i), Visibility::kPublic);
  }
  make_model(account_, "robot", Visibility::kPublic);  // The last one that is found.
  for (const char* text : {"robot", "acme/robot"}) {
    ModelSearch query;
    query.text = text;
    query.limit = 1;
    EXPECT_EQ(names(discovery().search_models(query)), Names{"robot"}) << text;
  }
}

// --- official models, facts ---

TEST_P(DiscoveryContract, PredictionsOfAnOfficialModelHideTheirVersion) {
  EXPECT_FALSE(*discovery().is_official(model_.id));
  const PredictionId id = create_queued();
  EXPECT_EQ(view(id).version, version_);
  ASSERT_TRUE(discovery().set_official(model_.id, true).ok());
  EXPECT_TRUE(*discovery().is_official(model_.id));
  EXPECT_TRUE(view(id).version.is_nil());
  const Deployment deployment = make_deployment("prod");
  NewPrediction deployed = new_prediction();
  deployed.deployment = deployment.id;
  deployed.target = deployment.target;
  create(deployed);
  EXPECT_EQ(view(deployed.id).version, version_) << "a deployment's release is its owner's";
  ASSERT_TRUE(discovery().set_official(model_.id, false).ok());
  EXPECT_EQ(view(id).version, version_);
  EXPECT_EQ(code(discovery().set_official(model_.id + 1000, true)), absl::StatusCode::kNotFound);
}

TEST_P(DiscoveryContract, FactsComeInTheOrderAskedFor) {
  const Model empty = make_model(account_, "empty");
  ASSERT_TRUE(discovery().set_official(empty.id, true).ok());
  make_collection("b");
  make_collection("a");
  ASSERT_TRUE(discovery().add_to_collection("a", model_.id, std::nullopt).ok());
  ASSERT_TRUE(discovery().add_to_collection("b", model_.id, std::nullopt).ok());
  const auto facts = discovery().describe_models(
      std::vector<ModelId>{empty.id, model_.id, model_.id + 1000}, FactsBounds{});
  ASSERT_TRUE(facts.ok()) << facts.status();
  ASSERT_EQ(facts->size(), 3u);
  EXPECT_TRUE(facts->at(0).is_official);
  EXPECT_FALSE(facts->at(0).latest.has_value());
  EXPECT_FALSE(facts->at(1).is_official);
  ASSERT_TRUE(facts->at(1).latest.has_value());
  EXPECT_EQ(facts->at(1).latest->id, version_);
  EXPECT_EQ(facts->at(1).tags, (Names{"a", "b"}));
  EXPECT_FALSE(facts->at(2).latest.has_value());
  EXPECT_EQ(*discovery().count_models(account_.id), 2);
}

TEST_P(DiscoveryContract, FactsEndWhereTheirBytesDo) {
  ASSERT_TRUE(discovery().add_to_collection(make_collection("a").slug, model_.id, {}).ok());
  const Model second = make_model(account_, "second");
  const Model empty = make_model(account_, "empty");
  make_version(second.id, 'b');
  const std::vector<ModelId> ids{second.id, model_.id, empty.id};
  const auto described = [&](FactsBounds bounds) {
    const auto facts = discovery().describe_models(ids, bounds);
    EXPECT_TRUE(facts.ok()) << facts.status();
    std::string out;
    for (const ModelFacts& f : *facts) out += f.is_cut ? "cut " : f.latest ? "whole " : "none ";
    return out;
  };
  EXPECT_EQ(described({}), "whole whole none ");
  EXPECT_EQ(described({.total_bytes = 0}), "whole cut none ") << "never nothing at all";
  EXPECT_EQ(discovery().describe_models(ids, {.total_bytes = 0})->at(1).tags, Names{"a"});
}

// --- pages ---

TEST_P(DiscoveryContract, VersionsOfOneMomentAreAllOnSomePage) {
  Version twin = version_of(model_.id, 'b');
  Version other = version_of(model_.id, 'c');
  other.created_at = twin.created_at;
  ASSERT_TRUE(catalog().put_version(twin).ok());
  ASSERT_TRUE(catalog().put_version(other).ok());
  const auto page = [&](const std::optional<PageStart<VersionId>>& start) {
    std::string digits;
    const auto versions = discovery().page_versions(model_.id, start, 1);
    EXPECT_TRUE(versions.ok()) << versions.status();
    for (const Version& v : *versions) digits += v.id.hex()[0];
    return digits;
  };
  EXPECT_EQ(page(std::nullopt), "c");
  EXPECT_EQ(page({{other.created_at, other.id, false}}), "b");
  EXPECT_EQ(page({{twin.created_at, twin.id, false}}), "a");
  EXPECT_EQ(page({{twin.created_at, twin.id, true}}), "c");
  EXPECT_EQ(page({{other.created_at, other.id, true}}), "");
}

TEST_P(DiscoveryContract, DeploymentsArePagedInBothDirections) {
  const Deployment a = make_deployment("a");
  const Deployment b = make_deployment("b");
  const Deployment c = make_deployment("c");
  const auto page = [&](const std::optional<PageStart<DeploymentId>>& start) {
    std::string all;
    const auto deployments = discovery().page_deployments(account_.id, start, 2);
    EXPECT_TRUE(deployments.ok()) << deployments.status();
    for (const Deployment& d : *deployments) all += d.name;
    return all;
  };
  EXPECT_EQ(page(std::nullopt), "cb");
  EXPECT_EQ(page({{b.created_at, b.id, false}}), "a");
  EXPECT_EQ(page({{a.created_at, a.id, true}}), "cb");
  EXPECT_EQ(page({{b.created_at, b.id, true}}), "c");
  EXPECT_TRUE(discovery().page_deployments(account_.id + 1000, std::nullopt, 2)->empty());
}

// --- collections ---

TEST_P(DiscoveryContract, ACollectionKeepsWhatItWasGiven) {
  const Collection made = make_collection("text-to-image");
  EXPECT_EQ(code(discovery().create_collection(made)), absl::StatusCode::kAlreadyExists);
  CollectionChange change;
  change.description = "new";
  ASSERT_TRUE(discovery().update_collection("text-to-image", change).ok());
  const auto found = discovery().get_collection("text-to-image");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->name, "Name of text-to-image");
  EXPECT_EQ(found->description, "new");
  EXPECT_EQ(found->full_description, "# text-to-image");
  EXPECT_EQ(found->created_at, made.created_at);
  ASSERT_TRUE(discovery().delete_collection("text-to-image").ok());
  EXPECT_EQ(code(discovery().get_collection("text-to-image")), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(discovery().delete_collection("text-to-image")), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(discovery().update_collection("none", change)), absl::StatusCode::kNotFound);
}

TEST_P(DiscoveryContract, CollectionsAreListedBySlug) {
  for (const char* slug : {"b", "d", "a", "c"}) make_collection(slug);
  const auto page = [&](const std::string& after, bool is_backward) {
    std::string all;
    const auto collections = discovery().list_collections(after, is_backward, 2);
    EXPECT_TRUE(collections.ok()) << collections.status();
    for (const Collection& c : *collections) all += c.slug;
    return all;
  };
  EXPECT_EQ(page("", false), "ab");
  EXPECT_EQ(page("b", false), "cd");
  EXPECT_EQ(page("d", false), "");
  EXPECT_EQ(page("d", true), "bc");
  EXPECT_EQ(page("b", true), "a");
}

TEST_P(DiscoveryContract, ModelsOfACollectionKeepTheirOrder) {
  make_collection("mine");
  const Model a = make_model(account_, "a", Visibility::kPublic);
  const Model b = make_model(account_, "b", Visibility::kPublic);
  const auto add = [&](ModelId id, std::optional<std::int32_t> position) {
    return discovery().add_to_collection("mine", id, position);
  };
  ASSERT_TRUE(add(a.id, std::nullopt).ok());
  ASSERT_TRUE(add(b.id, std::nullopt).ok());
  ASSERT_TRUE(add(model_.id, 1).ok());
  EXPECT_EQ(members("mine", account_.id), (Names{"a", "hello", "b"}));
  EXPECT_EQ(members("mine", 0), (Names{"a", "b"})) << "private to others";
  ASSERT_TRUE(add(b.id, 0).ok());
  EXPECT_EQ(members("mine", account_.id), (Names{"b", "a", "hello"})) << "moved";
  ASSERT_TRUE(discovery().remove_from_collection("mine", a.id).ok());
  ASSERT_TRUE(add(a.id, 99).ok());
  EXPECT_EQ(members("mine", account_.id), (Names{"b", "hello", "a"}));
  EXPECT_EQ(code(discovery().add_to_collection("none", a.id, 0)), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(add(model_.id + 1000, 0)), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(discovery().remove_from_collection("mine", model_.id + 1000)),
            absl::StatusCode::kNotFound);
}

TEST_P(DiscoveryContract, CollectionsAreFoundByTheirWords) {
  make_collection("cats");
  make_collection("dogs");
  ASSERT_TRUE(discovery().add_to_collection("cats", model_.id, std::nullopt).ok());
  const auto hits = discovery().search_collections("About CATS", account_.id, 10);
  ASSERT_TRUE(hits.ok()) << hits.status();
  ASSERT_EQ(hits->size(), 1u);
  EXPECT_EQ(hits->at(0).collection.slug, "cats");
  EXPECT_EQ(hits->at(0).models, Names{"acme/hello"});
  EXPECT_TRUE(discovery().search_collections("cats", 0, 10)->at(0).models.empty());
  EXPECT_EQ(discovery().search_collections("name", 0, 10)->size(), 2u);
  EXPECT_EQ(discovery().search_collections("name", 0, 1)->size(), 1u);
  EXPECT_TRUE(discovery().search_collections("cats dogs", 0, 10)->empty());
  EXPECT_TRUE(discovery().search_collections("%", 0, 10)->empty());
}

// --- deleting versions ---

TEST_P(DiscoveryContract, ADeletedVersionIsGoneAtOnceAndItsPredictionsLater) {
  const VersionId newer = make_version(model_.id, 'b');
  const PredictionId done = succeeded();
  const PredictionId running = create_assigned();
  ASSERT_TRUE(deletions().begin_version_deletion(version_, later()).ok());
  EXPECT_EQ(code(deletions().begin_version_deletion(version_, later())),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(catalog().get_version(version_, 0)->state, VersionState::kDeleted);
  EXPECT_EQ(catalog().get_model_by_id(model_.id)->latest_version, newer);

  const auto claimed = deletions().claim_version_deletion(std::chrono::hours{1});
  ASSERT_TRUE(claimed.ok() && claimed->has_value()) << claimed.status();
  EXPECT_EQ((*claimed)->version, version_);
  EXPECT_EQ((*claimed)->owner, account_.id);
  EXPECT_FALSE(deletions().claim_version_deletion(std::chrono::hours{1})->has_value());

  const auto found = deletions().list_version_predictions(**claimed, {}, 100);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->ended, std::vector<PredictionId>{done});
  EXPECT_TRUE(found->has_active);
  EXPECT_FALSE(found->after.has_value());
  const std::vector<PredictionId> all{done, running};
  for (const PredictionId id : all) {
    WebhookSettlement sent;
    sent.delivery.emplace();
    sent.delivery->id = "msg_" + id.str();
    sent.delivery->account = account_.id;
    sent.delivery->prediction = id;
    sent.attempt.at = now_;
    ASSERT_TRUE(outbox().settle({&sent, 1}).ok());
  }
  ASSERT_TRUE(deletions().erase_predictions(all).ok());
  EXPECT_TRUE(webhooks().list_webhook_attempts("msg_" + done.str())->empty());
  EXPECT_EQ(webhooks().list_webhook_attempts("msg_" + running.str())->size(), 1u);
  EXPECT_EQ(code(predictions().get(done, 0)), absl::StatusCode::kNotFound);
  EXPECT_TRUE(predictions().get(running, 0).ok()) << "it has not ended";

  ASSERT_TRUE(
      deletions().put_off_version_deletion(version_, std::chrono::milliseconds{-1000}).ok());
  EXPECT_TRUE(deletions().claim_version_deletion(std::chrono::hours{1})->has_value());
  ASSERT_TRUE(deletions().finish_version_deletion(version_).ok());
  ASSERT_TRUE(
      deletions().put_off_version_deletion(version_, std::chrono::milliseconds{-1000}).ok());
  EXPECT_FALSE(deletions().claim_version_deletion(std::chrono::hours{1})->has_value());
}

TEST_P(DiscoveryContract, AVersionThatIsPushedAgainKeepsWhatItHas) {
  ASSERT_TRUE(deletions().begin_version_deletion(version_, later()).ok());
  make_version(model_.id, 'a');
  EXPECT_FALSE(deletions().claim_version_deletion(std::chrono::hours{1})->has_value());
  EXPECT_TRUE(deletions().begin_version_deletion(version_, later()).ok()) << "and again";
  EXPECT_TRUE(deletions().claim_version_deletion(std::chrono::hours{1})->has_value());
}

TEST_P(DiscoveryContract, PredictionsOfOtherVersionsAreNotTouched) {
  const PredictionId first = succeeded();
  NewPrediction other = new_prediction();
  other.version = make_version(model_.id, 'b');
  create(other);
  const PredictionId last = succeeded();
  ASSERT_TRUE(deletions().begin_version_deletion(version_, later()).ok());
  const VersionDeletion deletion{version_, account_.id};
  std::vector<PredictionId> ids;
  PredictionId before;
  for (int i = 0; i < 10; ++i) {
    const auto found = deletions().list_version_predictions(deletion, before, 1);
    ASSERT_TRUE(found.ok()) << found.status();
    ids.insert(ids.end(), found->ended.begin(), found->ended.end());
    if (!found->after) break;
    before = *found->after;
  }
  EXPECT_EQ(ids, (std::vector<PredictionId>{last, first}));
}

TEST_P(DiscoveryContract, AVersionInUseIsNotDeletedWhoeverUsesIt) {
  const auto refusal = [&](VersionId version) {
    const Status status = deletions().begin_version_deletion(version, later());
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    return std::string(status.message());
  };
  make_deployment("prod");
  EXPECT_NE(refusal(version_).find("acme/prod"), std::string::npos);

  const VersionId base = make_version(model_.id, 'b');
  NewPrediction training = new_prediction();
  training.version = base;
  training.is_training = true;
  training.destination = "acme/hello";
  create(training);
  EXPECT_NE(refusal(base).find("training"), std::string::npos);

  const VersionId shared = make_version(model_.id, 'c');
  const Account other = make_account("other");
  ASSERT_TRUE(deletions().note_version_user(shared, account_.id).ok()) << "the owner may";
  ASSERT_TRUE(deletions().note_version_user(shared, other.id).ok());
  ASSERT_TRUE(deletions().note_version_user(shared, other.id).ok());
  EXPECT_NE(refusal(shared).find("somebody else"), std::string::npos);
  EXPECT_TRUE(deletions().note_version_user(version_id('f'), other.id).ok()) << "ignored";

  const Model open = make_model(account_, "open", Visibility::kPublic);
  EXPECT_NE(refusal(make_version(open.id, 'd')).find("public"), std::string::npos);
  EXPECT_EQ(code(deletions().begin_version_deletion(version_id('f'), later())),
            absl::StatusCode::kNotFound);
}

}  // namespace mimeo::store

#include "common/store/contract/limits_contract.h"
