#include "scheduler/core/autoscaler.h"

#include <algorithm>
#include <cmath>

namespace mimeo::scheduler {
namespace {

constexpr double kStableSeconds = 60;
constexpr double kPanicSeconds = 6;
constexpr double kTargetWaitSeconds =
    2;  // A backlog should be served within this, or one start-up.
constexpr double kServiceWeight = 0.0138;  // Half-life of 50 completions.
constexpr double kFirstServiceWeight =
    0.25;  // Towards the first measurements, away from the prior.
constexpr double kStartupWeight = 0.3;

double seconds_between(SteadyTime from, SteadyTime to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

std::uint32_t ceil_count(double value) {
  // A hair below an integer is that integer: sums of floating point must not order an instance.
  return value <= 0 ? 0 : static_cast<std::uint32_t>(std::ceil(value - 1e-6));
}

// How full the slots are meant to be: head room for the unevenness of arrivals.
double utilisation(std::uint32_t slots) { return slots > 1 ? 0.7 : 0.8; }

}  // namespace

void Autoscaler::arrived(SteadyTime now) {
  rate_ = arrival_rate(now) + 1 / kStableSeconds;
  rate_at_ = now;
}

double Autoscaler::arrival_rate(SteadyTime now) const {
  return rate_ * std::exp(-seconds_between(rate_at_, now) / kStableSeconds);
}

void Autoscaler::served(double seconds) {
  // The first few measurements count more: the prior knows nothing of this model.
  const double weight = std::max(kServiceWeight, served_ < 8 ? kFirstServiceWeight : 0.0);
  service_s_ = served_ == 0 ? seconds : service_s_ + weight * (seconds - service_s_);
  service_s_ = std::max(service_s_, 0.001);
  ++served_;
}

void Autoscaler::started_up(double seconds) {
  startup_s_ = has_startup_ ? startup_s_ + kStartupWeight * (seconds - startup_s_) : seconds;
  has_startup_ = true;
}

void Autoscaler::observe(SteadyTime now, double jobs) {
  const double elapsed = seconds_between(last_, now);
  stable_ += (jobs_ - stable_) * (1 - std::exp(-elapsed / kStableSeconds));
  panic_ += (jobs_ - panic_) * (1 - std::exp(-elapsed / kPanicSeconds));
  last_ = now;
  jobs_ = jobs;
}

bool Autoscaler::is_useful(const TargetLoad& load, std::uint32_t count) const {
  if (load.queued == 0) return false;
  if (count == 0) return true;
  const double drained_in = load.queued * service_s_ / (load.slots * count);
  // Or the head has waited longer than a new instance takes: the estimate of the service time is
  // wrong, as with the first, long prediction of a model.
  return drained_in > startup_s_ || load.oldest_wait_s > startup_s_;
}

std::uint32_t Autoscaler::base_wish(SteadyTime now, const TargetLoad& load) {
  const double jobs = static_cast<double>(load.queued) + load.running;
  observe(now, jobs);
  const double slots = std::max(1U, load.slots);
  const double per_instance = slots * utilisation(load.slots);
  const std::uint32_t stable = ceil_count(stable_ / per_instance);
  const std::uint32_t fast = ceil_count(panic_ / per_instance);
  if (fast >= 2 * std::max(1U, load.ready)) panic_until_ = now + std::chrono::seconds{60};
  const bool in_panic = now < panic_until_;

  const double within = std::max(kTargetWaitSeconds, startup_s_);
  const std::uint32_t backlog = ceil_count(load.queued * service_s_ / slots / within);
  // What runs now is worth its instances, however short it has been running.
  const std::uint32_t busy = ceil_count(load.running / slots);

  std::uint32_t want = std::max({stable, in_panic ? fast : 0, backlog + busy});
  return std::min(want, ceil_count(jobs / slots));  // Never more instances than jobs.
}

ScaleWish Autoscaler::wish(SteadyTime now, const TargetLoad& load, const ScaleBounds& bounds) {
  std::uint32_t want = base_wish(now, load);
  const std::uint32_t have = load.ready + load.coming;
  if (load.queued > 0 && have == 0) want = std::max(want, 1U);
  // Grow only as far as each further instance would still find work.
  if (want > have) {
    std::uint32_t useful = have;
    while (useful < want && is_useful(load, useful)) ++useful;
    want = useful;
  }
  // A head that waits longer than a start takes is worth one more, whatever the averages say.
  if (want <= have && load.coming == 0 && load.queued > 0 && load.oldest_wait_s > startup_s_ &&
      load.queued + load.running > have * load.slots) {
    want = have + 1;
  }

  while (!window_.empty() && window_.back().second <= want) window_.pop_back();
  window_.emplace_back(now, want);
  while (window_.size() > 1 && window_.front().first + keep_window_ < now) window_.pop_front();

  const auto clamp = [&](std::uint32_t n) { return std::clamp(n, bounds.min, bounds.max); };
  return {.want = clamp(want), .keep = clamp(std::max(want, window_.front().second))};
}

}  // namespace mimeo::scheduler
