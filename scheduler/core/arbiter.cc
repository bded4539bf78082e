#include "scheduler/core/arbiter.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "scheduler/core/placement_rules.h"

namespace mimeo::scheduler {
namespace {

constexpr double kHalfLifeSeconds = 600;
const double kMeanLifeSeconds = kHalfLifeSeconds / std::log(2.0);

// Worst first.
bool is_worse(const StartWish& a, const StartWish& b) {
  return std::tuple(a.gain, a.waiting_s, -a.spec.target) <
         std::tuple(b.gain, b.waiting_s, -b.spec.target);
}

}  // namespace

Arbiter::Arbiter(std::vector<StartWish> wishes, std::map<AccountId, AccountShare> shares)
    : shares_(std::move(shares)) {
  for (StartWish& wish : wishes) {
    auto& list = wish.is_starving ? starving_ : waiting_[wish.account];
    list.push_back(std::move(wish));
  }
  for (auto& [account, list] : waiting_) std::stable_sort(list.begin(), list.end(), is_worse);
  std::stable_sort(starving_.begin(), starving_.end(), [](const StartWish& a, const StartWish& b) {
    return std::tuple(a.waiting_s, -a.spec.target) < std::tuple(b.waiting_s, -b.spec.target);
  });
}

double Arbiter::key(AccountId account) const {
  const auto it = shares_.find(account);
  if (it == shares_.end()) return 0;
  return (it->second.held + it->second.recent) / std::max(it->second.weight, 1e-9);
}

std::optional<StartWish> Arbiter::next() {
  if (!starving_.empty()) {
    StartWish wish = std::move(starving_.back());
    starving_.pop_back();
    return wish;
  }
  auto best = waiting_.end();
  double best_key = 0;
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    const double k = key(it->first);
    const bool is_older = best != waiting_.end() && k == best_key &&
                          it->second.back().waiting_s > best->second.back().waiting_s;
    if (best == waiting_.end() || k < best_key || is_older) {
      best = it;
      best_key = k;
    }
  }
  if (best == waiting_.end()) return std::nullopt;
  StartWish wish = std::move(best->second.back());
  best->second.pop_back();
  if (best->second.empty()) waiting_.erase(best);
  return wish;
}

void Arbiter::served(AccountId account, const Resources& resources) {
  shares_[account].held += hardware_units(resources);
}

std::optional<Eviction> find_eviction(const InstanceSpec& spec, std::span<const WorkerView> workers,
                                      std::span<const VictimView> victims,
                                      const std::map<TargetId, std::uint32_t>& spare) {
  std::map<WorkerId, std::vector<const VictimView*>> by_worker;
  for (const VictimView& victim : victims) by_worker[victim.worker].push_back(&victim);

  std::optional<Eviction> best;
  double best_cost = 0;
  for (const WorkerView& worker : workers) {
    const auto it = by_worker.find(worker.id);
    if (it == by_worker.end() || !is_ready(worker) || !has_hardware(spec, worker)) continue;
    std::vector<const VictimView*>& local = it->second;
    std::stable_sort(local.begin(), local.end(), [](const VictimView* a, const VictimView* b) {
      return std::tuple(!a->is_outdated, a->score, a->instance) <
             std::tuple(!b->is_outdated, b->score, b->instance);
    });

    WorkerView after = worker;
    std::map<TargetId, std::uint32_t> left = spare;
    std::vector<const VictimView*> chosen;
    for (const VictimView* victim : local) {
      if (!why_refused(spec, after)) break;
      if (!victim->is_outdated) {
        auto& allowed = left[victim->spec.target];
        if (allowed == 0) continue;
        --allowed;
      }
      unbook(after, victim->spec, victim->gpus);
      chosen.push_back(victim);
    }
    if (why_refused(spec, after)) continue;
    // Some taken early may turn out to be needless: give back the dearest first.
    std::vector<InstanceId> ids;
    double cost = 0;
    for (auto v = chosen.rbegin(); v != chosen.rend(); ++v) {
      WorkerView without = after;
      book(without, (*v)->spec, (*v)->gpus);
      if (!why_refused(spec, without)) {
        after = without;
        continue;
      }
      ids.push_back((*v)->instance);
      cost += (*v)->score;
    }
    if (ids.empty()) continue;                // It fits as it is: a case for place().
    cost -= 1e-6 * warm_cache(spec, worker);  // Between equals, the one with the image.
    if (!best || cost < best_cost) {
      best = Eviction{worker.id, choose_gpus(spec, after), std::move(ids)};
      best_cost = cost;
    }
  }
  return best;
}

void DecayedUse::add(SteadyTime now, double unit_seconds) {
  sum_ = average(now) * kMeanLifeSeconds + unit_seconds;
  at_ = now;
}

double DecayedUse::average(SteadyTime now) const {
  const double elapsed = std::max(0.0, std::chrono::duration<double>(now - at_).count());
  return sum_ / kMeanLifeSeconds * std::exp(-elapsed / kMeanLifeSeconds);
}

}  // namespace mimeo::scheduler
