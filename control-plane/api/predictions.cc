// Reading, listing and cancelling predictions and trainings.
#include "common/base/time_format.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 100;
constexpr std::chrono::days kWebHistory{14};

enum class Kind : std::uint8_t { kPredictions, kTrainings };

// An example is there for all who see its model, and after the data of the prediction is gone.
boost::asio::awaitable<Result<store::PredictionView>> view_or_example(Api& api, PredictionId id,
                                                                      AccountId viewer) {
  Result<store::PredictionView> view = co_await api.parts.intake.view(id, viewer);
  const bool is_whole = view.ok() && !view->data_removed;
  if (is_whole || (!view.ok() && !absl::IsNotFound(view.status()))) co_return view;
  auto find = [discovery = &api.parts.discovery, id, viewer] {
    return discovery->find_example(id, viewer);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::optional<store::Example> example,
                            co_await api.parts.pool.run(std::move(find)));
  if (example) co_return std::move(example->prediction);
  co_return view;
}

Answer view_or_404(Api& api, Call& call, Kind kind) {
  const Result<PredictionId> id = PredictionId::parse(call.param(0));
  if (!id.ok()) co_return problem::not_found();
  MIMEO_CO_ASSIGN_OR_RETURN(const store::PredictionView view,
                            co_await view_or_example(api, *id, call.viewer()));
  if (kind == Kind::kTrainings && !view.is_training) co_return problem::not_found();
  co_return json_response(200, prediction_json(view, api.urls));
}

Answer cancel_or_404(Api& api, Call& call, Kind kind) {
  const Result<PredictionId> id = PredictionId::parse(call.param(0));
  if (!id.ok()) co_return problem::not_found();
  if (kind == Kind::kTrainings) {
    MIMEO_CO_ASSIGN_OR_RETURN(const store::PredictionView view,
                              co_await api.parts.intake.view(*id, call.viewer()));
    if (!view.is_training) co_return problem::not_found();
  }
  MIMEO_CO_ASSIGN_OR_RETURN(const store::PredictionView view,
                            co_await api.parts.intake.cancel(*id, call.viewer()));
  co_return json_response(200, prediction_json(view, api.urls));
}

// Which page: the filter with the request's parameters in it.
Result<store::PredictionFilter> filter_of(const Api& api, const Call& call, Kind kind) {
  store::PredictionFilter filter;
  filter.account = call.viewer();
  filter.trainings = kind == Kind::kTrainings;
  filter.limit = kPageSize + 1;
  const http::RequestHead& head = *call.head;
  if (const auto after = head.parameter("created_after"); after && !after->empty()) {
    MIMEO_ASSIGN_OR_RETURN(filter.created_after, parse_iso8601(*after));
  }
  if (const auto before = head.parameter("created_before"); before && !before->empty()) {
    MIMEO_ASSIGN_OR_RETURN(filter.created_before, parse_iso8601(*before));
  }
  if (const auto source = head.parameter("source"); source && !source->empty()) {
    if (*source != "web") return absl::InvalidArgumentError("source must be \"web\"");
    filter.source = PredictionSource::kWeb;
    const WallTime oldest = api.parts.clock.now() - kWebHistory;
    filter.created_after = std::max(filter.created_after.value_or(oldest), oldest);
  }
  MIMEO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(head));
  if (cursor) {
    const Result<PredictionId> id = PredictionId::parse(cursor->position);
    if (!id.ok()) return absl::InvalidArgumentError("Invalid cursor");
    (cursor->direction == PageDirection::kForward ? filter.before : filter.after) = *id;
  }
  return filter;
}

std::string page_of(const Api& api, const Call& call, Kind kind,
                    const store::PredictionFilter& filter,
                    std::vector<store::PredictionView> views) {
  const bool is_backward = !filter.after.is_nil();
  const bool has_more = views.size() > kPageSize;
  if (has_more) {
    // The one too many is the farthest from the cursor.
    views.erase(is_backward ? views.begin() : views.end() - 1);
  }
  const PageLinks links(api.urls.api(kind == Kind::kTrainings ? "/trainings" : "/predictions"),
                        *call.head);
  std::optional<std::string> next;
  std::optional<std::string> previous;
  if (!views.empty() && (has_more || is_backward)) {
    next = links.to({PageDirection::kForward, views.back().id.str()});
  }
  const bool is_first_page = filter.before.is_nil() && !is_backward;
  if (!views.empty() && !is_first_page && (has_more || !is_backward)) {
    previous = links.to({PageDirection::kBackward, views.front().id.str()});
  }
  std::vector<std::string> results;
  results.reserve(views.size());
  for (const store::PredictionView& view : views) {
    results.push_back(prediction_json(view, api.urls));
  }
  return page_json(next, previous, results);
}

Answer list_page(Api& api, Call& call, Kind kind) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::PredictionFilter filter, filter_of(api, call, kind));
  auto read = [store = &api.parts.predictions, filter] { return store->list(filter); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::PredictionView> views,
                            co_await api.parts.pool.run(std::move(read)));
  co_return json_response(200, page_of(api, call, kind, filter, std::move(views)));
}

}  // namespace

Answer get_prediction(Api& api, Call& call) { return view_or_404(api, call, Kind::kPredictions); }
Answer list_predictions(Api& api, Call& call) { return list_page(api, call, Kind::kPredictions); }
Answer cancel_prediction(Api& api, Call& call) {
  return cancel_or_404(api, call, Kind::kPredictions);
}
Answer get_training(Api& api, Call& call) { return view_or_404(api, call, Kind::kTrainings); }
Answer list_trainings(Api& api, Call& call) { return list_page(api, call, Kind::kTrainings); }
Answer cancel_training(Api& api, Call& call) { return cancel_or_404(api, call, Kind::kTrainings); }

}  // namespace mimeo::control
