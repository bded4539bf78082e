#include "worker/instance/instance_state.h"

#include <utility>

namespace mimeo::worker {
namespace {

InstanceAction step(InstanceStep which, std::string text = {}) {
  InstanceAction action;
  action.step = which;
  action.text = std::move(text);
  return action;
}

}  // namespace

InstanceAction InstanceLife::report(InstanceState state, std::string text) {
  state_ = state;
  detail_ = std::move(text);
  InstanceAction action;
  action.step =
      state == InstanceState::kFailed ? InstanceStep::kReportFailure : InstanceStep::kReport;
  action.state = state_;
  action.text = detail_;
  return action;
}

InstanceLife::Actions InstanceLife::fail(std::string reason) {
  phase_ = Phase::kStopping;
  // Attempts first: their results name the reason, and the scheduler must not hear of free slots.
  Actions actions{step(InstanceStep::kEndAttempts, reason)};
  actions.push_back(report(InstanceState::kFailed, std::move(reason)));
  actions.push_back(step(InstanceStep::kCleanUp));
  return actions;
}

InstanceLife::Actions InstanceLife::stop(std::string reason_for_attempts) {
  phase_ = Phase::kStopping;
  return {step(InstanceStep::kEndAttempts, std::move(reason_for_attempts)),
          step(InstanceStep::kCleanUp)};
}

InstanceLife::Actions InstanceLife::begin() {
  phase_ = Phase::kPulling;
  return {report(InstanceState::kPreparing, "waiting for the image"),
          step(InstanceStep::kPullImage)};
}

InstanceLife::Actions InstanceLife::adopt() {
  phase_ = Phase::kSettingUp;
  state_ = InstanceState::kStarting;
  is_adopted_ = true;
  return {step(InstanceStep::kArmSetupLimit), step(InstanceStep::kStartShim)};
}

InstanceLife::Actions InstanceLife::resume(const InstanceEvent& event, InstanceLoad load) {
  return std::visit([&](const auto& what) { return on(what, load); }, event);
}

InstanceLife::Actions InstanceLife::on(const ImageReady& /*event*/, InstanceLoad /*load*/) {
  if (phase_ != Phase::kPulling) return {};
  phase_ = Phase::kCreating;
  return {report(InstanceState::kPreparing, "starting the container"),
          step(InstanceStep::kStartContainer)};
}

InstanceLife::Actions InstanceLife::on(const ImageFailed& event, InstanceLoad /*load*/) {
  if (phase_ != Phase::kPulling) return {};
  return fail("pulling the image: " + event.reason);
}

InstanceLife::Actions InstanceLife::on(const ContainerRuns& /*event*/, InstanceLoad /*load*/) {
  // Asked to stop meanwhile: kCleanUp was told to wait for this container and removes it.
  if (phase_ != Phase::kCreating) return {};
  phase_ = Phase::kSettingUp;
  return {report(InstanceState::kStarting, "setting up"), step(InstanceStep::kArmSetupLimit),
          step(InstanceStep::kStartShim)};
}

InstanceLife::Actions InstanceLife::on(const ContainerFailed& event, InstanceLoad /*load*/) {
  if (phase_ != Phase::kCreating) return {};
  return fail("starting the container: " + event.reason);
}

InstanceLife::Actions InstanceLife::on(const ContainerEnded& event, InstanceLoad /*load*/) {
  if (phase_ != Phase::kSettingUp && phase_ != Phase::kReady && phase_ != Phase::kDraining) {
    return {};
  }
  // Of an adopted one nobody knows yet how far it was.
  const bool is_setup = phase_ == Phase::kSettingUp && !is_adopted_;
  return fail(is_setup ? event.reason + " during setup" : event.reason);
}

InstanceLife::Actions InstanceLife::on(const ShimFailed& event, InstanceLoad /*load*/) {
  if (!is_live()) return {};
  return fail(event.reason);
}

InstanceLife::Actions InstanceLife::on(const HealthChanged& event, InstanceLoad /*load*/) {
  const bool is_running =
      phase_ == Phase::kSettingUp || phase_ == Phase::kReady || phase_ == Phase::kDraining;
  if (!is_running) return {};
  switch (event.health) {
    case ServerHealth::kStarting:
      return {};
    case ServerHealth::kReady:
      if (phase_ != Phase::kSettingUp) return {};
      phase_ = Phase::kReady;
      return {report(InstanceState::kReady, {})};
    case ServerHealth::kSetupFailed:
      return fail("setup failed: " + event.detail);
    case ServerHealth::kBroken:
      return fail("the server became unhealthy: " + event.detail);
  }
  return {};
}

InstanceLife::Actions InstanceLife::on(const SetupLimitPassed& /*event*/, InstanceLoad /*load*/) {
  if (phase_ != Phase::kSettingUp) return {};
  return fail("setup did not end within its limit");
}

InstanceLife::Actions InstanceLife::on(const StopAsked& event, InstanceLoad load) {
  if (!is_live()) return {};
  const bool may_wait = phase_ == Phase::kReady || phase_ == Phase::kDraining;
  if (!may_wait || load.attempts == 0 || event.drain.count() == 0) {
    return stop("the instance was stopped");
  }
  Actions actions;
  if (phase_ == Phase::kReady) actions.push_back(report(InstanceState::kDraining, {}));
  phase_ = Phase::kDraining;
  // Asked again with another limit: the shorter one ends it.
  InstanceAction timer = step(InstanceStep::kArmDrainLimit);
  timer.limit = event.drain;
  actions.push_back(std::move(timer));
  return actions;
}

InstanceLife::Actions InstanceLife::on(const DrainLimitPassed& /*event*/, InstanceLoad /*load*/) {
  if (phase_ != Phase::kDraining) return {};
  return stop("the instance was stopped before the prediction ended");
}

InstanceLife::Actions InstanceLife::on(const BecameIdle& /*event*/, InstanceLoad load) {
  if (phase_ != Phase::kDraining || load.attempts != 0) return {};
  return stop("the instance was stopped");
}

InstanceLife::Actions InstanceLife::on(const CleanedUp& /*event*/, InstanceLoad /*load*/) {
  if (phase_ != Phase::kStopping) return {};
  phase_ = Phase::kGone;
  Actions actions;
  if (state_ != InstanceState::kFailed) actions.push_back(report(InstanceState::kStopped, {}));
  actions.push_back(step(InstanceStep::kForget));
  return actions;
}

}  // namespace mimeo::worker
