// Examples of a model: predictions that its owner shows to everybody who sees the model, kept with
// their content and files until he removes them.

#include <utility>

#include "control-plane/api/body_fields.h"
#include "control-plane/api/example_files.h"
#include "control-plane/api/model_views.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 25;
constexpr std::size_t kLargestContent = 2U << 20;  // Every list of models shows it.

boost::asio::awaitable<Result<store::Model>> read_model(Api& api, Call& call) {
  auto read = [catalog = &api.parts.catalog, owner = call.param(0), name = call.param(1),
               viewer = call.viewer()] { return catalog->get_model(owner, name, viewer); };
  co_return co_await api.parts.pool.run(std::move(read));
}

boost::asio::awaitable<Result<store::Model>> read_own_model(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(store::Model model, co_await read_model(api, call));
  if (model.owner_id != call.viewer()) {
    co_return absl::PermissionDeniedError("Only the owner of a model can change its examples.");
  }
  co_return model;
}

// The id in the body's only field; notes a problem otherwise.
PredictionId prediction_of(BodyFields& fields) {
  const std::string text = fields.required_text("prediction");
  const Result<PredictionId> id = PredictionId::parse(text);
  if (!id.ok() && !text.empty()) {
    fields.add_problem("prediction", "There is no such prediction of this model.");
  }
  return id.value_or(PredictionId());
}

http::Response show(const Api& api, const store::Example& example, int status) {
  return json_response(status, prediction_json(example.prediction, api.urls));
}

// What is for others to see of `view`.
store::Example example_of(const store::Model& model, store::PredictionView view, WallTime now) {
  view.webhook.clear();
  view.webhook_events = 0;
  view.stream_token.clear();
  view.deployment.clear();
  view.deadline_at.reset();
  return store::Example{model.id, std::move(view), now};
}

// Keeps the files, then writes the row: a crash between leaves a prediction that is kept.
Result<store::Example> store_example(Api& api, store::Example example) {
  const ApiParts& parts = api.parts;
  const PredictionId id = example.prediction.id;
  MIMEO_RETURN_IF_ERROR(keep_example_files(api, example.prediction));
  const Status added = parts.discovery.add_example(example);
  if (!added.ok() && !absl::IsAlreadyExists(added)) {
    (void)parts.retention.release_prediction(id);
    return added;
  }
  return parts.discovery.get_example(example.model, id);
}

}  // namespace

Answer list_examples(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Model model, co_await read_model(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  std::optional<store::PageStart<PredictionId>> start;
  if (cursor) {
    MIMEO_CO_ASSIGN_OR_RETURN(const auto position, parse_key_position(cursor->position));
    const Result<PredictionId> id = PredictionId::parse(position.second);
    if (!id.ok()) co_return bad_cursor();
    start.emplace();
    start->at = position.first;
    start->key = *id;
    start->is_backward = cursor->direction == PageDirection::kBackward;
  }
  auto read = [discovery = &api.parts.discovery, id = model.id, start] {
    return discovery->list_examples(id, start, kPageSize + 1);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Example> examples,
                            co_await api.parts.pool.run(std::move(read)));
  const PageLinks links(model_url(api, call, "/examples"), *call.head);
  const PageEnds ends = end_page(examples, kPageSize, cursor, links, [](const auto& example) {
    return key_position(example.added_at, example.prediction.id.str());
  });
  std::vector<std::string> results;
  for (const store::Example& example : examples) {
    results.push_back(prediction_json(example.prediction, api.urls));
  }
  co_return json_response(200, page_json(ends.next, ends.previous, results));
}

Answer create_example(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Model model, co_await read_own_model(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  const PredictionId id = prediction_of(fields);
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  auto find = [discovery = &api.parts.discovery, model = model.id, id] {
    return discovery->get_example(model, id);
  };
  const Result<store::Example> existing = co_await api.parts.pool.run(std::move(find));
  if (existing.ok()) co_return show(api, *existing, 200);
  if (!absl::IsNotFound(existing.status())) co_return existing.status();

  Result<store::PredictionView> view = co_await api.parts.intake.view(id, call.viewer());
  if (!view.ok() && !absl::IsNotFound(view.status())) co_return view.status();
  if (!view.ok() || view->is_training || view->model_owner != model.owner ||
      view->model_name != model.name) {
    fields.add_problem("prediction", "There is no such prediction of this model.");
    co_return problem::validation_failed(fields.problems());
  }
  if (view->status != PredictionStatus::kSucceeded) {
    co_return problem::conflict("Only a prediction that succeeded can be an example.");
  }
  if (view->data_removed) {
    co_return problem::conflict("The data of the prediction has been removed.");
  }
  if (view->input.size() + view->output.size() + view->logs.size() > kLargestContent) {
    co_return problem::conflict(
        "An example can have at most 2 MB of input, output and logs. Upload files instead of "
        "putting them into the input.");
  }
  auto work = [api = &api, example = example_of(model, *std::move(view), api.parts.clock.now())] {
    return store_example(*api, example);
  };
  const Result<store::Example> added = co_await api.parts.pool.run(std::move(work));
  if (absl::IsResourceExhausted(added.status())) {
    co_return problem::conflict(message_of(added.status()));  // Not a matter of waiting.
  }
  if (absl::IsFailedPrecondition(added.status())) {
    co_return problem::conflict("The data of the prediction has been removed.");
  }
  if (!added.ok()) co_return added.status();
  api.reader.forget_model(model.owner, model.name);
  co_return show(api, *added, 201);
}

Answer delete_example(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Model model, co_await read_own_model(api, call));
  const Result<PredictionId> id = PredictionId::parse(call.param(2));
  if (!id.ok()) co_return problem::not_found();
  // The row goes last: a crash between leaves something to remove again.
  auto work = [parts = &api.parts, model = model.id, id = *id]() -> Status {
    MIMEO_RETURN_IF_ERROR(parts->discovery.get_example(model, id).status());
    MIMEO_RETURN_IF_ERROR(parts->retention.release_prediction(id));
    return parts->discovery.remove_example(model, id);
  };
  MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.pool.run(std::move(work)));
  api.reader.forget_model(model.owner, model.name);
  co_return empty_response(204);
}

Answer put_default_example(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(store::Model model, co_await read_own_model(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  const PredictionId id = prediction_of(fields);
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  auto write = [discovery = &api.parts.discovery, model = model.id, id] {
    return discovery->set_default_example(model, id);
  };
  const Status changed = co_await api.parts.pool.run(std::move(write));
  if (absl::IsNotFound(changed)) {
    fields.add_problem("prediction", "The prediction is not an example of this model.");
    co_return problem::validation_failed(fields.problems());
  }
  if (!changed.ok()) co_return changed;
  api.reader.forget_model(model.owner, model.name);
  MIMEO_CO_ASSIGN_OR_RETURN(std::string text, co_await one_model_json(api, std::move(model)));
  co_return json_response(200, std::move(text));
}

}  // namespace mimeo::control
