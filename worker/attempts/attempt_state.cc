#include "worker/attempts/attempt_state.h"

#include <utility>

namespace mimeo::worker {
namespace {

// A forgotten attempt must leave its container, too: the slot is not free before.
constexpr std::chrono::milliseconds kForgetGrace{10'000};

AttemptAction step(AttemptStep which, std::string text = {}) {
  AttemptAction action;
  action.step = which;
  action.text = std::move(text);
  return action;
}

AttemptAction arm_grace(std::chrono::milliseconds limit) {
  AttemptAction action = step(AttemptStep::kArmGrace);
  action.limit = limit;
  return action;
}

}  // namespace

void AttemptLife::free_slot(Actions& actions) {
  if (!has_slot_) return;
  has_slot_ = false;
  actions.push_back(step(AttemptStep::kFreeSlot));
}

AttemptLife::Actions AttemptLife::begin() {
  has_slot_ = true;
  return {step(AttemptStep::kFetchInputs)};
}

AttemptLife::Actions AttemptLife::adopt(bool is_started) {
  has_slot_ = true;
  is_started_ = is_started;
  phase_ = is_started ? Phase::kStarted : Phase::kSent;
  return {};
}

AttemptLife::Actions AttemptLife::resume(const AttemptEvent& event) {
  return std::visit([this](const auto& what) { return on(what); }, event);
}

AttemptLife::Actions AttemptLife::done() {
  phase_ = Phase::kDone;
  return {step(AttemptStep::kForget)};
}

AttemptLife::Actions AttemptLife::end_with(AttemptOutcome outcome, AttemptFault fault,
                                           std::string text) {
  Actions actions;
  free_slot(actions);
  AttemptAction result = step(AttemptStep::kMakeResult, std::move(text));
  result.outcome = outcome;
  result.fault = fault;
  actions.push_back(std::move(result));
  actions.push_back(step(AttemptStep::kReportEnded));
  if (is_forgotten_) {
    phase_ = Phase::kDone;
    actions.push_back(step(AttemptStep::kForget));
    return actions;
  }
  phase_ = Phase::kOffered;
  actions.push_back(step(AttemptStep::kOffer));
  return actions;
}

AttemptLife::Actions AttemptLife::reject(RejectReason reason, std::string text) {
  Actions actions;
  free_slot(actions);
  if (!is_forgotten_) {
    AttemptAction action = step(AttemptStep::kReportRejected, std::move(text));
    action.reject = reason;
    actions.push_back(std::move(action));
  }
  phase_ = Phase::kDone;
  actions.push_back(step(AttemptStep::kForget));
  return actions;
}

AttemptLife::Actions AttemptLife::on(const InputsReady& /*event*/) {
  if (phase_ != Phase::kFetching) return {};
  phase_ = Phase::kSent;
  return {step(AttemptStep::kStart), step(AttemptStep::kArmRunLimit)};
}

AttemptLife::Actions AttemptLife::on(const InputsFailed& event) {
  if (phase_ != Phase::kFetching) return {};
  return end_with(AttemptOutcome::kFailed, AttemptFault::kInputFetch, event.reason);
}

AttemptLife::Actions AttemptLife::on(const ModelStarted& /*event*/) {
  if (phase_ != Phase::kSent) return {};
  phase_ = Phase::kStarted;
  is_started_ = true;
  if (is_forgotten_) return {};
  return {step(AttemptStep::kReportStarted)};
}

AttemptLife::Actions AttemptLife::on(const ResultArrived& /*event*/) {
  if (!is_in_container()) return {};
  is_started_ = true;
  Actions actions;
  free_slot(actions);
  actions.push_back(step(AttemptStep::kReportEnded));
  if (is_forgotten_) {
    phase_ = Phase::kDone;
    actions.push_back(step(AttemptStep::kDropResult));
    actions.push_back(step(AttemptStep::kForget));
    return actions;
  }
  phase_ = Phase::kStoring;
  actions.push_back(step(AttemptStep::kStoreFiles));
  return actions;
}

AttemptLife::Actions AttemptLife::on(const Refused& event) {
  if (!is_in_container()) return {};
  if (is_canceled_ && !is_forgotten_) {
    return end_with(AttemptOutcome::kCanceled, AttemptFault::kNone, {});
  }
  return reject(RejectReason::kBusy, event.reason);
}

AttemptLife::Actions AttemptLife::on(const CancelAsked& event) {
  if (phase_ == Phase::kFetching) {
    return end_with(AttemptOutcome::kCanceled, AttemptFault::kNone, {});
  }
  if (!is_in_container() || is_canceled_) return {};
  is_canceled_ = true;
  return {step(AttemptStep::kCancel), arm_grace(event.grace)};
}

AttemptLife::Actions AttemptLife::on(const ForgetAsked& /*event*/) {
  if (phase_ == Phase::kDone || is_forgotten_) return {};
  is_forgotten_ = true;
  if (is_in_container()) {
    if (is_canceled_) return {};  // On its way out already.
    is_canceled_ = true;
    return {step(AttemptStep::kCancel), arm_grace(kForgetGrace)};
  }
  Actions actions;
  free_slot(actions);
  if (phase_ == Phase::kStoring || phase_ == Phase::kOffered) {
    actions.push_back(step(AttemptStep::kDropResult));
  }
  phase_ = Phase::kDone;
  actions.push_back(step(AttemptStep::kForget));
  return actions;
}

AttemptLife::Actions AttemptLife::on(const GracePassed& /*event*/) {
  if (!is_in_container() || !is_canceled_) return {};
  return {step(AttemptStep::kKillContainer, "a canceled prediction did not end")};
}

AttemptLife::Actions AttemptLife::on(const RunLimitPassed& event) {
  if (!is_in_container()) return {};
  if (event.is_deadline) {
    is_canceled_ = true;
    return {step(AttemptStep::kKillContainer, "a prediction did not end at its deadline")};
  }
  is_over_run_limit_ = true;
  return {step(AttemptStep::kKillContainer, "a prediction did not end at its run limit")};
}

AttemptLife::Actions AttemptLife::on(const ContainerGone& event) {
  if (phase_ == Phase::kFetching) return reject(RejectReason::kInstanceGone, event.reason);
  if (!is_in_container()) return {};
  if (is_canceled_) return end_with(AttemptOutcome::kCanceled, AttemptFault::kNone, {});
  if (is_over_run_limit_) {
    return end_with(AttemptOutcome::kFailed, AttemptFault::kRunLimit,
                    "the prediction reached its run limit");
  }
  if (phase_ == Phase::kSent) return reject(RejectReason::kInstanceGone, event.reason);
  return end_with(AttemptOutcome::kFailed, AttemptFault::kContainerExit, event.reason);
}

AttemptLife::Actions AttemptLife::on(const FilesStored& /*event*/) {
  if (phase_ != Phase::kStoring) return {};
  phase_ = Phase::kOffered;
  return {step(AttemptStep::kOffer)};
}

AttemptLife::Actions AttemptLife::on(const FilesFailed& event) {
  if (phase_ != Phase::kStoring) return {};
  phase_ = Phase::kOffered;
  AttemptAction result = step(AttemptStep::kMakeResult, event.reason);
  result.outcome = AttemptOutcome::kFailed;
  result.fault = AttemptFault::kOutputStore;
  return {std::move(result), step(AttemptStep::kOffer)};
}

AttemptLife::Actions AttemptLife::on(const Acknowledged& /*event*/) {
  if (phase_ != Phase::kOffered) return {};
  Actions actions{step(AttemptStep::kDropResult)};
  for (auto& action : done()) actions.push_back(std::move(action));
  return actions;
}

}  // namespace mimeo::worker
