// Persistence of how models are found and shown: search, official models, collections, examples,
// and pages of versions and deployments in both directions. Same rules as catalog.h: methods block,
// are thread-safe, may be repeated, and are one transaction each.
//
// Implementations: memory/memory_discovery.h, postgres/postgres_store.h. Both pass
// contract/discovery_contract.h.

#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/store/catalog.h"
#include "common/store/predictions.h"

namespace mimeo::store {

inline constexpr std::int64_t kMostModels = 1'000;  // Of one account.
inline constexpr std::size_t kMaxExamplesPerModel = 100;
inline constexpr std::size_t kMaxModelsPerCollection = 500;

// A search looks at so many candidates of each kind before it ranks them. Words that occur in more
// models find a part of these, but always those of that very name, and the best by title.
inline constexpr std::size_t kSearchCandidates = 500;
// Words after these are not looked at.
inline constexpr std::size_t kMaxSearchWords = 12;

// Where a page begins in a list that is shown newest first: behind the row (older ones) or, when
// `is_backward`, before it. The page itself is newest first either way.
template <class Key>
struct PageStart {
  WallTime at;
  Key key{};
  bool is_backward = false;
};

struct ModelSearch {
  std::string text;
  AccountId viewer = 0;          // 0 = nobody: public models only.
  bool include_private = false;  // The viewer's own, too.
  // Only hits behind (or before) this one in the order of score, then id, both descending.
  struct Start {
    double score = 0;
    ModelId id = 0;
    bool is_backward = false;
  };
  std::optional<Start> start;
  std::size_t limit = 25;
};

struct SearchHit {
  Model model;
  double score = 0;  // 0..1; 1 = its very name.
};

// A prediction that a model's owner shows, with a copy of its content. Its files are those of the
// prediction, which is kept (retention.h) for as long as it is an example.
struct Example {
  ModelId model = 0;
  // Without webhook, stream and deployment: these are not for others.
  PredictionView prediction;
  WallTime added_at;
};

// One of a model's, without its content.
struct ExampleKey {
  ModelId model = 0;
  PredictionId prediction;
  friend bool operator==(const ExampleKey&, const ExampleKey&) = default;
};

// How much is read of many models at once.
struct FactsBounds {
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  std::size_t example_bytes = kNone;  // A default example with more content is left out.
  // Of versions and examples together. When the first model has more by itself, it has it all the
  // same.
  std::size_t total_bytes = kNone;
};

// What the API shows of a model beside its own row.
struct ModelFacts {
  bool is_official = false;
  bool is_cut = false;  // Has neither version nor example here, because those before it were large.
  std::optional<Version> latest;
  std::optional<Example> default_example;
  std::vector<std::string> tags;  // Slugs of the collections that it is in.
};

struct Collection {
  std::int64_t id = 0;
  std::string slug;
  std::string name;
  std::string description;
  std::string full_description;  // Markdown; empty = none.
  WallTime created_at;
};
struct CollectionChange {
  std::optional<std::string> name, description, full_description;
};
struct CollectionHit {
  Collection collection;
  std::vector<std::string> models;  // "owner/name" of those that the viewer may see.
};

class DiscoveryStore {
 public:
  virtual ~DiscoveryStore() = default;

  // Models in which every word of the text begins a word of the name, description or README (or of
  // its stem), whose title holds every word, or whose title is similar to the text. Best first.
  // Text without letters or digits finds nothing.
  virtual Result<std::vector<SearchHit>> search_models(const ModelSearch& search) = 0;
  // In the order of `ids`. Unknown ones have no facts.
  virtual Result<std::vector<ModelFacts>> describe_models(std::span<const ModelId> ids,
                                                          const FactsBounds& bounds) = 0;
  // False also for an unknown model.
  virtual Result<bool> is_official(ModelId id) = 0;
  // kNotFound.
  virtual Status set_official(ModelId id, bool is_official) = 0;
  virtual Result<std::int64_t> count_models(AccountId owner) = 0;

  // Ready ones. Newest first.
  virtual Result<std::vector<Version>> page_versions(
      ModelId model, const std::optional<PageStart<VersionId>>& start, std::size_t limit) = 0;
  virtual Result<std::vector<Deployment>> page_deployments(
      AccountId owner, const std::optional<PageStart<DeploymentId>>& start, std::size_t limit) = 0;

  // Collections. create: kAlreadyExists. Others: kNotFound.
  virtual Result<Collection> create_collection(const Collection& collection) = 0;
  virtual Result<Collection> get_collection(std::string_view slug) = 0;
  virtual Status update_collection(std::string_view slug, const CollectionChange& change) = 0;
  virtual Status delete_collection(std::string_view slug) = 0;
  // By slug, those after `after` (or, when `is_backward`, the last ones before it).
  virtual Result<std::vector<Collection>> list_collections(std::string_view after, bool is_backward,
                                                           std::size_t limit) = 0;
  // At `position` (0 = first), else at the end; a model that is in it already is moved.
  // kResourceExhausted when it is full.
  virtual Status add_to_collection(std::string_view slug, ModelId model,
                                   std::optional<std::int32_t> position) = 0;
  // kNotFound also when the model was not in it.
  virtual Status remove_from_collection(std::string_view slug, ModelId model) = 0;
  // In order, those that the viewer may see (0 = public ones). Without their READMEs, as are hits
  // of a search.
  virtual Result<std::vector<Model>> list_collection_models(std::int64_t collection,
                                                            AccountId viewer) = 0;
  // Collections in whose slug, name or description every word occurs. By slug.
  virtual Result<std::vector<CollectionHit>> search_collections(std::string_view text,
                                                                AccountId viewer,
                                                                std::size_t limit) = 0;

  // Examples. add: the first of a model becomes its default. A version that is not shown is taken
  // from the prediction's result. The prediction is kept (RetentionStore::keep_prediction) from
  // then on, until remove_example(): release_prediction() has no effect meanwhile. kAlreadyExists;
  // kNotFound without the model or the prediction; kFailedPrecondition when its data was removed;
  // kResourceExhausted when the model has kMaxExamplesPerModel.
  virtual Status add_example(const Example& example) = 0;
  // kNotFound.
  virtual Result<Example> get_example(ModelId model, PredictionId prediction) = 0;
  // The example of this prediction, if it is one of a model that the viewer may see.
  virtual Result<std::optional<Example>> find_example(PredictionId prediction,
                                                      AccountId viewer) = 0;
  // Newest first.
  virtual Result<std::vector<Example>> list_examples(
      ModelId model, const std::optional<PageStart<PredictionId>>& start, std::size_t limit) = 0;
  // Of one version, also when its model was deleted, in no order.
  virtual Result<std::vector<ExampleKey>> list_examples_of_version(VersionId version,
                                                                   std::size_t limit) = 0;
  // Also of a deleted model. The prediction is not kept any more. If it was the default, the oldest
  // remaining one is. kNotFound.
  virtual Status remove_example(ModelId model, PredictionId prediction) = 0;
  // kNotFound when it is no example of the model.
  virtual Status set_default_example(ModelId model, PredictionId prediction) = 0;
};

}  // namespace mimeo::store
