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
constexpr std::size_t kLargestContent = 512U << 10;  // A page of them is read at once.

// The id in the body's only field; notes a problem otherwise.
PredictionId prediction_of(BodyFields& fields) {
  const std::string text = fields.required_text("prediction");
  const Result<PredictionId> id = PredictionId::parse(text);
  if (!id.ok() && !text.empty()) {
    fields.add_problem("prediction", "There is no such prediction of this model.");
  }
  return id.value_or(PredictionId());
}

// What is an example already; kept again, should somebody have released it.
Result<store::Example> find_existing(const ApiParts& parts, ModelId model, PredictionId id) {
  MIMEO_ASSIGN_OR_RETURN(store::Example example, parts.discovery.get_example(model, id));
  const Status kept = parts.retention.keep_prediction(id);
  const bool is_gone = absl::IsNotFound(kept) || absl::IsFailedPrecondition(kept);
  if (!kept.ok() && !is_gone) return kept;
  return example;
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
  std::vector<std::string> texts;
  for (const store::Example& example : examples) {
    texts.push_back(prediction_json(example.prediction, api.urls));
  }
  const auto position_of = [](const store::Example& example) {
    return key_position(example.added_at, example.prediction.id.str());
  };
  co_return json_response(
      200, page_of(std::move(examples), std::move(texts), kPageSize, cursor, links, position_of));
}

Answer create_example(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Model model, co_await read_own_model(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  const PredictionId id = prediction_of(fields);
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  auto find = [parts = &api.parts, model = model.id, id] {
    return find_existing(*parts, model, id);
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
        "An example can have at most 512 KB of input, output and logs. Upload files instead of "
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
  auto work = [discovery = &api.parts.discovery, model = model.id, id = *id] {
    return discovery->remove_example(model, id);
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
