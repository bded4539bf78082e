#include "worker/shim/outcome.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

namespace mimeo::worker {
namespace {

using cog::RunEnd;
using cog::RunStatus;

Ending failed(v1::FailureCause cause, std::string error) {
  return {v1::OUTCOME_FAILED, cause, std::move(error)};
}

Ending over_limit(std::chrono::milliseconds limit) {
  const double seconds = std::chrono::duration<double>(limit).count();
  return failed(v1::FAILURE_CAUSE_RUN_LIMIT,
                absl::StrFormat("the prediction ran longer than its limit of %g s", seconds));
}

Ending lost_container(const ContainerEnd& lost) {
  switch (lost.kind) {
    case ContainerEnd::Kind::kAlive:
      return failed(v1::FAILURE_CAUSE_UNHEALTHY,
                    absl::StrCat("lost the connection to the model server: ", lost.reason));
    case ContainerEnd::Kind::kUnreachable:
      return failed(v1::FAILURE_CAUSE_CONTAINER_EXIT,
                    "the model's container stopped answering while it ran this prediction");
    case ContainerEnd::Kind::kExited:
      break;
  }
  return failed(v1::FAILURE_CAUSE_CONTAINER_EXIT,
                lost.reason.empty() ? "the model's container ended while it ran this prediction"
                                    : lost.reason);
}

}  // namespace

Ending ending_of(const RunEnd& end, CancelReason cancel, std::chrono::milliseconds run_limit,
                 const std::optional<ContainerEnd>& lost) {
  const bool is_finished = end.kind == RunEnd::Kind::kFinished;
  // Finished in time, whatever was asked meanwhile: the result is good.
  if (is_finished && end.status == RunStatus::kSucceeded) return {v1::OUTCOME_SUCCEEDED, {}, ""};
  // Its container may have been killed because it did not react: that is a cancel all the same.
  const bool was_stopped = lost.has_value() || end.status == RunStatus::kCanceled;
  if (cancel == CancelReason::kRunLimit && was_stopped) return over_limit(run_limit);
  const bool is_users = cancel == CancelReason::kUser || cancel == CancelReason::kDeadline;
  if (is_users && was_stopped) return {v1::OUTCOME_CANCELED, {}, ""};
  if (lost.has_value()) return lost_container(*lost);
  if (end.status == RunStatus::kCanceled) {
    // By whom? A model that raises the cancelation by itself, or a server that shuts down.
    return failed(v1::FAILURE_CAUSE_MODEL, "the model server canceled the prediction");
  }
  return failed(v1::FAILURE_CAUSE_MODEL, end.error);
}

}  // namespace mimeo::worker
