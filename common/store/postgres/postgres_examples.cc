// The part of PostgresStore for examples.

#include <algorithm>

#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/example_rows.h"
#include "common/store/postgres/in_transaction.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/row_lists.h"
#include "common/store/postgres/statements_examples.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

Status no_such_example() { return absl::NotFoundError("no such example"); }

ExampleKey read_key(RowReader& reader) {
  ExampleKey key;
  key.model = reader.integer();
  key.prediction = reader.uuid();
  return key;
}

}  // namespace

Example read_example(RowReader& reader) {
  Example example;
  PredictionView& view = example.prediction;
  example.model = reader.integer();
  view.id = reader.uuid();
  view.account = reader.integer();
  view.version = reader.maybe_version().value_or(VersionId());
  example.added_at = reader.time();
  view.source = reader.integer_as<PredictionSource>();
  view.created_at = reader.time();
  view.started_at = reader.maybe_time();
  view.completed_at = reader.time();
  view.input = reader.text();
  view.output = reader.text();
  view.logs = reader.text();
  view.metrics = reader.text();
  view.model_owner = reader.text();
  view.model_name = reader.text();
  view.status = PredictionStatus::kSucceeded;
  return example;
}

Status PostgresStore::add_example(const Example& example) {
  return pool_->with("adding an example", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    const pqxx::result model = connection.run_in(transaction, kLockModelOfExamples, example.model);
    if (model.empty()) return absl::NotFoundError("no such model");
    if (model[0][0].as<std::size_t>() >= kMaxExamplesPerModel) {
      return absl::ResourceExhaustedError("the model has as many examples as it can have");
    }
    const PredictionView& p = example.prediction;
    MIMEO_RETURN_IF_ERROR(keep_in(connection, transaction, p.id));
    connection.run_in(transaction, kAddExample, example.model, p.id.hex(), p.account,
                      p.version.is_nil() ? Param() : Param(sql_version(p.version)),
                      sql_time(example.added_at), static_cast<int>(p.source),
                      sql_time(p.created_at), sql_time(p.started_at),
                      sql_time(p.completed_at.value_or(p.created_at)), sanitize_text(p.input),
                      sanitize_text(p.output), sanitize_text(p.logs), sanitize_text(p.metrics));
    connection.run_in(transaction, kRefreshDefaultExample, example.model);
    transaction.commit();
    return absl::OkStatus();
  });
}

Result<Example> PostgresStore::get_example(ModelId model, PredictionId prediction) {
  return pool_->with("reading an example", [&](Connection& connection) -> Result<Example> {
    const pqxx::result rows = connection.run(kGetExample, model, prediction.hex());
    if (rows.empty()) return no_such_example();
    return read_all(rows, read_example).at(0);
  });
}

Result<std::optional<Example>> PostgresStore::find_example(PredictionId prediction,
                                                           AccountId viewer) {
  using Answer = Result<std::optional<Example>>;
  return pool_->with("looking for an example", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(kFindExample, prediction.hex(), viewer);
    if (rows.empty()) return std::optional<Example>();
    return std::optional<Example>(read_all(rows, read_example).at(0));
  });
}

Result<std::vector<Example>> PostgresStore::list_examples(
    ModelId model, const std::optional<PageStart<PredictionId>>& start, std::size_t limit) {
  using Answer = Result<std::vector<Example>>;
  return pool_->with("listing examples", [&](Connection& connection) -> Answer {
    const bool is_backward = start && start->is_backward;
    const pqxx::result rows = connection.run(is_backward ? kExamplesBefore : kExamplesBehind, model,
                                             start ? Param(sql_time(start->at)) : Param(),
                                             start ? Param(start->key.hex()) : Param(), limit);
    std::vector<Example> page = read_all(rows, read_example);
    if (is_backward) std::reverse(page.begin(), page.end());
    return page;
  });
}

Result<std::vector<ExampleKey>> PostgresStore::list_examples_of_version(VersionId version,
                                                                        std::size_t limit) {
  using Answer = Result<std::vector<ExampleKey>>;
  return pool_->with("listing examples", [&](Connection& connection) -> Answer {
    return read_all(connection.run(kExamplesOfVersion, sql_version(version), limit), read_key);
  });
}

Status PostgresStore::remove_example(ModelId model, PredictionId prediction) {
  return pool_->with("removing an example", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    connection.run_in(transaction, kLockAnyModelOfExamples, model);
    const pqxx::result removed =
        connection.run_in(transaction, kRemoveExample, model, prediction.hex());
    if (removed.affected_rows() == 0) return no_such_example();
    release_in(connection, transaction, prediction);
    connection.run_in(transaction, kRefreshDefaultExample, model);
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::set_default_example(ModelId model, PredictionId prediction) {
  return pool_->with("choosing an example", [&](Connection& connection) -> Status {
    const pqxx::result changed = connection.run(kSetDefaultExample, model, prediction.hex());
    return changed.affected_rows() > 0 ? absl::OkStatus() : no_such_example();
  });
}

}  // namespace mimeo::store
