#include "control-plane/usage/metering.h"

#include <utility>

#include "common/async/task_group.h"
#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kPredictionsPerCall = 5000;
constexpr std::chrono::seconds kMinute{60};  // For what need not be done each round.

prometheus::Counter& instance_seconds(Metrics& metrics, const std::string& phase) {
  return metrics.counter("mimeo_control_plane_metered_instance_seconds_total",
                         "Time of instances that this process counted, by phase.",
                         {{"phase", phase}});
}

}  // namespace

Metering::Metering(BlockingPool& pool, store::UsageStore& usage, const Clock& clock,
                   Metrics& metrics, MeteringOptions options)
    : pool_(pool),
      usage_(usage),
      clock_(clock),
      options_(options),
      predictions_(metrics.counter("mimeo_control_plane_metered_predictions_total",
                                   "Ended predictions that this process counted.")),
      ran_(metrics.counter("mimeo_control_plane_metered_run_seconds_total",
                           "Run time of predictions that this process counted.")),
      setup_(instance_seconds(metrics, "setup")),
      idle_(instance_seconds(metrics, "idle")),
      active_(instance_seconds(metrics, "active")) {}

void Metering::Risen::add(milliseconds change) {
  ahead_ += change;
  if (ahead_.count() <= 0) return;
  counter_.Increment(std::chrono::duration<double>(std::exchange(ahead_, {})).count());
}

void Metering::count(const store::Metered& metered) {
  predictions_.Increment(static_cast<double>(metered.predictions));
  ran_.add(metered.ran);
  setup_.add(metered.instances.setup);
  idle_.add(metered.instances.idle);
  active_.add(metered.instances.active);
}

boost::asio::awaitable<Status> Metering::run_once() {
  // For the pool's thread, which may be at work when we are gone.
  store::UsageStore* const usage = &usage_;
  const Clock* const clock = &clock_;
  bool has_more = true;
  while (has_more) {
    auto meter = [usage, clock] { return usage->meter(clock->now(), kPredictionsPerCall); };
    MIMEO_CO_ASSIGN_OR_RETURN(const store::Metered metered, co_await pool_.run(std::move(meter)));
    if (metered.was_busy) co_return absl::OkStatus();
    count(metered);
    has_more = metered.has_more;
  }
  const bool is_minute_over = clock_.steady() - sealed_at_ >= kMinute;
  if (is_minute_over) {
    sealed_at_ = clock_.steady();
    auto seal = [usage, before = clock_.now() - options_.keep_minutes] {
      return usage->seal_usage(before);
    };
    MIMEO_CO_RETURN_IF_ERROR(co_await pool_.run(std::move(seal)));
  }
  // Resuming only: for those that were paused before the setting was taken back.
  if (options_.pausing == store::UsageStore::Pausing::kResumeOnly && !is_minute_over) {
    co_return absl::OkStatus();
  }
  auto pause = [usage, clock, pausing = options_.pausing] {
    return usage->pause_deployments(clock->now(), pausing);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const std::int64_t changed, co_await pool_.run(std::move(pause)));
  if (changed > 0) log::info("spend limits changed deployments count={}", changed);
  co_return absl::OkStatus();
}

boost::asio::awaitable<void> Metering::run() {
  for (;;) {
    const Status status = co_await run_once();
    if (!status.ok()) log::warn("metering: {}", status.ToString());
    const bool goes_on = co_await sleep_for(options_.every);
    if (!goes_on) co_return;
  }
}

}  // namespace mimeo::control
