#include "control-plane/api/creates.h"

#include <algorithm>
#include <utility>

#include "control-plane/http/json_codec.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

// Above it, parsing and checking would hold up other requests.
constexpr std::size_t kLargeBody = 64 * 1024;
constexpr std::size_t kLongestIdempotencyKey = 255;

template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> run_sized(BlockingPool* pool, std::size_t size,
                                                              Work work) {
  if (size < kLargeBody) co_return work();
  co_return co_await pool->run(std::move(work));
}

// Each may have a line of its own, or share one (RFC 7240 section 2).
std::string all_preferences(const http::Headers& headers) {
  std::string all;
  for (const auto& [name, value] : headers.fields()) {
    if (!equals_ignoring_case(name, "Prefer")) continue;
    if (!all.empty()) all.push_back(',');
    all.append(value);
  }
  return all;
}

// The prediction as a sync create shows it when time is up. Whatever runs already, it says
// "starting": clients take anything else for the end.
store::PredictionView as_not_finished(store::PredictionView view) {
  view.status = PredictionStatus::kStarting;
  view.started_at.reset();
  view.output.clear();
  view.logs.clear();
  view.metrics.clear();
  return view;
}

IntakeRequest intake_request(const Api& api, const Call& call, const CreateTerms& terms,
                             PredictionRequest request, CheckedInput input,
                             const CreatePlan& plan) {
  IntakeRequest out;
  out.account = call.account();
  out.target = plan.target;
  out.model = plan.version->model.id;
  out.model_owner = plan.version->model.owner;
  out.model_name = plan.version->model.name;
  out.version = plan.version->version.id;
  out.hides_version =
      plan.version->is_official && !plan.deployment && plan.kind == InputKind::kPrediction;
  out.deployment = plan.deployment;
  out.deployment_name = plan.deployment_name;
  out.is_training = plan.kind == InputKind::kTraining;
  out.destination = std::move(request.destination);
  out.input = std::move(input.input);
  out.public_input = std::move(input.public_input);
  out.webhook = std::move(request.webhook);
  out.webhook_events = request.webhook_events;
  if (plan.kind == InputKind::kPrediction) out.stream = plan.version->schema->stream();
  out.cancel_after = terms.cancel_after;
  out.run_limit = out.is_training ? api.settings.training_run_limit : api.settings.run_limit;
  out.idempotency_key = terms.idempotency_key;
  return out;
}

}  // namespace

Result<CreateTerms> terms_of(Api& api, const Call& call) {
  CreateTerms terms;
  terms.begin = api.parts.clock.steady();
  const http::Headers& headers = call.head->headers;
  terms.wait = parse_prefer(all_preferences(headers));
  if (const auto given = headers.find("Cancel-After")) {
    MIMEO_ASSIGN_OR_RETURN(terms.cancel_after, parse_cancel_after(*given));
  }
  terms.idempotency_key = headers.get("Idempotency-Key");
  const bool is_printable = std::all_of(terms.idempotency_key.begin(), terms.idempotency_key.end(),
                                        [](char c) { return c >= 0x20 && c < 0x7F; });
  if (!is_printable || terms.idempotency_key.size() > kLongestIdempotencyKey) {
    return absl::InvalidArgumentError(
        "Idempotency-Key must be at most 255 printable ASCII characters");
  }
  return terms;
}

boost::asio::awaitable<Result<PredictionRequest>> read_request(Api& api, Call& call,
                                                               RequestShape shape) {
  const WebhookSchemes schemes = api.settings.webhook_schemes;
  const std::size_t size = call.body.size();
  auto parse = [body = std::move(call.body), shape, schemes] {
    return parse_prediction_request(body, shape, schemes);
  };
  co_return co_await run_sized(&api.parts.pool, size, std::move(parse));
}

boost::asio::awaitable<Result<std::string>> hardware_of(
    Api& api, std::shared_ptr<const KnownVersion> version) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const std::vector<Hardware>> hardware,
                            co_await api.reader.hardware());
  const bool is_known = std::any_of(hardware->begin(), hardware->end(),
                                    [&](const Hardware& h) { return h.sku == version->model.sku; });
  co_return is_known ? version->model.sku : api.settings.default_sku;
}

CatalogReader::Read<store::Target> default_pool(Api& api,
                                                std::shared_ptr<const KnownVersion> version) {
  MIMEO_CO_ASSIGN_OR_RETURN(std::string sku, co_await hardware_of(api, version));
  co_return co_await api.reader.version_pool(version->version.id, std::move(sku),
                                             api.settings.default_max_instances);
}

Answer create_and_answer(Api& api, Call& call, CreateTerms terms, PredictionRequest request,
                         CreatePlan plan) {
  const std::size_t size = request.size_bytes;
  auto check = [schema = plan.version->schema, kind = plan.kind, input = std::move(request.input)] {
    return check_input(*schema, kind, input);
  };
  CheckedInput input = co_await run_sized(&api.parts.pool, size, std::move(check));
  if (!input.problems.empty()) co_return problem::input_invalid(input.problems);

  const bool may_spend = co_await api.spend.may_spend(call.account().id);
  if (!may_spend) co_return problem::insufficient_credit(api.urls.api("/account/spend-limit"));
  MIMEO_CO_RETURN_IF_ERROR(co_await api.version_users.note(
      plan.version->version.id, plan.version->model.owner_id, call.account().id));
  IntakeRequest intake =
      intake_request(api, call, terms, std::move(request), std::move(input), plan);
  MIMEO_CO_ASSIGN_OR_RETURN(store::PredictionView view,
                            co_await api.parts.intake.create(std::move(intake)));
  int status = 201;
  if (terms.wait) {
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
        api.parts.clock.steady() - terms.begin);
    const auto left = std::max(terms.wait->limit - spent, std::chrono::milliseconds(0));
    const bool has_ended = co_await api.parts.intake.wait(view.id, left);
    if (has_ended) {
      MIMEO_CO_ASSIGN_OR_RETURN(view, co_await api.parts.intake.view(view.id, call.account().id));
    }
    if (!is_terminal(view.status)) {
      view = as_not_finished(std::move(view));
      status = 202;
    }
  }
  http::Response response = json_response(status, prediction_json(view, api.urls));
  response.headers.add(
      "Location", view.is_training ? api.urls.training(view.id) : api.urls.prediction(view.id));
  if (terms.wait) response.headers.add("Preference-Applied", terms.wait->applied);
  co_return response;
}

}  // namespace mimeo::control
