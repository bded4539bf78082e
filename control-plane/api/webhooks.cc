// /webhooks: what was delivered and why not, sending one again, trying a receiver, the secret.

#include <optional>
#include <utility>

#include "common/base/time_format.h"
#include "common/crypto/crypto.h"
#include "control-plane/api/body_fields.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"
#include "control-plane/webhooks/sender.h"
#include "control-plane/webhooks/url.h"

namespace mimeo::control {
namespace {

using store::DeliveryState;
using store::LoggedWebhook;
using store::WebhookAttempt;
using store::WebhookEvent;

constexpr std::size_t kPageSize = 100;
constexpr std::uint32_t kMostAttempts = 100;  // Of one delivery.
constexpr std::chrono::hours kSecretOverlap{24};

void write_time(JsonWriter& json, const std::optional<WallTime>& at) {
  at ? json.string(to_rfc3339(*at)) : json.null();
}

// The members of a delivery, into the object that is open.
void write_delivery(JsonWriter& json, const LoggedWebhook& delivery, const Urls& urls) {
  const std::string get = urls.api(concat("/webhooks/deliveries/", delivery.id));
  json.key("id").string(delivery.id).key("prediction").string(delivery.prediction.str());
  json.key("event").string(store::name_of(delivery.event));
  json.key("url").string(delivery.url).key("status").string(store::name_of(delivery.state));
  json.key("attempt_count").integer(delivery.attempts);
  json.key("response_status");
  delivery.response_status == 0 ? json.null() : json.integer(delivery.response_status);
  json.key("error").string_or_null(delivery.error);
  json.key("created_at").string(to_rfc3339(delivery.created_at));
  json.key("last_attempt_at").string(to_rfc3339(delivery.changed_at));
  json.key("next_attempt_at");
  write_time(json, delivery.state == DeliveryState::kPending ? delivery.next_at : std::nullopt);
  json.key("urls").begin_object().key("get").string(get);
  json.key("redeliver").string(get + "/redeliver").end_object();
}

void write_attempt(JsonWriter& json, const WebhookAttempt& attempt) {
  json.begin_object();
  if (attempt.number != 0) json.key("number").integer(attempt.number);
  json.key("at").string(to_rfc3339(attempt.at));
  json.key("duration_ms").integer(attempt.took.count()).key("request");
  if (attempt.request_headers.empty()) {
    json.null();
  } else {
    json.begin_object().key("headers").raw(attempt.request_headers);
    json.key("body").string_or_null(attempt.request_body);
    json.key("body_bytes").integer(attempt.request_bytes).end_object();
  }
  json.key("response");
  if (attempt.response_status == 0) {
    json.null();
  } else {
    json.begin_object().key("status").integer(attempt.response_status);
    json.key("headers").raw(attempt.response_headers.empty() ? "{}" : attempt.response_headers);
    json.key("body").string(attempt.response_body).end_object();
  }
  json.key("error").string_or_null(attempt.error).end_object();
}

std::string delivery_json(const LoggedWebhook& delivery, const Urls& urls) {
  JsonWriter json;
  json.begin_object();
  write_delivery(json, delivery, urls);
  json.end_object();
  return json.take();
}

std::string delivery_json(const LoggedWebhook& delivery,
                          const std::vector<WebhookAttempt>& attempts, const Urls& urls) {
  JsonWriter json;
  json.begin_object();
  write_delivery(json, delivery, urls);
  json.key("attempts").begin_array();
  for (const WebhookAttempt& attempt : attempts) write_attempt(json, attempt);
  json.end_array().end_object();
  return json.take();
}

// The filter that the query asks for. kInvalidArgument.
Result<store::WebhookFilter> filter_of(const Call& call) {
  store::WebhookFilter filter;
  filter.account = call.viewer();
  filter.limit = kPageSize + 1;
  const auto given = [&call](std::string_view name) {
    return std::string(call.head->parameter(name).value_or(""));
  };
  if (const std::string text = given("prediction"); !text.empty()) {
    const Result<PredictionId> id = PredictionId::parse(text);
    if (!id.ok()) return absl::InvalidArgumentError("prediction is not an id");
    filter.prediction = *id;
  }
  if (const std::string text = given("event"); !text.empty()) {
    filter.event = store::webhook_event_of(text);
    if (!filter.event) {
      return absl::InvalidArgumentError("event is start, output, logs or completed");
    }
  }
  if (const std::string text = given("status"); !text.empty()) {
    filter.state = store::delivery_state_of(text);
    if (!filter.state) return absl::InvalidArgumentError("status is pending, delivered or failed");
  }
  MIMEO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  if (!cursor) return filter;
  const auto row = parse_number<std::int64_t>(cursor->position);
  if (!row || *row <= 0) return absl::InvalidArgumentError("Invalid cursor");
  filter.before_row = *row;
  return filter;
}

boost::asio::awaitable<Result<LoggedWebhook>> read_delivery(Api* api, std::string id,
                                                            AccountId account) {
  auto read = [log = &api->parts.webhook_log, id = std::move(id), account] {
    return log->get_webhook(id, account);
  };
  Result<LoggedWebhook> delivery = co_await api->parts.pool.run(std::move(read));
  co_return delivery;
}

// What a prediction would look like at this event: for receivers to be tried with.
store::PredictionView example(Api& api, const store::Account& account, const std::string& url,
                              WebhookEvent event) {
  store::PredictionView view;
  view.id = api.ids.next();
  view.account = account.id;
  view.model_owner = account.username;
  view.model_name = "webhook-test";
  view.status = PredictionStatus::kProcessing;
  view.created_at = api.parts.clock.now();
  view.started_at = view.created_at;
  view.input = R"({"text":"This is a test of your webhook."})";
  view.webhook = url;
  view.webhook_events = kWebhookDefault;
  if (event == WebhookEvent::kStart) return view;
  view.logs = "test\n";
  if (event == WebhookEvent::kLogs) return view;
  view.output = R"(["It works."])";
  if (event == WebhookEvent::kOutput) return view;
  view.status = PredictionStatus::kSucceeded;
  view.completed_at = view.created_at;
  return view;
}

struct TestRequest {
  std::string url;
  WebhookEvent event = WebhookEvent::kCompleted;
  std::vector<InputProblem> problems;
};

Result<TestRequest> parse_test(const std::string& body, WebhookSchemes schemes) {
  MIMEO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(body));
  TestRequest request;
  request.url = fields.required_text("url");
  const std::string event = fields.text("event").value_or("completed");
  for (const FieldProblem& problem : fields.problems()) {
    request.problems.push_back({"invalid_type", problem.pointer.substr(1), problem.detail});
  }
  if (!request.problems.empty()) return request;
  const Result<WebhookUrl> url = parse_webhook_url(request.url);
  if (!url.ok()) {
    request.problems.push_back(
        {"format", "url",
         concat("Does not match format 'uri': ", std::string(url.status().message()))});
  } else if (!url->is_https && schemes == WebhookSchemes::kHttpsOnly) {
    request.problems.push_back({"format", "url", "Must be an https URL"});
  }
  if (const auto known = store::webhook_event_of(event); known) {
    request.event = *known;
  } else {
    request.problems.push_back(
        {"enum", "event",
         R"(event must be one of the following: "start", "output", "logs", "completed")"});
  }
  return request;
}

}  // namespace

Answer list_webhook_deliveries(Api& api, Call& call) {
  const Result<store::WebhookFilter> filter = filter_of(call);
  if (!filter.ok()) co_return filter.status();
  auto read = [log = &api.parts.webhook_log, filter = *filter] {
    return log->list_webhooks(filter);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<LoggedWebhook> deliveries,
                            co_await api.parts.pool.run(std::move(read)));
  std::optional<std::string> next;
  if (deliveries.size() > kPageSize) {
    deliveries.resize(kPageSize);
    const Cursor last{PageDirection::kForward, std::to_string(deliveries.back().row)};
    next = PageLinks(api.urls.api("/webhooks/deliveries"), *call.head).to(last);
  }
  std::vector<std::string> results;
  for (const LoggedWebhook& one : deliveries) results.push_back(delivery_json(one, api.urls));
  co_return json_response(200, page_json(next, std::nullopt, results));
}

Answer get_webhook_delivery(Api& api, Call& call) {
  const Result<LoggedWebhook> delivery = co_await read_delivery(&api, call.param(0), call.viewer());
  if (!delivery.ok()) co_return delivery.status();
  auto read = [log = &api.parts.webhook_log, id = delivery->id] {
    return log->list_webhook_attempts(id);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const std::vector<WebhookAttempt> attempts,
                            co_await api.parts.pool.run(std::move(read)));
  co_return json_response(200, delivery_json(*delivery, attempts, api.urls));
}

Answer redeliver_webhook(Api& api, Call& call) {
  const Result<LoggedWebhook> found = co_await read_delivery(&api, call.param(0), call.viewer());
  if (!found.ok()) co_return found.status();
  if (found->attempts >= kMostAttempts) {
    co_return problem::conflict(concat("It was tried ", kMostAttempts, " times already."));
  }
  auto write = [log = &api.parts.webhook_log, id = found->id, account = call.viewer()] {
    return log->redeliver_webhook(id, account);
  };
  const Result<LoggedWebhook> delivery = co_await api.parts.pool.run(std::move(write));
  if (absl::IsFailedPrecondition(delivery.status())) {
    co_return problem::conflict("The prediction is gone.");
  }
  if (!delivery.ok()) co_return delivery.status();
  api.parts.webhooks.look_now();
  co_return json_response(202, delivery_json(*delivery, api.urls));
}

Answer test_webhook(Api& api, Call& call) {
  const Result<TestRequest> request = parse_test(call.body, api.settings.webhook_schemes);
  if (!request.ok()) co_return request.status();
  if (!request->problems.empty()) co_return problem::input_invalid(request->problems);
  const store::PredictionView view = example(api, call.account(), request->url, request->event);
  std::string body = prediction_json(view, api.urls);
  std::string url = request->url;
  const Result<WebhookReceipt> receipt =
      co_await api.parts.webhooks.send_test(call.viewer(), std::move(url), std::move(body));
  if (!receipt.ok()) co_return receipt.status();
  JsonWriter json;
  json.begin_object().key("url").string(request->url);
  json.key("event").string(store::name_of(request->event));
  json.key("status").string(receipt->status.ok() ? "delivered" : "failed").key("attempt");
  write_attempt(json, receipt->attempt);
  json.end_object();
  co_return json_response(200, json.take());
}

Answer get_webhook_secret(Api& api, Call& call) {
  auto read = [log = &api.parts.webhook_log, account = call.viewer(), now = api.parts.clock.now()] {
    return log->get_webhook_secrets(account, now);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const store::WebhookSecrets secrets,
                            co_await api.parts.pool.run(std::move(read)));
  JsonWriter json;
  json.begin_object().key("key").string(secrets.current).end_object();
  co_return json_response(200, json.take());
}

Answer rotate_webhook_secret(Api& api, Call& call) {
  const std::string secret = crypto::make_webhook_secret(api.parts.random);
  const WallTime until = api.parts.clock.now() + kSecretOverlap;
  auto write = [log = &api.parts.webhook_log, account = call.viewer(), secret, until] {
    return log->rotate_webhook_secret(account, secret, until);
  };
  MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.pool.run(std::move(write)));
  api.parts.webhooks.forget_secrets(call.viewer());
  api.parts.authenticator.forget(call.viewer());  // The secret of the files, too.
  JsonWriter json;
  json.begin_object().key("key").string(secret);
  json.key("previous_key_signs_until").string(to_rfc3339(until)).end_object();
  co_return json_response(200, json.take());
}

}  // namespace mimeo::control
