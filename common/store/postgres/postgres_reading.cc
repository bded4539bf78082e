// The part of PostgresStore that reads predictions and usage.

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/store/postgres/batch.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_reading.h"

namespace mimeo::store {
namespace {

// In the order of kViews.
PredictionView view_of(const pqxx::row& row) {
  RowReader reader(row);
  PredictionView view;
  view.id = reader.uuid();
  view.account = reader.integer();
  view.target = reader.integer();
  view.model_owner = reader.text();
  view.model_name = reader.text();
  view.version = reader.maybe_version().value_or(VersionId());
  const std::string deployment_owner = reader.text();
  const std::string deployment = reader.text();
  if (!deployment.empty()) view.deployment = absl::StrCat(deployment_owner, "/", deployment);
  view.source = reader.integer_as<PredictionSource>();
  view.is_training = reader.boolean();
  view.destination = reader.text();
  view.created_at = reader.time();
  view.deadline_at = reader.maybe_time();
  view.webhook = reader.text();
  view.webhook_events = reader.integer_as<std::uint8_t>();
  view.stream_token = reader.text();
  const auto active_state = reader.maybe_integer();
  const auto active_attempt = reader.maybe_integer();
  const auto active_started = reader.maybe_time();
  const auto status = reader.maybe_integer();
  const auto attempt = reader.maybe_integer();
  const auto started = reader.maybe_time();
  view.completed_at = reader.maybe_time();
  view.error = reader.text();
  view.metrics = reader.text();
  view.data_removed = status.has_value() && reader.next_is_null();  // Its input went first.
  view.input = reader.text();
  if (const std::string public_input = reader.text(); !public_input.empty()) {
    view.input = public_input;
  }
  view.output = reader.text();
  view.logs = reader.text();
  if (status.has_value()) {
    view.status = static_cast<PredictionStatus>(*status);
    view.attempt = static_cast<std::uint32_t>(attempt.value_or(0));
    view.started_at = started;
  } else {
    view.status = public_status(static_cast<ActiveState>(active_state.value_or(0)),
                                active_started.has_value());
    view.attempt = static_cast<std::uint32_t>(active_attempt.value_or(0));
    view.started_at = active_started;
  }
  return view;
}

std::vector<PredictionView> read_views(Connection& connection, std::span<const Uuid> ids) {
  std::vector<PredictionView> views;
  if (ids.empty()) return views;
  const auto [low, high] = bounds_of(ids);
  SqlArray array;
  for (const Uuid& id : ids) array.add(id);
  for (const pqxx::row& row : connection.run(kViews, array.take(), low.hex(), high.hex())) {
    views.push_back(view_of(row));
  }
  return views;
}

// The ids of one page. Its text depends on which parts the filter has, so that each combination has
// a plan of its own, made once per connection (with a partition a day, planning takes longer than
// the page). The values are parameters, but for those that choose a partial index.
std::vector<Uuid> read_page(Connection& connection, const PredictionFilter& filter) {
  std::vector<std::string> values = {std::to_string(filter.account)};
  std::string where = "account_id = $1::bigint";
  std::string name = "predictions_page_";  // Says which parts there are: Postgres cuts long names.
  const auto add = [&](char letter, std::string_view condition, std::string value,
                       std::string_view type) {
    name += letter;
    values.push_back(std::move(value));
    absl::StrAppend(&where, " AND ", absl::string_view(condition.data(), condition.size()), " $",
                    values.size(), "::", absl::string_view(type.data(), type.size()));
  };
  name += filter.trainings ? 't' : 'p';
  absl::StrAppend(&where, filter.trainings ? " AND is_training" : " AND NOT is_training");
  // created_at decides; the time within the id only spares partitions. The two differ by the time
  // from taking the id to taking the time, and by what a caller made of it.
  constexpr std::chrono::hours kMargin{1};
  if (filter.created_after.has_value()) {
    add('a', "created_at >=", sql_time(*filter.created_after), "timestamptz");
    add('a', "id >=", Uuid::lowest_at(*filter.created_after - kMargin).hex(), "uuid");
  }
  if (filter.created_before.has_value()) {
    add('b', "created_at <", sql_time(*filter.created_before), "timestamptz");
    add('b', "id <", Uuid::lowest_at(*filter.created_before + kMargin).hex(), "uuid");
  }
  if (filter.source.has_value()) {
    const auto source = static_cast<int>(*filter.source);
    absl::StrAppend(&name, "s", source);
    absl::StrAppend(&where, " AND source = ", source);
  }
  if (filter.deployment.has_value()) {
    add('d', "deployment_id =", std::to_string(*filter.deployment), "bigint");
  }
  const bool upwards = !filter.after.is_nil();
  if (upwards) add('u', "id >", filter.after.hex(), "uuid");
  if (!filter.before.is_nil()) add('c', "id <", filter.before.hex(), "uuid");
  absl::StrAppend(&name, "_", filter.limit);
  const std::string text = absl::StrCat("SELECT id FROM predictions WHERE ", where, " ORDER BY id ",
                                        upwards ? "ASC" : "DESC", " LIMIT ", filter.limit);
  std::vector<Uuid> ids;
  const Statement statement{name.c_str(), text.c_str()};
  for (const pqxx::row& row :
       connection.run(statement, pqxx::prepare::make_dynamic_params(values))) {
    ids.push_back(RowReader(row).uuid());
  }
  if (upwards) std::reverse(ids.begin(), ids.end());
  return ids;
}

ActiveRow active_row_of(const pqxx::row& row) {
  RowReader reader(row);
  ActiveRow active;
  active.id = reader.uuid();
  active.cell = reader.integer_as<CellId>();
  active.target = reader.integer();
  active.account = reader.integer();
  active.priority = reader.integer_as<Priority>();
  active.state = reader.integer_as<ActiveState>();
  active.attempt = reader.integer_as<std::uint32_t>();
  active.infra_failures = reader.integer_as<std::uint32_t>();
  active.instance = reader.uuid();
  active.worker = reader.uuid();
  active.incarnation = reader.integer_as<std::uint64_t>();
  active.created_at = reader.time();
  active.deadline_at = reader.maybe_time();
  active.assigned_at = reader.maybe_time();
  active.started_at = reader.maybe_time();
  active.cancel_at = reader.maybe_time();
  active.run_limit = std::chrono::milliseconds(reader.integer());
  active.retry = reader.integer_as<RetryPolicy>();
  active.output_seen = reader.boolean();
  return active;
}

}  // namespace

Result<PredictionView> PostgresStore::get(PredictionId id, AccountId account) {
  using Answer = Result<PredictionView>;
  return pool_->with("reading a prediction", [&](Connection& connection) -> Answer {
    auto views = read_views(connection, {&id, 1});
    if (views.empty() || (account != 0 && views[0].account != account)) {
      return absl::NotFoundError("no such prediction");
    }
    return std::move(views[0]);
  });
}

Result<PredictionView> PostgresStore::get_by_stream_token(PredictionId id, std::string_view token) {
  MIMEO_ASSIGN_OR_RETURN(auto view, get(id, 0));
  // Tokens are long and random: an attacker gains nothing from how far a comparison came.
  if (token.empty() || view.stream_token != token) return absl::NotFoundError("no such stream");
  return view;
}

Result<std::string> PostgresStore::get_input(PredictionId id) {
  using Answer = Result<std::string>;
  return pool_->with("reading an input", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(kGetInput, id.hex());
    if (rows.empty()) {
      return absl::NotFoundError("no such prediction, or its input was removed");
    }
    const pqxx::row row = rows[0];
    return RowReader(row).text();
  });
}

Result<std::vector<PredictionView>> PostgresStore::list(const PredictionFilter& filter) {
  using Answer = Result<std::vector<PredictionView>>;
  return pool_->with("listing predictions", [&](Connection& connection) -> Answer {
    return read_views(connection, read_page(connection, filter));
  });
}

Result<std::vector<PredictionId>> PostgresStore::which_are_terminal(
    std::span<const PredictionId> ids) {
  using Answer = Result<std::vector<PredictionId>>;
  return pool_->with("looking for results", [&](Connection& connection) -> Answer {
    std::vector<PredictionId> terminal;
    if (ids.empty()) return terminal;
    const auto [low, high] = bounds_of(ids);
    SqlArray array;
    for (const PredictionId& id : ids) array.add(id);
    for (const pqxx::row& row :
         connection.run(kWhichAreTerminal, array.take(), low.hex(), high.hex())) {
      terminal.push_back(RowReader(row).uuid());
    }
    return terminal;
  });
}

Result<std::vector<ActiveRow>> PostgresStore::scan_active(CellId cell, PredictionId after,
                                                          std::size_t limit) {
  using Answer = Result<std::vector<ActiveRow>>;
  return pool_->with("scanning active predictions", [&](Connection& connection) -> Answer {
    std::vector<ActiveRow> page;
    const pqxx::result rows = connection.run(kScanActive, after.hex(), cell, limit);
    page.reserve(rows.size());
    for (const pqxx::row& row : rows) page.push_back(active_row_of(row));
    return page;
  });
}

Result<std::int64_t> PostgresStore::count_active(AccountId account) {
  using Answer = Result<std::int64_t>;
  return pool_->with("counting active predictions", [&](Connection& connection) -> Answer {
    return connection.run(kCountActive, account)[0][0].as<std::int64_t>();
  });
}

}  // namespace mimeo::store
