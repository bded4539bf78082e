#include "common/store/memory/memory_discovery.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/store/facts_budget.h"
#include "common/store/search_words.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

Status no_such(const char* what) { return absl::NotFoundError(absl::StrCat("no such ", what)); }

// One page of `rows`, whose places in the order `key_of` gives.
template <class Row, class Key, class KeyOf>
std::vector<Row> page_of(std::vector<Row> rows, const std::optional<PageStart<Key>>& start,
                         std::size_t limit, const KeyOf& key_of) {
  const bool is_backward = start && start->is_backward;
  std::sort(rows.begin(), rows.end(),
            [&](const Row& a, const Row& b) { return key_of(a) > key_of(b); });
  if (start) {
    const auto from = std::pair(start->at, start->key);
    std::erase_if(rows, [&](const Row& row) {
      return is_backward ? key_of(row) <= from : key_of(row) >= from;
    });
  }
  if (rows.size() > limit) {
    const auto surplus = static_cast<std::ptrdiff_t>(rows.size() - limit);
    if (is_backward) {
      rows.erase(rows.begin(), rows.begin() + surplus);
    } else {
      rows.erase(rows.end() - surplus, rows.end());
    }
  }
  return rows;
}

std::size_t size_of(const std::optional<Version>& version) {
  return version ? 1 + version->openapi_schema.size() + version->config.size() : 0;
}

std::size_t size_of(const std::optional<Example>& example) {
  if (!example) return 0;
  const PredictionView& view = example->prediction;
  return 1 + view.input.size() + view.output.size() + view.logs.size() + view.metrics.size();
}

}  // namespace

const Model* MemoryDiscovery::find(ModelId id) const {
  const auto found = store_.models_.find(id);
  if (found == store_.models_.end() || found->second.is_deleted) return nullptr;
  return &found->second.model;
}

bool MemoryDiscovery::is_visible(const Model& model, AccountId viewer) const {
  return model.visibility == Visibility::kPublic || model.owner_id == viewer;
}

Result<std::vector<SearchHit>> MemoryDiscovery::search_models(const ModelSearch& search) {
  const std::scoped_lock lock(store_.mutex_);
  const bool is_backward = search.start && search.start->is_backward;
  std::vector<SearchHit> hits;
  for (const auto& [id, record] : store_.models_) {
    const AccountId viewer = search.include_private ? search.viewer : 0;
    if (record.is_deleted || !is_visible(record.model, viewer)) continue;
    const std::optional<double> score = search_score(search.text, record.model);
    if (!score) continue;
    if (search.start) {
      const auto from = std::pair(search.start->score, search.start->id);
      const auto here = std::pair(*score, id);
      if (is_backward ? here <= from : here >= from) continue;
    }
    hits.push_back({store_.listed(record), *score});
  }
  std::sort(hits.begin(), hits.end(), [](const SearchHit& a, const SearchHit& b) {
    return std::pair(a.score, a.model.id) > std::pair(b.score, b.model.id);
  });
  if (hits.size() > search.limit) {
    if (is_backward) {
      hits.erase(hits.begin(), hits.end() - static_cast<std::ptrdiff_t>(search.limit));
    } else {
      hits.resize(search.limit);
    }
  }
  return hits;
}

std::optional<Version> MemoryDiscovery::latest_of(const Model& model) const {
  if (!model.latest_version) return std::nullopt;
  const auto found = store_.versions_.find(*model.latest_version);
  if (found == store_.versions_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> MemoryDiscovery::tags_of(ModelId id) const {
  std::vector<std::string> tags;
  for (const auto& [slug, record] : collections_) {
    if (std::find(record.models.begin(), record.models.end(), id) != record.models.end()) {
      tags.push_back(slug);
    }
  }
  return tags;
}

Result<std::vector<ModelFacts>> MemoryDiscovery::describe_models(std::span<const ModelId> ids,
                                                                 const FactsBounds& bounds) {
  const std::scoped_lock lock(store_.mutex_);
  FactsBudget budget(bounds);
  std::vector<ModelFacts> all;
  for (const ModelId id : ids) {
    ModelFacts& facts = all.emplace_back();
    const Model* model = find(id);
    if (model == nullptr) continue;
    facts.is_official = store_.official_models_.contains(id);
    facts.tags = tags_of(id);
    facts.latest = latest_of(*model);
    if (model->default_example) {
      const auto example = examples_.find({id, *model->default_example});
      if (example != examples_.end()) facts.default_example = shown(example->second);
    }
    const FactsBudget::Share share =
        budget.next(size_of(facts.latest), size_of(facts.default_example));
    facts.is_cut = share.is_cut;
    if (!share.has_version) facts.latest.reset();
    if (!share.has_example) facts.default_example.reset();
  }
  return all;
}

Result<bool> MemoryDiscovery::is_official(ModelId id) {
  const std::scoped_lock lock(store_.mutex_);
  return store_.official_models_.contains(id);
}

Status MemoryDiscovery::set_official(ModelId id, bool is_official) {
  const std::scoped_lock lock(store_.mutex_);
  if (find(id) == nullptr) return no_such("model");
  if (is_official) {
    store_.official_models_.insert(id);
  } else {
    store_.official_models_.erase(id);
  }
  return absl::OkStatus();
}

Result<std::int64_t> MemoryDiscovery::count_models(AccountId owner) {
  const std::scoped_lock lock(store_.mutex_);
  return std::count_if(store_.models_.begin(), store_.models_.end(), [&](const auto& entry) {
    return !entry.second.is_deleted && entry.second.model.owner_id == owner;
  });
}

Result<std::vector<Version>> MemoryDiscovery::page_versions(
    ModelId model, const std::optional<PageStart<VersionId>>& start, std::size_t limit) {
  const std::scoped_lock lock(store_.mutex_);
  std::vector<Version> versions;
  for (const auto& [id, version] : store_.versions_) {
    if (version.model == model && version.state == VersionState::kReady) {
      versions.push_back(version);
    }
  }
  return page_of(std::move(versions), start, limit,
                 [](const Version& v) { return std::pair(v.created_at, v.id); });
}

Result<std::vector<Deployment>> MemoryDiscovery::page_deployments(
    AccountId owner, const std::optional<PageStart<DeploymentId>>& start, std::size_t limit) {
  const std::scoped_lock lock(store_.mutex_);
  std::vector<Deployment> deployments;
  for (const auto& [id, record] : store_.deployments_) {
    if (!record.is_deleted && record.deployment.owner_id == owner) {
      deployments.push_back(store_.shown(record));
    }
  }
  return page_of(std::move(deployments), start, limit,
                 [](const Deployment& d) { return std::pair(d.created_at, d.id); });
}

// --- collections ---

Result<Collection> MemoryDiscovery::create_collection(const Collection& collection) {
  const std::scoped_lock lock(store_.mutex_);
  if (collections_.contains(collection.slug)) {
    return absl::AlreadyExistsError("a collection of this name exists");
  }
  CollectionRecord record{collection, {}};
  record.collection.id = ++store_.last_id_;
  collections_.emplace(collection.slug, record);
  return record.collection;
}

Result<Collection> MemoryDiscovery::get_collection(std::string_view slug) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = collections_.find(slug);
  if (found == collections_.end()) return no_such("collection");
  return found->second.collection;
}

Status MemoryDiscovery::update_collection(std::string_view slug, const CollectionChange& change) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = collections_.find(slug);
  if (found == collections_.end()) return no_such("collection");
  Collection& collection = found->second.collection;
  collection.name = change.name.value_or(collection.name);
  collection.description = change.description.value_or(collection.description);
  collection.full_description = change.full_description.value_or(collection.full_description);
  return absl::OkStatus();
}

Status MemoryDiscovery::delete_collection(std::string_view slug) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = collections_.find(slug);
  if (found == collections_.end()) return no_such("collection");
  collections_.erase(found);
  return absl::OkStatus();
}

Result<std::vector<Collection>> MemoryDiscovery::list_collections(std::string_view after,
                                                                  bool is_backward,
                                                                  std::size_t limit) {
  const std::scoped_lock lock(store_.mutex_);
  std::vector<Collection> page;
  for (const auto& [slug, record] : collections_) {
    if (is_backward ? slug < after : slug > after) page.push_back(record.collection);
  }
  if (page.size() > limit) {
    if (is_backward) {
      page.erase(page.begin(), page.end() - static_cast<std::ptrdiff_t>(limit));
    } else {
      page.resize(limit);
    }
  }
  return page;
}

Status MemoryDiscovery::add_to_collection(std::string_view slug, ModelId model,
                                          std::optional<std::int32_t> position) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = collections_.find(slug);
  if (found == collections_.end()) return no_such("collection");
  if (find(model) == nullptr) return no_such("model");
  std::vector<ModelId> members = found->second.models;
  std::erase(members, model);
  if (members.size() >= kMaxModelsPerCollection) {
    return absl::ResourceExhaustedError("the collection is full");
  }
  const auto end = static_cast<std::int32_t>(members.size());
  members.insert(members.begin() + std::clamp(position.value_or(end), 0, end), model);
  found->second.models = std::move(members);
  return absl::OkStatus();
}

Status MemoryDiscovery::remove_from_collection(std::string_view slug, ModelId model) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = collections_.find(slug);
  if (found == collections_.end() || std::erase(found->second.models, model) == 0) {
    return absl::NotFoundError("the model is not in the collection");
  }
  return absl::OkStatus();
}

Result<std::vector<Model>> MemoryDiscovery::list_collection_models(std::int64_t collection,
                                                                   AccountId viewer) {
  const std::scoped_lock lock(store_.mutex_);
  std::vector<Model> models;
  for (const auto& [slug, record] : collections_) {
    if (record.collection.id != collection) continue;
    for (const ModelId id : record.models) {
      const Model* model = find(id);
      if (model == nullptr || !is_visible(*model, viewer)) continue;
      models.push_back(store_.listed(store_.models_.at(id)));
    }
  }
  return models;
}

Result<std::vector<CollectionHit>> MemoryDiscovery::search_collections(std::string_view text,
                                                                       AccountId viewer,
                                                                       std::size_t limit) {
  const std::scoped_lock lock(store_.mutex_);
  const std::vector<std::string> words = search_words(text, kMaxSearchWords);
  std::vector<CollectionHit> hits;
  for (const auto& [slug, record] : collections_) {
    if (words.empty() || hits.size() >= limit) break;
    const Collection& c = record.collection;
    const std::string body =
        absl::AsciiStrToLower(absl::StrCat(c.slug, " ", c.name, " ", c.description));
    if (!std::all_of(words.begin(), words.end(), [&](const std::string& word) {
          return body.find(word) != std::string::npos;
        })) {
      continue;
    }
    CollectionHit& hit = hits.emplace_back();
    hit.collection = c;
    for (const ModelId id : record.models) {
      const Model* model = find(id);
      if (model == nullptr || !is_visible(*model, viewer)) continue;
      hit.models.push_back(absl::StrCat(model->owner, "/", model->name));
    }
  }
  return hits;
}

// --- examples ---

Example MemoryDiscovery::shown(const Example& example) const {
  Example copy = example;
  const Model& model = store_.models_.at(example.model).model;
  copy.prediction.model_owner = model.owner;
  copy.prediction.model_name = model.name;
  copy.prediction.status = PredictionStatus::kSucceeded;
  if (store_.official_models_.contains(example.model)) copy.prediction.version = {};
  return copy;
}

void MemoryDiscovery::refresh_default_example(ModelId id) {
  std::optional<PredictionId>& chosen = store_.models_.at(id).model.default_example;
  if (chosen && examples_.contains({id, *chosen})) return;
  const Example* oldest = nullptr;
  for (const auto& [key, example] : examples_) {
    if (key.first != id) continue;
    if (oldest == nullptr || example.added_at < oldest->added_at) oldest = &example;
  }
  chosen = oldest == nullptr ? std::nullopt : std::optional(oldest->prediction.id);
}

Status MemoryDiscovery::add_example(const Example& example) {
  const std::scoped_lock lock(store_.mutex_);
  if (find(example.model) == nullptr) return no_such("model");
  const auto count = std::count_if(examples_.begin(), examples_.end(), [&](const auto& entry) {
    return entry.first.first == example.model;
  });
  if (static_cast<std::size_t>(count) >= kMaxExamplesPerModel) {
    return absl::ResourceExhaustedError("the model has as many examples as it can have");
  }
  const PredictionId id = example.prediction.id;
  if (!store_.predictions_.contains(id)) return no_such("prediction");
  if (store_.without_content_.contains(id)) {
    return absl::FailedPreconditionError("the prediction's data was removed");
  }
  Example stored = example;
  const auto result = store_.results_.find(id);
  if (stored.prediction.version.is_nil() && result != store_.results_.end()) {
    stored.prediction.version = result->second.version;
  }
  if (!examples_.emplace(std::pair(example.model, id), stored).second) {
    return absl::AlreadyExistsError("it is an example already");
  }
  store_.kept_.insert(id);
  store_.examples_.insert(id);
  refresh_default_example(example.model);
  return absl::OkStatus();
}

Result<Example> MemoryDiscovery::get_example(ModelId model, PredictionId prediction) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = examples_.find({model, prediction});
  if (found == examples_.end() || find(model) == nullptr) return no_such("example");
  return shown(found->second);
}

Result<std::optional<Example>> MemoryDiscovery::find_example(PredictionId prediction,
                                                             AccountId viewer) {
  const std::scoped_lock lock(store_.mutex_);
  for (const auto& [key, example] : examples_) {
    const Model* model = find(key.first);
    if (key.second != prediction || model == nullptr || !is_visible(*model, viewer)) continue;
    return std::optional<Example>(shown(example));
  }
  return std::optional<Example>();
}

Result<std::vector<Example>> MemoryDiscovery::list_examples(
    ModelId model, const std::optional<PageStart<PredictionId>>& start, std::size_t limit) {
  const std::scoped_lock lock(store_.mutex_);
  std::vector<Example> examples;
  for (const auto& [key, example] : examples_) {
    if (key.first == model && find(model) != nullptr) examples.push_back(shown(example));
  }
  return page_of(std::move(examples), start, limit,
                 [](const Example& e) { return std::pair(e.added_at, e.prediction.id); });
}

Result<std::vector<ExampleKey>> MemoryDiscovery::list_examples_of_version(VersionId version,
                                                                          std::size_t limit) {
  const std::scoped_lock lock(store_.mutex_);
  std::vector<ExampleKey> keys;
  for (const auto& [key, example] : examples_) {
    if (keys.size() < limit && example.prediction.version == version) {
      keys.push_back({key.first, key.second});
    }
  }
  return keys;
}

Status MemoryDiscovery::remove_example(ModelId model, PredictionId prediction) {
  const std::scoped_lock lock(store_.mutex_);
  if (examples_.erase({model, prediction}) == 0) return no_such("example");
  store_.examples_.erase(prediction);
  store_.kept_.erase(prediction);
  refresh_default_example(model);
  return absl::OkStatus();
}

Status MemoryDiscovery::set_default_example(ModelId model, PredictionId prediction) {
  const std::scoped_lock lock(store_.mutex_);
  if (find(model) == nullptr || !examples_.contains({model, prediction})) {
    return no_such("example");
  }
  store_.models_.at(model).model.default_example = prediction;
  return absl::OkStatus();
}

}  // namespace mimeo::store
