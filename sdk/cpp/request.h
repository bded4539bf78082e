// Reads a request for a prediction or training: what coglet's JSON extractor accepts and refuses,
// with its answers.

#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/http/message.h"
#include "sdk/cpp/run.h"
#include "sdk/cpp/schema.h"

namespace mimeo::sdk {

// Where a prediction's webhooks go.
struct WebhookTarget {
  std::string url;                  // Empty: none.
  std::vector<std::string> events;  // "start", "output", "logs", "completed"; empty: all.
  http::Headers headers;            // Trace context of the request, to be passed on.
};

struct CreateRequest {
  RunRequest run;  // Its id is empty when the client leaves it to the server.
  WebhookTarget webhook;
};

// `path_id` is the id of PUT /predictions/{id}, else empty. The refusal is complete.
[[nodiscard]] std::variant<CreateRequest, http::Response> read_request(
    const http::RequestHead& head, const std::string& path_id, std::string_view body);

// Answers.
[[nodiscard]] http::Response json_response(int status, const Json& body);
[[nodiscard]] http::Response text_response(int status, std::string text);
// {"error": ..., "status": "failed"}.
[[nodiscard]] http::Response failure_response(int status, std::string_view error);
// 422 with one entry for each error.
[[nodiscard]] http::Response validation_response(const std::vector<InputError>& errors);

}  // namespace mimeo::sdk
