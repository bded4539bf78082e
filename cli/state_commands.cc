// mimeo prediction, mimeo workers, mimeo instances, mimeo cells: what goes on.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "common/base/time_format.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string_view word(store::WorkerState state) {
  switch (state) {
    case store::WorkerState::kReady:
      return "ready";
    case store::WorkerState::kDraining:
      return "draining";
    case store::WorkerState::kLost:
      return "lost";
    case store::WorkerState::kGone:
      return "gone";
  }
  return "unknown";
}

// As the API shows it: null when empty, the text itself when it is no JSON.
Json json_or_text(const std::string& text) {
  if (text.empty()) return Json();
  Json parsed = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? Json(text) : parsed;
}

Status show_prediction(CommandLine& line, const std::string& text) {
  const auto id = PredictionId::parse(text);
  if (!id.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", text, "` is no prediction id: it has 26 characters"));
  }
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  const auto found = stores.predictions.get(*id, 0);
  if (absl::IsNotFound(found.status())) {
    return absl::NotFoundError(absl::StrCat("there is no prediction ", text));
  }
  MIMEO_RETURN_IF_ERROR(found.status());
  const store::PredictionView& v = *found;
  std::string account = absl::StrCat(v.account);
  if (const auto owner = stores.catalog.get_account(v.account); owner.ok()) {
    account = owner->username;
  }
  Json object = {{"id", text},
                 {"status", to_string(v.status)},
                 {"account", account},
                 {"model", absl::StrCat(v.model_owner, "/", v.model_name)},
                 {"version", v.version.hex()},
                 {"deployment", v.deployment.empty() ? Json() : Json(v.deployment)},
                 {"attempt", v.attempt},
                 {"created_at", to_rfc3339(v.created_at)},
                 {"started_at", time_or_null(v.started_at)},
                 {"completed_at", time_or_null(v.completed_at)},
                 {"deadline_at", time_or_null(v.deadline_at)},
                 {"error", v.error.empty() ? Json() : Json(v.error)},
                 {"metrics", json_or_text(v.metrics)},
                 {"input", json_or_text(v.input)},
                 {"output", json_or_text(v.output)},
                 {"logs", v.logs},
                 {"data_removed", v.data_removed},
                 {"webhook", v.webhook.empty() ? Json() : Json(v.webhook)}};
  line.surroundings().out << object.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  return absl::OkStatus();
}

Result<Json> list_workers(CommandLine& line) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto workers, stores.fleet.list_workers(0));
  Json rows = Json::array();
  for (const store::WorkerRow& w : workers) {
    rows.push_back({{"id", w.id.str()},
                    {"hostname", w.hostname},
                    {"cell", w.cell},
                    {"state", word(w.state)},
                    {"since", to_rfc3339(w.state_since)},
                    {"incarnation", w.incarnation}});
  }
  return rows;
}

Result<Json> list_instances(CommandLine& line) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto instances, stores.fleet.list_live_instances(0));
  Json rows = Json::array();
  for (const store::InstanceRow& i : instances) {
    std::string gpus;
    for (const std::uint32_t gpu : i.gpu_indices) {
      absl::StrAppend(&gpus, gpus.empty() ? "" : ",", gpu);
    }
    rows.push_back({{"id", i.id.str()},
                    {"state", to_string(i.state)},
                    {"since", to_rfc3339(i.state_since)},
                    {"target", i.target},
                    {"version", i.version.hex().substr(0, 12)},
                    {"release", i.release},
                    {"hardware", i.sku},
                    {"gpus", gpus},
                    {"worker", i.worker.str()},
                    {"detail", i.detail}});
  }
  return rows;
}

Result<Json> list_cells(CommandLine& line) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto cells, stores.fleet.list_cells());
  Json rows = Json::array();
  for (const store::CellLease& cell : cells) {
    rows.push_back({{"cell", cell.cell},
                    {"held", cell.is_held},
                    {"owner", cell.owner.is_nil() ? Json() : Json(cell.owner.str())},
                    {"address", cell.owner_addr},
                    {"epoch", cell.epoch}});
  }
  return rows;
}

}  // namespace

void add_state_commands(CLI::App& app, CommandLine& line) {
  auto* predictions = app.add_subcommand("prediction", "Predictions");
  predictions->require_subcommand(1);
  auto* show = predictions->add_subcommand("show", "Everything about one, as JSON");
  const auto id = std::make_shared<std::string>();
  show->add_option("id", *id, "Its 26 characters")->required();
  line.on(*show, [&line, id] { return show_prediction(line, *id); });
  line.on_list(*app.add_subcommand("workers", "The machines that run instances"),
               [&line] { return list_workers(line); });
  line.on_list(*app.add_subcommand("instances", "Running copies of versions"),
               [&line] { return list_instances(line); });
  line.on_list(*app.add_subcommand("cells", "Which scheduler owns which workers"),
               [&line] { return list_cells(line); });
}

}  // namespace mimeo::cli
