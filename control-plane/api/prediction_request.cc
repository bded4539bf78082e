#include "control-plane/api/prediction_request.h"

#include <algorithm>

#include "common/store/webhook_log.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/json_text.h"
#include "control-plane/strings.h"
#include "control-plane/webhooks/url.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

std::string_view type_name(const json& value) {
  return value.is_number_integer() ? "integer" : value.type_name();
}

class RequestParser {
 public:
  RequestParser(const json& body, PredictionRequest& out) : body_(body), out_(out) {}

  void require(std::string_view key) {
    if (!body_.contains(key)) add("required", "", concat(key, " is required"));
  }

  void close(std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : body_.items()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        add("additional_property_not_allowed", "",
            concat("Additional property ", key, " is not allowed"));
      }
    }
  }

  // The text of `key`; empty when absent, or null where that is fine.
  std::string text(const char* key) {
    const auto it = body_.find(key);
    if (it == body_.end()) return {};
    if (it->is_string()) return it->get<std::string>();
    wrong_type(key, "string", *it);
    return {};
  }
  std::string optional_text(const char* key) {
    const auto it = body_.find(key);
    return it == body_.end() || it->is_null() ? std::string() : text(key);
  }

  // Missing or no text is the same as a name that nobody has: the create answers 404 to either.
  std::string destination() {
    const auto it = body_.find("destination");
    return it != body_.end() && it->is_string() ? it->get<std::string>() : std::string();
  }

  void input() {
    const auto it = body_.find("input");
    if (it == body_.end()) return;
    if (!it->is_object()) return wrong_type("input", "object", *it);
    out_.input = *it;
  }

  void stream() {
    const auto it = body_.find("stream");
    if (it != body_.end() && !it->is_boolean() && !it->is_null()) {
      wrong_type("stream", "boolean", *it);
    }
  }

  void webhook(WebhookSchemes schemes) {
    out_.webhook = optional_text("webhook");
    out_.webhook_events = events();
    if (!out_.webhook.empty()) {
      check_url("webhook", out_.webhook, schemes);
    } else if (std::string legacy = optional_text("webhook_completed"); !legacy.empty()) {
      check_url("webhook_completed", legacy, schemes);
      out_.webhook = std::move(legacy);
      out_.webhook_events = static_cast<std::uint8_t>(store::WebhookEvent::kCompleted);
    }
    if (out_.webhook.empty()) out_.webhook_events = 0;
  }

 private:
  void add(std::string_view type, std::string_view field, std::string description) {
    out_.problems.push_back({std::string(type), std::string(field), std::move(description)});
  }
  void wrong_type(std::string_view field, std::string_view expected, const json& given) {
    add("invalid_type", field,
        concat("Invalid type. Expected: ", expected, ", given: ", type_name(given)));
  }

  void check_url(std::string_view field, std::string_view url, WebhookSchemes schemes) {
    const Result<WebhookUrl> parsed = parse_webhook_url(url);
    if (!parsed.ok()) {
      const std::string reason(parsed.status().message());
      add("format", field, concat("Does not match format 'uri': ", reason));
    } else if (!parsed->is_https && schemes == WebhookSchemes::kHttpsOnly) {
      add("format", field, "Must be an https URL");
    }
  }

  std::uint8_t events() {
    const auto it = body_.find("webhook_events_filter");
    if (it == body_.end() || it->is_null()) return kWebhookDefault;
    if (!it->is_array()) {
      wrong_type("webhook_events_filter", "array", *it);
      return kWebhookDefault;
    }
    std::uint8_t bits = 0;
    for (std::size_t i = 0; i < it->size(); ++i) {
      const json& name = (*it)[i];
      const auto event = name.is_string()
                             ? store::webhook_event_of(name.get_ref<const std::string&>())
                             : std::nullopt;
      if (event) {
        bits |= static_cast<std::uint8_t>(*event);
      } else {
        add("enum", concat("webhook_events_filter.", i),
            concat(i, R"( must be one of the following: "start", "output", "logs", )",
                   R"("completed")"));
      }
    }
    // An empty list counts as the default, and is echoed as that.
    if (bits == 0) bits = kWebhookDefault;
    bits |= store::kWebhookEventsGiven;
    return bits;
  }

  const json& body_;
  PredictionRequest& out_;
};

}  // namespace

Result<PredictionRequest> parse_prediction_request(std::string_view body, RequestShape shape,
                                                   WebhookSchemes schemes) {
  PredictionRequest out;
  out.size_bytes = body.size();
  const Result<json> parsed = parse_json(body);
  if (!parsed.ok()) {
    if (!absl::IsOutOfRange(parsed.status())) return parsed.status();
    out.problems.push_back({"invalid_text", "", "Strings must not contain the NUL character"});
    return out;
  }
  if (!parsed->is_object()) {
    out.problems.push_back({"invalid_type", "",
                            concat("Invalid type. Expected: object, given: ", type_name(*parsed))});
    return out;
  }
  RequestParser parser(*parsed, out);
  if (shape == RequestShape::kByVersion) parser.require("version");
  parser.require("input");
  if (shape == RequestShape::kByVersion) {
    parser.close(
        {"version", "input", "webhook", "webhook_events_filter", "webhook_completed", "stream"});
    out.version = parser.text("version");
  }
  if (shape == RequestShape::kByName) {
    parser.close({"input", "webhook", "webhook_events_filter", "webhook_completed", "stream"});
  }
  if (shape == RequestShape::kForTraining) out.destination = parser.destination();
  parser.input();
  parser.webhook(schemes);
  parser.stream();
  return out;
}

CheckedInput check_input(const VersionSchema& schema, InputKind kind, const json& input) {
  CheckedInput checked;
  checked.problems = schema.check(kind, input);
  if (!checked.problems.empty()) return checked;
  checked.input = input.dump();
  checked.public_input = schema.redact(kind, input);
  return checked;
}

}  // namespace mimeo::control
