#include "sdk/cpp/request.h"

#include <algorithm>
#include <array>

namespace mimeo::sdk {
namespace {

constexpr std::array<std::string_view, 4> kWebhookEvents = {"start", "output", "logs", "completed"};

http::Response wrong_shape(const std::string& what) {
  return text_response(422, "Failed to deserialize the JSON body into the target type: " + what);
}

// "application/json", with parameters or as "application/x+json". A missing type passes: what else
// could it be.
bool is_json(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return type.empty() || type == "application/json" ||
         (type.starts_with("application/") && type.ends_with("+json"));
}

http::Response id_mismatch() {
  Json detail = Json::array();
  detail.push_back({{"loc", {"body", "id"}},
                    {"msg", "prediction ID must match the ID supplied in the URL"},
                    {"type", "value_error"}});
  return json_response(422, {{"detail", std::move(detail)}});
}

// What is wrong with an optional member, or "".
std::string check_text(const Json& body, const char* name) {
  const auto it = body.find(name);
  if (it == body.end() || it->is_null() || it->is_string()) return "";
  return std::string(name) + ": expected a string";
}

std::string read_context(const Json& body, Json& context) {
  const auto it = body.find("context");
  if (it == body.end() || it->is_null()) return "";
  if (!it->is_object()) return "context: expected a map";
  for (const auto& [key, value] : it->items()) {
    if (!value.is_string()) return "context." + key + ": expected a string";
  }
  context = *it;
  return "";
}

std::string read_webhook(const Json& body, WebhookTarget& webhook) {
  if (const auto url = body.find("webhook"); url != body.end() && url->is_string()) {
    webhook.url = url->get<std::string>();
  }
  const auto filter = body.find("webhook_events_filter");
  if (filter == body.end() || filter->is_null()) return "";
  if (!filter->is_array()) return "webhook_events_filter: expected a sequence";
  for (std::size_t i = 0; i < filter->size(); ++i) {
    const std::string place = "webhook_events_filter[" + std::to_string(i) + "]: ";
    if (!(*filter)[i].is_string()) return place + "expected a string";
    const auto& event = (*filter)[i].get_ref<const std::string&>();
    if (std::find(kWebhookEvents.begin(), kWebhookEvents.end(), event) == kWebhookEvents.end()) {
      return place + "unknown variant `" + event +
             "`, expected one of `start`, `output`, `logs`, `completed`";
    }
    webhook.events.push_back(event);
  }
  if (filter->empty()) webhook.url.clear();  // Nothing is wanted.
  return "";
}

}  // namespace

std::variant<CreateRequest, http::Response> read_request(const http::RequestHead& head,
                                                         const std::string& path_id,
                                                         std::string_view body) {
  if (!is_json(head.headers.get("Content-Type"))) {
    return text_response(415, "Expected request with `Content-Type: application/json`");
  }
  const Json parsed = body.empty() ? Json::object() : Json::parse(body, nullptr, false);
  if (parsed.is_discarded()) {
    return text_response(400, "Failed to parse the request body as JSON");
  }
  if (!parsed.is_object()) return wrong_shape("expected an object");
  CreateRequest request;
  for (const char* name : {"id", "webhook"}) {
    if (std::string wrong = check_text(parsed, name); !wrong.empty()) return wrong_shape(wrong);
  }
  std::string wrong = read_context(parsed, request.run.context);
  if (wrong.empty()) wrong = read_webhook(parsed, request.webhook);
  if (!wrong.empty()) return wrong_shape(wrong);
  if (const auto id = parsed.find("id"); id != parsed.end() && id->is_string()) {
    request.run.id = id->get<std::string>();
    if (!path_id.empty() && request.run.id != path_id) return id_mismatch();
  }
  if (!path_id.empty()) request.run.id = path_id;
  if (const auto input = parsed.find("input"); input != parsed.end() && !input->is_null()) {
    request.run.input = *input;
  }
  for (const char* name : {"traceparent", "tracestate"}) {
    if (const auto value = head.headers.find(name)) {
      request.webhook.headers.set(name, std::string(*value));
    }
  }
  return request;
}

http::Response json_response(int status, const Json& body) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

http::Response text_response(int status, std::string text) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(text);
  return response;
}

http::Response failure_response(int status, std::string_view error) {
  return json_response(status, {{"error", error}, {"status", "failed"}});
}

http::Response validation_response(const std::vector<InputError>& errors) {
  Json detail = Json::array();
  for (const InputError& error : errors) {
    const std::string field = error.field.empty() ? "__root__" : error.field;
    detail.push_back(
        {{"loc", {"body", "input", field}}, {"msg", error.message}, {"type", error.type}});
  }
  return json_response(422, {{"detail", std::move(detail)}});
}

}  // namespace mimeo::sdk
