// The part of PostgresStore for collections, and pages of versions and deployments.

#include <absl/strings/str_split.h>

#include <algorithm>

#include "common/store/postgres/catalog_rows.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/row_lists.h"
#include "common/store/postgres/statements_discovery.h"
#include "common/store/search_words.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

Status no_such_collection() { return absl::NotFoundError("no such collection"); }

// In the order of MIMEO_COLLECTION_COLUMNS.
Collection read_collection(RowReader& reader) {
  Collection collection;
  collection.id = reader.integer();
  collection.slug = reader.text();
  collection.name = reader.text();
  collection.description = reader.text();
  collection.full_description = reader.text();
  collection.created_at = reader.time();
  return collection;
}

Param clean(const std::optional<std::string>& text) {
  return text.has_value() ? Param(sanitize_text(*text)) : Param();
}

// What was read upwards, newest first.
template <class T>
std::vector<T> turned(std::vector<T> rows, bool is_backward) {
  if (is_backward) std::reverse(rows.begin(), rows.end());
  return rows;
}

constexpr const char* kLatest = "infinity";

}  // namespace

Result<std::vector<Version>> PostgresStore::page_versions(
    ModelId model, const std::optional<PageStart<VersionId>>& start, std::size_t limit) {
  using Answer = Result<std::vector<Version>>;
  return pool_->with("listing versions", [&](Connection& connection) -> Answer {
    const bool is_backward = start && start->is_backward;
    const pqxx::result rows = connection.run(is_backward ? kVersionsBefore : kVersionsBehind, model,
                                             start ? sql_time(start->at) : kLatest,
                                             sql_version(start ? start->key : VersionId()), limit);
    return turned(read_all(rows, read_version), is_backward);
  });
}

Result<std::vector<Deployment>> PostgresStore::page_deployments(
    AccountId owner, const std::optional<PageStart<DeploymentId>>& start, std::size_t limit) {
  using Answer = Result<std::vector<Deployment>>;
  return pool_->with("listing deployments", [&](Connection& connection) -> Answer {
    const bool is_backward = start && start->is_backward;
    const pqxx::result rows = connection.run(is_backward ? kDeploymentsBefore : kDeploymentsBehind,
                                             owner, start ? sql_time(start->at) : kLatest,
                                             start ? start->key : DeploymentId{0}, limit);
    return turned(read_all(rows, read_deployment), is_backward);
  });
}

Result<Collection> PostgresStore::create_collection(const Collection& collection) {
  return pool_->with("creating a collection", [&](Connection& connection) -> Result<Collection> {
    const pqxx::result rows =
        connection.run(kCreateCollection, collection.slug, sanitize_text(collection.name),
                       sanitize_text(collection.description),
                       sanitize_text(collection.full_description), sql_time(collection.created_at));
    return read_all(rows, read_collection).at(0);
  });
}

Result<Collection> PostgresStore::get_collection(std::string_view slug) {
  return pool_->with("reading a collection", [&](Connection& connection) -> Result<Collection> {
    const pqxx::result rows = connection.run(kGetCollection, sanitize_text(slug));
    if (rows.empty()) return no_such_collection();
    return read_all(rows, read_collection).at(0);
  });
}

Status PostgresStore::update_collection(std::string_view slug, const CollectionChange& change) {
  return pool_->with("changing a collection", [&](Connection& connection) -> Status {
    const pqxx::result result =
        connection.run(kUpdateCollection, sanitize_text(slug), clean(change.name),
                       clean(change.description), clean(change.full_description));
    return result.affected_rows() > 0 ? absl::OkStatus() : no_such_collection();
  });
}

Status PostgresStore::delete_collection(std::string_view slug) {
  return pool_->with("deleting a collection", [&](Connection& connection) -> Status {
    const pqxx::result result = connection.run(kDeleteCollection, sanitize_text(slug));
    return result.affected_rows() > 0 ? absl::OkStatus() : no_such_collection();
  });
}

Result<std::vector<Collection>> PostgresStore::list_collections(std::string_view after,
                                                                bool is_backward,
                                                                std::size_t limit) {
  using Answer = Result<std::vector<Collection>>;
  return pool_->with("listing collections", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(is_backward ? kCollectionsBefore : kCollectionsBehind,
                                             sanitize_text(after), limit);
    return turned(read_all(rows, read_collection), is_backward);
  });
}

Status PostgresStore::add_to_collection(std::string_view slug, ModelId model,
                                        std::optional<std::int32_t> position) {
  return pool_->with("filling a collection", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    const pqxx::result collection =
        connection.run_in(transaction, kLockCollection, sanitize_text(slug));
    if (collection.empty()) return no_such_collection();
    const auto id = collection[0][0].as<std::int64_t>();
    if (connection.run_in(transaction, kShareModel, model).empty()) {
      return absl::NotFoundError("no such model");
    }
    std::vector<std::int64_t> members;
    for (const pqxx::row& row : connection.run_in(transaction, kCollectionMembers, id)) {
      members.push_back(row[0].as<std::int64_t>());
    }
    std::erase(members, model);
    if (members.size() >= kMaxModelsPerCollection) {
      return absl::ResourceExhaustedError("the collection is full");
    }
    const auto end = static_cast<std::int32_t>(members.size());
    members.insert(members.begin() + std::clamp(position.value_or(end), 0, end), model);
    connection.run_in(transaction, kClearCollection, id);
    connection.run_in(transaction, kFillCollection, id, sql_numbers(members));
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::remove_from_collection(std::string_view slug, ModelId model) {
  return pool_->with("emptying a collection", [&](Connection& connection) -> Status {
    const pqxx::result result = connection.run(kRemoveFromCollection, sanitize_text(slug), model);
    if (result.affected_rows() > 0) return absl::OkStatus();
    return absl::NotFoundError("the model is not in the collection");
  });
}

Result<std::vector<Model>> PostgresStore::list_collection_models(std::int64_t collection,
                                                                 AccountId viewer) {
  using Answer = Result<std::vector<Model>>;
  return pool_->with("listing a collection", [&](Connection& connection) -> Answer {
    return read_all(connection.run(kCollectionModels, collection, viewer), read_model);
  });
}

Result<std::vector<CollectionHit>> PostgresStore::search_collections(std::string_view text,
                                                                     AccountId viewer,
                                                                     std::size_t limit) {
  using Answer = Result<std::vector<CollectionHit>>;
  const std::vector<std::string> words = search_words(text, kMaxSearchWords);
  if (words.empty()) return std::vector<CollectionHit>();
  return pool_->with("searching collections", [&](Connection& connection) -> Answer {
    SqlArray array;
    for (const std::string& word : words) array.add_text(word);
    std::vector<CollectionHit> hits;
    for (const pqxx::row& row : connection.run(kSearchCollections, array.take(), viewer, limit)) {
      RowReader reader(row);
      CollectionHit& hit = hits.emplace_back();
      hit.collection = read_collection(reader);
      hit.models = absl::StrSplit(reader.text(), ' ', absl::SkipEmpty());
    }
    return hits;
  });
}

}  // namespace mimeo::store
