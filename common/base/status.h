// Result<T> and the few helpers that every module uses to report errors.
//
// Codes have one meaning everywhere: kInvalidArgument (caller's fault, never retry), kNotFound,
// kAlreadyExists, kPermissionDenied, kUnauthenticated, kFailedPrecondition (wrong state), kAborted
// (lost a race: read again, then retry), kResourceExhausted (a limit), kUnavailable (retry with
// backoff), kDeadlineExceeded, kCancelled, kInternal (a bug: alert). control-plane/http/problem.cc
// alone maps them to HTTP.

#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string_view>

namespace mimeo {

using Status = absl::Status;

template <class T>
using Result = absl::StatusOr<T>;

// "`clause`: `message of status`", same code and payloads. Each module adds one clause on the way
// up: "starting instance 0f3…: pulling image: 401 from registry". OK stays OK.
[[nodiscard]] Status with_context(const Status& status, std::string_view clause);

}  // namespace mimeo

// Leaves the calling function with the status of `expr` unless it is OK.
#define MIMEO_RETURN_IF_ERROR(expr)                                                        \
  do {                                                                                     \
    if (::mimeo::Status mimeo_status_ = (expr); !mimeo_status_.ok()) return mimeo_status_; \
  } while (false)

// `MIMEO_ASSIGN_OR_RETURN(auto value, expr)`: the value of a Result, or leave with its status.
#define MIMEO_ASSIGN_OR_RETURN(lhs, expr) \
  MIMEO_ASSIGN_OR_RETURN_IMPL_(MIMEO_CONCAT_(mimeo_result_, __LINE__), lhs, expr)
#define MIMEO_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                 \
  if (!result.ok()) return result.status();             \
  lhs = std::move(result).value()

// The same two in a coroutine that returns Status or Result<T>.
#define MIMEO_CO_RETURN_IF_ERROR(expr)                                                        \
  do {                                                                                        \
    if (::mimeo::Status mimeo_status_ = (expr); !mimeo_status_.ok()) co_return mimeo_status_; \
  } while (false)
#define MIMEO_CO_ASSIGN_OR_RETURN(lhs, expr) \
  MIMEO_CO_ASSIGN_OR_RETURN_IMPL_(MIMEO_CONCAT_(mimeo_result_, __LINE__), lhs, expr)
#define MIMEO_CO_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                    \
  if (!result.ok()) co_return result.status();             \
  lhs = std::move(result).value()
#define MIMEO_CONCAT_(a, b) MIMEO_CONCAT_INNER_(a, b)
#define MIMEO_CONCAT_INNER_(a, b) a##b
