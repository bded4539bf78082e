#include "worker/shim/health_state.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <utility>

namespace mimeo::worker {

using cog::HealthReport;
using cog::ServerHealth;

HealthJudgement HealthState::observe(SteadyTime at, const Result<HealthReport>& report,
                                     std::uint32_t in_flight, SteadyTime idle_since) {
  current_.is_doubtful = false;
  if (current_.verdict == Verdict::kStarting) {
    while_starting(at, report);
  } else if (current_.verdict == Verdict::kReady) {
    while_ready(at, report, in_flight, idle_since);
  }
  return current_;
}

HealthJudgement HealthState::container_gone(const std::string& reason) {
  if (current_.verdict == Verdict::kStarting) {
    judge(Verdict::kSetupFailed, absl::StrCat("the container ended during setup: ", reason));
  } else if (current_.verdict == Verdict::kReady) {
    judge(Verdict::kBroken, absl::StrCat("the container ended: ", reason));
  }
  return current_;
}

void HealthState::judge(Verdict verdict, std::string detail) {
  current_ = {verdict, std::move(detail), false};
}

void HealthState::while_starting(SteadyTime at, const Result<HealthReport>& report) {
  if (report.ok()) {
    switch (report->health) {
      case ServerHealth::kReady:
      case ServerHealth::kBusy: {
        if (!ready_since_.has_value()) ready_since_ = at;
        const bool waited = at - *ready_since_ >= limits_.setup_race;
        if (report->is_setup_over || waited) judge(Verdict::kReady, report->setup_logs);
        return;
      }
      case ServerHealth::kSetupFailed:
      case ServerHealth::kDefunct:
        judge(Verdict::kSetupFailed,
              report->setup_logs.empty() ? "the model's setup failed" : report->setup_logs);
        return;
      case ServerHealth::kNoPredictor:
        judge(Verdict::kSetupFailed, "the server in the container was started without a model");
        return;
      case ServerHealth::kStarting:
      case ServerHealth::kUnhealthy:
      case ServerHealth::kOther:
        break;
    }
  }
  if (at - started_at_ < limits_.setup) return;
  const double seconds = std::chrono::duration<double>(limits_.setup).count();
  judge(Verdict::kSetupFailed,
        absl::StrFormat(
            "the model was not ready after %g s: %s", seconds,
            report.ok() ? (report->problem.empty() ? "its setup is still running" : report->problem)
                        : std::string(report.status().message())));
}

void HealthState::while_ready(SteadyTime at, const Result<HealthReport>& report,
                              std::uint32_t in_flight, SteadyTime idle_since) {
  const bool is_busy = report.ok() && report->health == ServerHealth::kBusy;
  if (!is_busy || in_flight > 0) busy_since_.reset();
  if (!report.ok()) {
    // A server that is slow while it works is not broken; one that refuses connections is.
    const bool is_refused = absl::IsUnavailable(report.status());
    doubt(at, is_refused || in_flight == 0, std::string(report.status().message()));
    return;
  }
  switch (report->health) {
    case ServerHealth::kReady:
      bad_since_.reset();
      return;
    case ServerHealth::kBusy:
      bad_since_.reset();
      if (in_flight > 0) return;
      current_.is_doubtful = true;
      if (!busy_since_.has_value()) busy_since_ = at;
      if (at - std::max(*busy_since_, idle_since) >= limits_.busy_without_work) {
        judge(Verdict::kBroken, "the model server says that it is busy, but nothing runs in it");
      }
      return;
    case ServerHealth::kDefunct:
    case ServerHealth::kSetupFailed:
    case ServerHealth::kNoPredictor:
      judge(Verdict::kBroken, "the model's process died");
      return;
    case ServerHealth::kUnhealthy:
    case ServerHealth::kOther:
    case ServerHealth::kStarting:
      // What runs may still finish: only an idle one is replaced.
      doubt(at, in_flight == 0,
            report->problem.empty() ? "the model server is unhealthy" : report->problem);
      return;
  }
}

void HealthState::doubt(SteadyTime at, bool may_break, const std::string& reason) {
  current_.is_doubtful = true;
  if (!bad_since_.has_value()) bad_since_ = at;
  if (may_break && at - *bad_since_ >= limits_.unhealthy) judge(Verdict::kBroken, reason);
}

}  // namespace mimeo::worker
