#include "control-plane/http/problem.h"

#include <utility>

#include "control-plane/http/json_writer.h"
#include "control-plane/strings.h"

namespace mimeo::control::problem {
namespace {

http::Response with_body(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/problem+json");
  response.body = std::move(body);
  return response;
}

// The two shortest forms: {"detail"} and {"detail","status"}.
http::Response detail_only(int status, std::string_view detail) {
  JsonWriter json;
  json.begin_object().key("detail").string(detail).end_object();
  return with_body(status, json.take());
}

http::Response detail_and_status(int status, std::string_view detail) {
  JsonWriter json;
  json.begin_object().key("detail").string(detail).key("status").integer(status).end_object();
  return with_body(status, json.take());
}

http::Response field_problems(int status, std::string_view title, std::string_view lead,
                              const std::vector<FieldProblem>& problems) {
  std::string detail(lead);
  for (const FieldProblem& p : problems) {
    detail.append("\n- ");
    if (p.pointer.size() > 1) detail.append(p.pointer.substr(1)).append(": ");
    detail.append(p.detail);
  }
  JsonWriter json;
  json.begin_object().key("status").integer(status).key("title").string(title);
  json.key("detail").string(detail).key("errors").begin_array();
  for (const FieldProblem& p : problems) {
    json.begin_object().key("pointer").string(p.pointer);
    json.key("detail").string(p.detail).end_object();
  }
  json.end_array().end_object();
  return with_body(status, json.take());
}

std::string megabytes(std::uint64_t bytes) {
  if (bytes % 1'000'000 == 0) return std::to_string(bytes / 1'000'000) + "MB";
  return std::to_string(bytes >> 20U) + "MB";
}

}  // namespace

http::Response make(int status, std::string_view title, std::string_view detail) {
  JsonWriter json;
  json.begin_object().key("title").string(title).key("detail").string(detail);
  json.key("status").integer(status).end_object();
  return with_body(status, json.take());
}

http::Response bad_request(std::string_view detail) { return make(400, "Bad request", detail); }

http::Response validation_failed(const std::vector<FieldProblem>& problems) {
  return field_problems(400, "Validation failed", "The following errors occurred:", problems);
}

http::Response search_without_query() {
  return detail_only(400, "Query parameter \"query\" is required");
}

http::Response no_token() {
  http::Response response =
      make(401, "Unauthenticated", "You did not pass an authentication token");
  response.headers.add("WWW-Authenticate", "Bearer");
  return response;
}

http::Response bad_token() {
  http::Response response =
      make(401, "Unauthenticated", "You did not pass a valid authentication token");
  response.headers.add("WWW-Authenticate", "Bearer");
  return response;
}

http::Response insufficient_credit(std::string_view limit_url) {
  std::string detail(
      "You have insufficient credit to run this model. The spend limit of this month "
      "is reached: see ");
  detail.append(limit_url);
  detail.append(". Once it is raised, please wait a few seconds before trying again.");
  http::Response response = make(402, "Insufficient credit", detail);
  response.body += '\n';
  return response;
}

http::Response forbidden(std::string_view detail) { return make(403, "Forbidden", detail); }

http::Response missing_scope(const store::TokenOwner& caller, Scopes needed) {
  const std::string words = to_text(needed);
  const bool is_one = words.find(' ') == std::string::npos;
  std::string detail =
      concat("This needs ", is_one ? "the scope \"" : "one of the scopes \"", words,
             "\". The token \"", caller.token.name, "\" (", caller.token.prefix, "...) has \"",
             to_text(caller.token.scopes), "\"");
  if (caller.creator_role && (scopes_of(*caller.creator_role) & needed).is_empty()) {
    detail.append(concat(", and ", caller.token.creator, " is ", name_of(*caller.creator_role),
                         " of ", caller.account.username));
  }
  detail.push_back('.');
  return forbidden(detail);
}

http::Response not_found() {
  return detail_and_status(404, "The requested resource could not be found.");
}
http::Response file_not_found() { return detail_only(404, "File not found"); }
http::Response destination_not_found() {
  return detail_and_status(404, "The specified training destination does not exist");
}

http::Response push_refused(std::string_view image_digest, std::string_view reason) {
  std::string detail("The push of ");
  detail.append(image_digest).append(" did not become a version: ").append(reason);
  return make(404, "Push refused", detail);
}

http::Response method_not_allowed(std::string_view method, std::string_view allow) {
  std::string detail("Method \"");
  detail.append(method).append("\" not allowed.");
  http::Response response = make(405, "Method not allowed", detail);
  response.headers.add("Allow", std::string(allow));
  return response;
}

http::Response model_exists() {
  return field_problems(
      409, "Conflict", "The following errors occurred:",
      {{.pointer = "/name", .detail = "A model with that name and owner already exists."}});
}

http::Response conflict(std::string_view detail) { return make(409, "Conflict", detail); }

http::Response body_too_large(std::uint64_t limit_bytes) {
  return make(413, "Request too large",
              "The request body must be less than " + megabytes(limit_bytes) + " in size");
}

http::Response file_too_large(std::uint64_t limit_bytes) {
  return detail_only(413, "Files must be less than " + megabytes(limit_bytes) + " in size");
}

http::Response precondition_failed() {
  return make(412, "Precondition failed", "The file is another one than the request names.");
}

http::Response range_not_satisfiable(std::uint64_t size_bytes) {
  http::Response response =
      make(416, "Range not satisfiable", "The requested range is beyond the end of the file.");
  response.headers.add("Content-Range", "bytes */" + std::to_string(size_bytes));
  return response;
}

http::Response input_invalid(const std::vector<InputProblem>& problems) {
  std::string detail;
  for (const InputProblem& p : problems) {
    detail.append("- ");
    if (!p.field.empty()) detail.append(p.field).append(": ");
    detail.append(p.description).append("\n");
  }
  JsonWriter json;
  json.begin_object().key("detail").string(detail).key("status").integer(422);
  json.key("title").string("Input validation failed").key("invalid_fields").begin_array();
  for (const InputProblem& p : problems) {
    json.begin_object().key("type").string(p.type).key("field").string(p.field);
    json.key("description").string(p.description).end_object();
  }
  json.end_array().end_object();
  return with_body(422, json.take());
}

http::Response invalid_version() {
  return make(422, "Invalid version or not permitted",
              "The specified version does not exist (or perhaps you don't have permission to use "
              "it?)");
}

http::Response unprocessable(std::string_view title, std::string_view detail) {
  return make(422, title, detail);
}

http::Response throttled(std::int64_t retry_after_s) {
  const std::string seconds = std::to_string(retry_after_s);
  JsonWriter json;
  json.begin_object().key("detail");
  json.string("Request was throttled. Your rate limit resets in ~" + seconds + "s.");
  json.key("status").integer(429).key("retry_after").integer(retry_after_s).end_object();
  http::Response response = with_body(429, json.take());
  response.headers.add("Retry-After", seconds);
  return response;
}

http::Response over_limit(std::string_view detail) {
  constexpr std::int64_t kRetryAfterS = 1;  // Whatever is in the way may be gone by then.
  JsonWriter json;
  json.begin_object().key("title").string("Too many requests").key("detail").string(detail);
  json.key("status").integer(429).key("retry_after").integer(kRetryAfterS).end_object();
  http::Response response = with_body(429, json.take());
  response.headers.add("Retry-After", std::to_string(kRetryAfterS));
  return response;
}

http::Response search_failed() { return detail_only(500, "Search service error"); }

http::Response internal(std::string_view request_id) {
  std::string detail("Something went wrong on the server. If you report it, add this request id: ");
  detail.append(request_id);
  return make(500, "Internal server error", detail);
}

http::Response request_timeout() {
  return make(408, "Request timeout", "The request's body did not arrive in time.");
}

http::Response from_status(const Status& status, std::string_view request_id) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return bad_request(message_of(status));
    case absl::StatusCode::kUnauthenticated:
      return bad_token();
    case absl::StatusCode::kPermissionDenied:
      return forbidden(message_of(status));
    case absl::StatusCode::kNotFound:
      return not_found();
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return conflict(message_of(status));
    case absl::StatusCode::kResourceExhausted:
      return over_limit(message_of(status));
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded: {
      http::Response response = make(503, "Service unavailable",
                                     "The service cannot answer right now. Try again shortly.");
      response.headers.add("Retry-After", "1");
      return response;
    }
    default:
      return internal(request_id);
  }
}

bool is_our_fault(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace mimeo::control::problem
