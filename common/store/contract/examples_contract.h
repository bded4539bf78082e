// Contract of the examples of a DiscoveryStore. For the programs that include discovery_contract.h.

#pragma once

#include "common/store/contract/discovery_contract.h"

namespace mimeo::store {

class ExamplesContract : public DiscoveryContract {
 protected:
  static constexpr std::chrono::hours kLongAfter{24 * 400};

  // Neither dropped with its time nor removed when it is due.
  bool is_kept(PredictionId id) {
    const WallTime later = now_ + kLongAfter;
    EXPECT_TRUE(maintenance().drop_expired(later, Retention{}).ok());
    const auto due = retention().list_due(later, 100);
    EXPECT_TRUE(due.ok()) << due.status();
    EXPECT_TRUE(retention().remove_data(*due).ok());
    const auto found = predictions().get(id, 0);
    return found.ok() && !found->data_removed;
  }
};

TEST_P(ExamplesContract, AnExampleKeepsItsContentWhenThePredictionsIsGone) {
  const PredictionId id = succeeded();
  const Example wish = example_of(id);
  ASSERT_TRUE(discovery().add_example(wish).ok());
  EXPECT_EQ(code(discovery().add_example(wish)), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(deletions().erase_predictions(std::vector<PredictionId>{id}).ok());
  ASSERT_EQ(code(predictions().get(id, 0)), absl::StatusCode::kNotFound);
  const auto found = discovery().get_example(model_.id, id);
  ASSERT_TRUE(found.ok()) << found.status();
  const PredictionView& view = found->prediction;
  EXPECT_EQ(view.id, id);
  EXPECT_EQ(view.status, PredictionStatus::kSucceeded);
  EXPECT_EQ(view.version, version_);
  EXPECT_EQ(view.model_owner + "/" + view.model_name, "acme/hello");
  EXPECT_EQ(view.input, R"({"text":"hi"})");
  EXPECT_EQ(view.output, R"("hello")");
  EXPECT_FALSE(view.data_removed);
  EXPECT_EQ(view.created_at, wish.prediction.created_at);
  EXPECT_EQ(view.completed_at, wish.prediction.completed_at);
  EXPECT_EQ(found->added_at, wish.added_at);
}

TEST_P(ExamplesContract, TheFirstExampleIsTheDefaultUntilAnotherIsChosen) {
  EXPECT_FALSE(default_example().has_value());
  const PredictionId first = add_example();
  const PredictionId second = add_example();
  const PredictionId third = add_example();
  EXPECT_EQ(default_example(), first);
  ASSERT_TRUE(discovery().set_default_example(model_.id, third).ok());
  EXPECT_EQ(default_example(), third);
  EXPECT_EQ(catalog().get_model_by_id(model_.id)->default_example, third);
  ASSERT_TRUE(discovery().remove_example(model_.id, second).ok());
  EXPECT_EQ(default_example(), third);
  ASSERT_TRUE(discovery().remove_example(model_.id, third).ok());
  EXPECT_EQ(default_example(), first);
  ASSERT_TRUE(discovery().remove_example(model_.id, first).ok());
  EXPECT_FALSE(default_example().has_value());
  EXPECT_EQ(code(discovery().remove_example(model_.id, first)), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(discovery().set_default_example(model_.id, first)), absl::StatusCode::kNotFound);
}

TEST_P(ExamplesContract, ExamplesAreListedNewestFirstInPages) {
  const PredictionId a = add_example();
  const PredictionId b = add_example();
  const PredictionId c = add_example();
  const auto page = [&](const std::optional<PageStart<PredictionId>>& start) {
    std::vector<PredictionId> ids;
    const auto examples = discovery().list_examples(model_.id, start, 2);
    EXPECT_TRUE(examples.ok()) << examples.status();
    for (const Example& e : *examples) ids.push_back(e.prediction.id);
    return ids;
  };
  using Ids = std::vector<PredictionId>;
  EXPECT_EQ(page(std::nullopt), (Ids{c, b}));
  const WallTime at_b = discovery().get_example(model_.id, b)->added_at;
  EXPECT_EQ(page({{at_b, b, false}}), Ids{a});
  EXPECT_EQ(page({{at_b, b, true}}), Ids{c});
  EXPECT_EQ(discovery().list_examples_of_version(version_, 10)->size(), 3u);
  EXPECT_EQ(discovery().list_examples_of_version(version_, 2)->size(), 2u);
}

TEST_P(ExamplesContract, WhoSeesTheModelSeesItsExamples) {
  const PredictionId id = add_example();
  const Account other = make_account("other");
  EXPECT_TRUE(discovery().find_example(id, account_.id)->has_value());
  EXPECT_FALSE(discovery().find_example(id, other.id)->has_value());
  ModelChange change;
  change.visibility = Visibility::kPublic;
  ASSERT_TRUE(catalog().update_model(model_.id, change).ok());
  EXPECT_TRUE(discovery().find_example(id, other.id)->has_value());
  EXPECT_TRUE(discovery().find_example(id, 0)->has_value());
  EXPECT_FALSE(discovery().find_example(ids_.next(), account_.id)->has_value());
}

TEST_P(ExamplesContract, AnExampleOfAnOfficialModelRemembersTheVersionThatItHides) {
  ASSERT_TRUE(discovery().set_official(model_.id, true).ok());
  const PredictionId id = add_example();
  EXPECT_TRUE(discovery().get_example(model_.id, id)->prediction.version.is_nil());
  ASSERT_TRUE(discovery().set_official(model_.id, false).ok());
  EXPECT_EQ(discovery().get_example(model_.id, id)->prediction.version, version_);
}

TEST_P(ExamplesContract, AnExampleKeepsItsPredictionUntilItIsRemoved) {
  const PredictionId id = add_example();
  ASSERT_TRUE(retention().release_prediction(id).ok()) << "somebody else, who failed meanwhile";
  EXPECT_TRUE(is_kept(id));
  ASSERT_TRUE(discovery().remove_example(model_.id, id).ok());
  EXPECT_FALSE(is_kept(id));
}

TEST_P(ExamplesContract, WhatHasNoDataBecomesNoExample) {
  const PredictionId id = succeeded();
  const Example wish = example_of(id);
  EXPECT_FALSE(is_kept(id));
  const Status refused = discovery().add_example(wish);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused) || absl::IsNotFound(refused)) << refused;
  Example unknown = wish;
  unknown.prediction.id = ids_.next();
  EXPECT_EQ(code(discovery().add_example(unknown)), absl::StatusCode::kNotFound);
  EXPECT_TRUE(discovery().list_examples(model_.id, std::nullopt, 10)->empty());
}

TEST_P(ExamplesContract, ExamplesOfADeletedModelAreFoundAndRemoved) {
  const PredictionId id = add_example();
  ASSERT_TRUE(deletions().begin_version_deletion(version_, later()).ok());
  ASSERT_TRUE(catalog().delete_model(model_.id).ok());
  const auto found = discovery().list_examples_of_version(version_, 10);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, (std::vector<ExampleKey>{{model_.id, id}}));
  ASSERT_TRUE(discovery().remove_example(model_.id, id).ok());
  EXPECT_TRUE(discovery().list_examples_of_version(version_, 10)->empty());
  EXPECT_FALSE(is_kept(id));
}

TEST_P(ExamplesContract, ALargeDefaultExampleCanBeLeftOut) {
  add_example();
  const auto has_example = [&](std::size_t example_bytes) {
    FactsBounds bounds;
    bounds.example_bytes = example_bytes;
    const auto facts = discovery().describe_models(std::vector<ModelId>{model_.id}, bounds);
    EXPECT_TRUE(facts.ok()) << facts.status();
    EXPECT_TRUE(facts->at(0).latest.has_value());
    EXPECT_FALSE(facts->at(0).is_cut);
    return facts->at(0).default_example.has_value();
  };
  EXPECT_TRUE(has_example(10'000));
  EXPECT_FALSE(has_example(5));
}

}  // namespace mimeo::store
