#include "scheduler/core/retry_rules.h"

namespace mimeo::scheduler {
namespace {

constexpr std::uint32_t kPoisonHosts = 2;

RetryDecision fail(std::string error) {
  return {.kind = RetryDecision::Kind::kFail, .count = 0, .error = std::move(error)};
}

}  // namespace

RetryDecision decide_retry(const Loss& loss, std::uint32_t max_retries) {
  if (!loss.was_started || loss.kind == LossKind::kHandedBack) return {};
  if (loss.kind == LossKind::kInstanceGone) {
    return fail("The model's container stopped while it ran this prediction.");
  }
  if (loss.retry == RetryPolicy::kNever) {
    return fail("The machine that ran this prediction was lost.");
  }
  if (loss.output_seen) {
    return fail("Interrupted: the machine that ran this prediction was lost. Please retry.");
  }
  // Poison guard: an input that takes its machines down must not take the whole fleet.
  if (loss.quick_losses >= kPoisonHosts) {
    return fail("Two machines were lost shortly after they started this prediction.");
  }
  if (loss.infra_failures >= max_retries) {
    return fail("The machines that ran this prediction were lost too often.");
  }
  return {.kind = RetryDecision::Kind::kRequeue, .count = 1, .error = {}};
}

}  // namespace mimeo::scheduler
