// Error bodies, exactly as clients know them, and the one table from our status codes to HTTP.
// No other file names an HTTP error number.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/domain/access.h"
#include "common/http/message.h"
#include "common/store/catalog.h"
#include "control-plane/validation/input_validator.h"

namespace mimeo::control {

// One thing wrong with the body of a model or deployment.
struct FieldProblem {
  std::string pointer;  // "/hardware"
  std::string detail;
};

namespace problem {

// {"title", "detail", "status"} as application/problem+json.
[[nodiscard]] http::Response make(int status, std::string_view title, std::string_view detail);

// 400.
[[nodiscard]] http::Response bad_request(std::string_view detail);
[[nodiscard]] http::Response validation_failed(const std::vector<FieldProblem>& problems);
[[nodiscard]] http::Response search_without_query();
// 401.
[[nodiscard]] http::Response no_token();
[[nodiscard]] http::Response bad_token();
// 402. `limit_url` tells the account its limit and what it has spent.
[[nodiscard]] http::Response insufficient_credit(std::string_view limit_url);
// 403.
[[nodiscard]] http::Response forbidden(std::string_view detail);
// Names what the token has and that it needs one of `needed`.
[[nodiscard]] http::Response missing_scope(const store::TokenOwner& caller, Scopes needed);
// 404.
[[nodiscard]] http::Response not_found();
[[nodiscard]] http::Response file_not_found();
[[nodiscard]] http::Response destination_not_found();
// For the owner of a model whose push did not become a version, and why.
[[nodiscard]] http::Response push_refused(std::string_view image_digest, std::string_view reason);
// 405. `allow` = "GET, HEAD".
[[nodiscard]] http::Response method_not_allowed(std::string_view method, std::string_view allow);
// 409.
[[nodiscard]] http::Response model_exists();
[[nodiscard]] http::Response conflict(std::string_view detail);
// 412.
[[nodiscard]] http::Response precondition_failed();
// 413.
[[nodiscard]] http::Response body_too_large(std::uint64_t limit_bytes);
[[nodiscard]] http::Response file_too_large(std::uint64_t limit_bytes);
// 416. `size` of the whole content.
[[nodiscard]] http::Response range_not_satisfiable(std::uint64_t size_bytes);
// 422.
[[nodiscard]] http::Response input_invalid(const std::vector<InputProblem>& problems);
[[nodiscard]] http::Response invalid_version();
[[nodiscard]] http::Response unprocessable(std::string_view title, std::string_view detail);
// 429.
[[nodiscard]] http::Response throttled(std::int64_t retry_after_s);
// A limit other than that on calls: predictions waiting, files on their way.
[[nodiscard]] http::Response over_limit(std::string_view detail);
// 500.
[[nodiscard]] http::Response search_failed();
[[nodiscard]] http::Response internal(std::string_view request_id);
// A request that ended without an answer of ours in time; the caller closes.
[[nodiscard]] http::Response request_timeout();

// The table. Texts of caller's faults are shown; texts of our faults (500, 503) are not.
[[nodiscard]] http::Response from_status(const Status& status, std::string_view request_id);
// True for codes that are our fault and belong into the log.
[[nodiscard]] bool is_our_fault(const Status& status);

}  // namespace problem
}  // namespace mimeo::control
