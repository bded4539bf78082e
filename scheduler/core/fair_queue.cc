#include "scheduler/core/fair_queue.h"

#include <algorithm>

namespace mimeo::scheduler {
namespace {

// Shares of the bands of one account while all of them wait: none starves, no aging is needed.
constexpr std::array<double, 3> kBandWeight{8, 4, 1};

std::size_t band_of(Priority priority) {
  return std::min<std::size_t>(static_cast<std::size_t>(priority), 2);
}

// Idle accounts are kept only while their tag says something; this many are tolerated before.
constexpr std::size_t kIdleAccountsKept = 1024;

}  // namespace

FairQueue::Account& FairQueue::account(AccountId id) {
  const auto [it, is_new] = accounts_.try_emplace(id);
  if (is_new) {
    it->second.id = id;
    it->second.tag = virtual_time_;
  }
  return it->second;
}

void FairQueue::set_tag(Account& account, double tag) {
  if (account.size > 0) {
    backlog_.erase({account.tag, account.id});
    backlog_.insert({tag, account.id});
  }
  account.tag = tag;
}

FairQueue::Ticket FairQueue::push(AccountId id, Priority priority, PredictionId prediction,
                                  Position position) {
  Account& a = account(id);
  if (a.size == 0) {
    a.tag = std::max(a.tag, virtual_time_);
    backlog_.insert({a.tag, a.id});
  }
  const std::size_t index = band_of(priority);
  Band& band = a.bands[index];
  if (band.items.empty()) band.tag = std::max(band.tag, a.band_time);
  const auto where = position == Position::kBack ? band.items.end() : band.items.begin();
  const auto item = band.items.insert(where, prediction);
  ++a.size;
  ++size_;
  return {&a, index, item};
}

void FairQueue::remove_from_band(Account& a, std::size_t band,
                                 std::list<PredictionId>::iterator item) {
  a.bands[band].items.erase(item);
  --size_;
  if (--a.size == 0) backlog_.erase({a.tag, a.id});
}

void FairQueue::erase(const Ticket& ticket) {
  remove_from_band(*ticket.account, ticket.band, ticket.item);
}

std::optional<FairQueue::Item> FairQueue::pop(absl::FunctionRef<bool(AccountId)> may_run,
                                              double cost) {
  for (const Key& key : backlog_) {
    if (!may_run(key.second)) continue;
    Account& a = accounts_.at(key.second);
    std::size_t best = kBands;
    for (std::size_t i = 0; i < kBands; ++i) {
      if (a.bands[i].items.empty()) continue;
      if (best == kBands || a.bands[i].tag < a.bands[best].tag) best = i;
    }
    Band& band = a.bands[best];
    const Item item{band.items.front(), a.id, static_cast<Priority>(best)};
    virtual_time_ = std::max(virtual_time_, a.tag);
    a.band_time = std::max(a.band_time, band.tag);
    band.tag += cost / kBandWeight[best];
    set_tag(a, a.tag + cost / a.weight);
    remove_from_band(a, best, band.items.begin());
    forget_idle();
    return item;
  }
  return std::nullopt;
}

bool FairQueue::has_eligible(absl::FunctionRef<bool(AccountId)> may_run) const {
  return std::any_of(backlog_.begin(), backlog_.end(),
                     [&](const Key& key) { return may_run(key.second); });
}

std::vector<AccountId> FairQueue::next_accounts(std::size_t count, double cost) const {
  std::set<Key> order = backlog_;
  std::map<AccountId, std::size_t> taken;
  std::vector<AccountId> next;
  while (next.size() < count && !order.empty()) {
    const auto [tag, id] = *order.begin();
    order.erase(order.begin());
    next.push_back(id);
    const Account& a = accounts_.at(id);
    if (++taken[id] < a.size) order.emplace(tag + cost / a.weight, id);
  }
  return next;
}

void FairQueue::charge(AccountId id, double cost) {
  Account& a = account(id);
  const double start = std::max(a.tag, virtual_time_);
  virtual_time_ = start;
  set_tag(a, start + cost / a.weight);
  forget_idle();
}

void FairQueue::correct(AccountId id, double difference) {
  Account& a = account(id);
  set_tag(a, a.tag + difference / a.weight);
}

void FairQueue::set_weight(AccountId id, double weight) {
  if (weight > 0) account(id).weight = weight;
}

std::size_t FairQueue::size_of(AccountId id) const {
  const auto it = accounts_.find(id);
  return it == accounts_.end() ? 0 : it->second.size;
}

void FairQueue::for_each(absl::FunctionRef<void(const Item&)> visit) const {
  for (const auto& [id, a] : accounts_) {
    for (std::size_t i = 0; i < kBands; ++i) {
      for (const PredictionId& prediction : a.bands[i].items) {
        visit({prediction, id, static_cast<Priority>(i)});
      }
    }
  }
}

// An idle account whose tag is not above the virtual time would start there anyway. Those with a
// weight of their own get it again from the cell when they come back.
void FairQueue::forget_idle() {
  if (accounts_.size() < kIdleAccountsKept + 2 * backlog_.size()) return;
  if (until_sweep_-- > 0)
    return;  // Amortized: one sweep per as many services as there are accounts.
  until_sweep_ = accounts_.size();
  std::erase_if(accounts_, [this](const auto& entry) {
    return entry.second.size == 0 && entry.second.tag <= virtual_time_;
  });
}

}  // namespace mimeo::scheduler
