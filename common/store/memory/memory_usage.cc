#include "common/store/memory/memory_usage.h"

#include <algorithm>
#include <set>

namespace mimeo::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

WallTime whole_ms(WallTime at) { return floor<milliseconds>(at); }

// How much of [from, to) the intervals cover together.
milliseconds covered(std::vector<std::pair<WallTime, WallTime>> intervals, WallTime from,
                     WallTime to) {
  std::sort(intervals.begin(), intervals.end());
  milliseconds sum{0};
  for (const auto& [begin, end] : intervals) {
    const WallTime low = std::max(begin, from);
    const WallTime high = std::min(end, to);
    if (high <= low) continue;
    sum += std::chrono::duration_cast<milliseconds>(high - low);
    from = high;
  }
  return sum;
}

bool are_runs_charged(UsageKind kind) {
  return kind == UsageKind::kPublicModel || kind == UsageKind::kTraining;
}

WallTime step_begin(WallTime hour, UsageStep step) {
  if (step == UsageStep::kDay) return floor<std::chrono::days>(hour);
  return step == UsageStep::kMonth ? month_begin(hour) : hour;
}

}  // namespace

// Who pays for an instance, and what it is called in lines of usage.
struct MemoryUsage::Terms {
  AccountId setup_payer = kUnbilled;
  AccountId life_payer = kUnbilled;  // Of idle and active time.
  bool are_runs_charged = true;
  ModelId model = 0;
  DeploymentId deployment = 0;
  UsageKind kind = UsageKind::kPublicModel;
};

struct MemoryUsage::Run {
  const NewPrediction* prediction = nullptr;
  std::string sku;
  DeploymentId deployment = 0;
  UsageKind kind = UsageKind::kPublicModel;
  WallTime begin;
  WallTime end;
  milliseconds ran{0};
  bool is_charged = true;
  std::int64_t amount = 0;
};

MemoryUsage::Terms MemoryUsage::terms_of(const InstanceRow& instance) const {
  const MemoryStore::InstanceTerms& ordered = store_.instance_terms_.at(instance.id);
  Terms terms;
  terms.kind = ordered.kind;
  terms.setup_payer = ordered.payer;
  terms.are_runs_charged = are_runs_charged(ordered.kind);
  if (!terms.are_runs_charged) terms.life_payer = ordered.payer;
  const auto version = store_.versions_.find(instance.version);
  if (version != store_.versions_.end()) terms.model = version->second.model;
  const auto target = store_.targets_.find(instance.target);
  if (target != store_.targets_.end()) terms.deployment = target->second.deployment.value_or(0);
  return terms;
}

std::int64_t MemoryUsage::price_at(const std::string& sku, WallTime at) const {
  const auto prices = store_.prices_.find(sku);
  if (prices == store_.prices_.end()) return 0;
  const auto after = prices->second.upper_bound(at);
  return after == prices->second.begin() ? 0 : std::prev(after)->second;
}

MemoryUsage::Run MemoryUsage::run_of(const MemoryStore::Outcome& outcome) const {
  Run run;
  run.prediction = &store_.predictions_.at(outcome.finish.id);
  run.ran = outcome.finish.billed.value_or(milliseconds{0});
  run.end = whole_ms(outcome.finish.completed_at);
  run.begin = run.end - run.ran;
  const auto target = store_.targets_.find(run.prediction->target);
  if (target != store_.targets_.end()) {
    run.sku = target->second.sku;
    run.deployment = target->second.deployment.value_or(0);
  }
  // Without an instance (it was given up, and the prediction then canceled): as one there.
  run.kind = store_.usage_kind(run.prediction->target, run.prediction->model);
  run.is_charged = are_runs_charged(run.kind);
  const auto instance = store_.instances_.find(outcome.finish.instance.value_or(InstanceId{}));
  if (instance != store_.instances_.end()) {
    const Terms terms = terms_of(instance->second);
    run.sku = instance->second.sku;
    run.kind = terms.kind;
    run.is_charged = terms.are_runs_charged;
  }
  if (run.prediction->is_training) run.kind = UsageKind::kTraining;
  run.amount = run.ran.count() * price_at(run.sku, run.begin);
  return run;
}

void MemoryUsage::count_run(const Run& run) {
  UsageSums& sums = totals_[{run.prediction->account, floor<std::chrono::hours>(run.end), run.sku,
                             run.prediction->model, run.deployment, run.kind}];
  ++sums.predictions;
  sums.ran += run.ran;
  if (!run.is_charged) return;
  sums.time.active += run.ran;
  sums.amount.active = add_up(sums.amount.active, run.amount);
}

void MemoryUsage::count_life(const InstanceRow& instance, PhaseTimes& all) {
  const Terms terms = terms_of(instance);
  const WallTime began = whole_ms(instance.id.created_at());
  const bool has_ended = is_terminal(instance.state);
  const WallTime end = std::max(began, whole_ms(has_ended ? instance.state_since : metered_to_));
  const WallTime ready = std::clamp(whole_ms(instance.ready_at.value_or(end)), began, end);
  std::vector<std::pair<WallTime, WallTime>> busy;
  for (const auto& [id, outcome] : store_.results_) {
    if (outcome.attempt == 0 || outcome.finish.instance != instance.id) continue;
    const Run run = run_of(outcome);
    const auto seal = sealed_to_.find(instance.id);
    const WallTime sealed_to = seal == sealed_to_.end() ? WallTime::min() : seal->second;
    const WallTime from = busy_from_.try_emplace(id, sealed_to).first->second;
    busy.emplace_back(std::max(run.begin, from), run.end);
  }
  for (WallTime minute = floor<minutes>(began); minute < end; minute += minutes{1}) {
    const WallTime low = std::max(began, minute);
    const WallTime high = std::min(end, minute + minutes{1});
    const WallTime set_up = std::clamp(ready, low, high);
    PhaseTimes time;
    time.active = covered(busy, low, high);
    time.setup =
        std::chrono::duration_cast<milliseconds>(set_up - low) - covered(busy, low, set_up);
    time.idle = std::chrono::duration_cast<milliseconds>(high - low) - time.setup - time.active;
    const std::int64_t price = price_at(instance.sku, minute);
    const WallTime hour = floor<std::chrono::hours>(minute);
    if (time.setup.count() > 0) {
      UsageSums& setup = totals_[{terms.setup_payer, hour, instance.sku, terms.model,
                                  terms.deployment, terms.kind}];
      setup.time.setup += time.setup;
      setup.amount.setup += time.setup.count() * price;
    }
    if ((time.idle + time.active).count() > 0) {
      UsageSums& rest = totals_[{terms.life_payer, hour, instance.sku, terms.model,
                                 terms.deployment, terms.kind}];
      rest.time.idle += time.idle;
      rest.time.active += time.active;
      rest.amount.idle += time.idle.count() * price;
      if (!terms.are_runs_charged) rest.amount.active += time.active.count() * price;
    }
    all += time;
  }
}

Result<Metered> MemoryUsage::meter(WallTime now, std::size_t) {
  const std::scoped_lock lock(mutex_, store_.mutex_);
  metered_to_ = std::max(metered_to_, now);
  totals_.clear();
  Metered sums;
  for (const auto& [id, outcome] : store_.results_) {
    if (outcome.attempt == 0) continue;
    const Run run = run_of(outcome);
    count_run(run);
    ++sums.predictions;
    sums.ran += run.ran;
  }
  for (const auto& [id, instance] : store_.instances_) count_life(instance, sums.instances);
  Metered change;
  change.predictions = sums.predictions - before_.predictions;
  change.ran = sums.ran - before_.ran;
  change.instances.setup = sums.instances.setup - before_.instances.setup;
  change.instances.idle = sums.instances.idle - before_.instances.idle;
  change.instances.active = sums.instances.active - before_.instances.active;
  before_ = sums;
  return change;
}

// Whether something that was assigned to it before `since` may still turn out to have run there.
bool MemoryUsage::is_at_work(InstanceId instance, WallTime since) const {
  return std::any_of(store_.active_.begin(), store_.active_.end(), [&](const auto& entry) {
    const ActiveRow& row = entry.second.row;
    return row.instance == instance && row.assigned_at && *row.assigned_at < since;
  });
}

Status MemoryUsage::seal_usage(WallTime before) {
  const std::scoped_lock lock(mutex_, store_.mutex_);
  for (const auto& [id, instance] : store_.instances_) {
    if (is_at_work(id, before)) continue;
    const WallTime counted_to = floor<minutes>(std::min(before, metered_to_));
    WallTime& sealed_to = sealed_to_.try_emplace(id, WallTime::min()).first->second;
    sealed_to = std::max(sealed_to, counted_to);
  }
  return absl::OkStatus();
}

std::string MemoryUsage::model_name(ModelId id) const {
  const auto model = store_.models_.find(id);
  if (model == store_.models_.end()) return "";
  return store_.accounts_.at(model->second.model.owner_id).username + "/" +
         model->second.model.name;
}

std::string MemoryUsage::deployment_name(DeploymentId id) const {
  const auto found = store_.deployments_.find(id);
  if (found == store_.deployments_.end()) return "";
  const Deployment& deployment = found->second.deployment;
  return store_.accounts_.at(deployment.owner_id).username + "/" + deployment.name;
}

Result<std::vector<UsageLine>> MemoryUsage::list_usage(const UsageQuery& query) {
  const std::scoped_lock lock(mutex_, store_.mutex_);
  const UsageGrouping& by = query.grouping;
  using LineKey = std::tuple<std::optional<WallTime>, std::string, std::string, std::string,
                             std::string, std::optional<UsageKind>>;
  std::map<LineKey, UsageLine> lines;
  for (const auto& [key, sums] : totals_) {
    const auto& [account, hour, sku, model, deployment, kind] = key;
    if (query.account && *query.account != account) continue;
    if (hour < floor<std::chrono::hours>(query.from) || hour >= query.to) continue;
    UsageLine line;
    if (by.step != UsageStep::kNone) line.begin = step_begin(hour, by.step);
    if (by.by_account && account != kUnbilled) line.account = store_.accounts_.at(account).username;
    if (by.by_hardware) line.sku = sku;
    if (by.by_model) line.model = model_name(model);
    if (by.by_deployment) line.deployment = deployment_name(deployment);
    if (by.by_kind) line.kind = kind;
    UsageLine& sum =
        lines
            .try_emplace(
                {line.begin, line.account, line.sku, line.model, line.deployment, line.kind}, line)
            .first->second;
    sum += sums;
  }
  auto next = lines.begin();
  if (query.after) {
    const UsageLine& after = *query.after;
    next = lines.upper_bound(
        {after.begin, after.account, after.sku, after.model, after.deployment, after.kind});
  }
  std::vector<UsageLine> answer;
  for (; next != lines.end() && answer.size() < query.limit; ++next) {
    answer.push_back(std::move(next->second));
  }
  return answer;
}

Result<std::vector<PredictionUsage>> MemoryUsage::list_prediction_usage(
    const PredictionUsageQuery& query) {
  const std::scoped_lock lock(mutex_, store_.mutex_);
  std::vector<PredictionUsage> page;
  const auto& all = store_.predictions_;
  for (auto it = all.rbegin(); it != all.rend() && page.size() < query.limit; ++it) {
    const PredictionId id = it->first;
    const auto result = store_.results_.find(id);
    if (it->second.account != query.account || result == store_.results_.end()) continue;
    if (id < Uuid::lowest_at(query.from) || id >= Uuid::lowest_at(query.to)) continue;
    if (result->second.attempt == 0 || (!query.before.is_nil() && id >= query.before)) continue;
    const Run run = run_of(result->second);
    PredictionUsage usage;
    usage.id = id;
    usage.created_at = it->second.created_at;
    usage.started_at = result->second.finish.started_at;
    usage.completed_at = result->second.finish.completed_at;
    usage.status = result->second.finish.status;
    usage.is_training = it->second.is_training;
    usage.model = model_name(it->second.model);
    usage.deployment = deployment_name(it->second.deployment.value_or(0));
    usage.sku = run.sku;
    usage.ran = run.ran;
    usage.is_charged = run.is_charged;
    usage.amount = run.amount;
    page.push_back(std::move(usage));
  }
  return page;
}

Result<std::vector<Price>> MemoryUsage::list_prices(std::string_view sku) {
  const std::scoped_lock lock(store_.mutex_);
  std::vector<Price> prices;
  const auto found = store_.prices_.find(sku);
  if (found == store_.prices_.end()) return prices;
  for (auto it = found->second.rbegin(); it != found->second.rend(); ++it) {
    Price price;
    if (it->first != WallTime::min()) price.since = it->first;
    price.micros_per_second = it->second;
    prices.push_back(price);
  }
  return prices;
}

Spend MemoryUsage::spend_of(AccountId account, WallTime now) const {
  Spend spend;
  if (const auto limits = limits_.find(account); limits != limits_.end()) {
    spend.limits = limits->second;
  }
  for (const auto& [key, sums] : totals_) {
    const WallTime hour = std::get<1>(key);
    if (std::get<0>(key) != account || hour < month_begin(now) || hour >= month_end(now)) continue;
    spend.spent = add_up(spend.spent, sums.amount.total());
  }
  return spend;
}

Result<Spend> MemoryUsage::get_spend(AccountId account, WallTime now) {
  const std::scoped_lock lock(mutex_);
  return spend_of(account, now);
}

Result<bool> MemoryUsage::is_limit_reached(AccountId account, WallTime now) {
  const std::scoped_lock lock(mutex_);
  return spend_of(account, now).is_reached();
}

Status MemoryUsage::set_spend_limit(AccountId account, LimitSetter setter,
                                    std::optional<std::int64_t> micros) {
  const std::scoped_lock lock(mutex_, store_.mutex_);
  if (!store_.accounts_.contains(account)) return absl::NotFoundError("no such account");
  SpendLimits& limits = limits_[account];
  (setter == LimitSetter::kOperator ? limits.by_operator : limits.by_account) = micros;
  return absl::OkStatus();
}

Result<std::int64_t> MemoryUsage::pause_deployments(WallTime now, Pausing pausing) {
  const std::scoped_lock lock(mutex_, store_.mutex_);
  std::int64_t changed = 0;
  for (const auto& [id, record] : store_.deployments_) {
    if (record.is_deleted || record.releases.empty()) continue;
    const bool is_paused = pausing == Pausing::kPauseAndResume &&
                           spend_of(record.deployment.owner_id, now).is_reached();
    const std::int32_t wanted = is_paused ? 0 : record.releases.back().min_instances;
    Target& target = store_.targets_.at(record.deployment.target);
    if (target.min_instances == wanted) continue;
    target.min_instances = wanted;
    store_.touch_target(target.id);
    ++changed;
  }
  return changed;
}

}  // namespace mimeo::store
