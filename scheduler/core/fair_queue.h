// The order of waiting predictions of one target: start-time fair queueing between accounts on
// seconds of hardware, and inside an account between priority bands (decision D9).
//
// Each account has a tag: the weighted seconds that it was given. The account with the smallest tag
// is served next; one that comes back from idleness starts at the virtual time, so that it can
// neither save up credit nor be punished for having been away. Declared cost is only an estimate:
// correct() settles it when the real one is known. A flood of one account delays itself.
//
// Pure: no clock, no I/O. O(log accounts) per operation.

#pragma once

#include <absl/functional/function_ref.h>

#include <array>
#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/domain/prediction.h"

namespace mimeo::scheduler {

class FairQueue {
 private:
  static constexpr std::size_t kBands = 3;
  struct Band {
    std::list<PredictionId> items;
    double tag = 0;
  };
  struct Account {
    AccountId id = 0;
    double weight = 1;
    double tag = 0;
    double band_time = 0;  // Virtual time between the bands.
    std::array<Band, kBands> bands;
    std::size_t size = 0;
  };

 public:
  // Where an item waits; needed to take it out again. Valid until the item leaves the queue.
  struct Ticket {
    Account* account = nullptr;
    std::size_t band = 0;
    std::list<PredictionId>::iterator item;
  };
  struct Item {
    PredictionId id;
    AccountId account = 0;
    Priority priority = Priority::kDefault;
  };
  // kFront: it waited before and lost its place through no fault of its own (a requeue).
  enum class Position { kBack, kFront };

  FairQueue() = default;
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;

  Ticket push(AccountId account, Priority priority, PredictionId id,
              Position position = Position::kBack);
  // Takes out an item that waits.
  void erase(const Ticket& ticket);

  // The next item of the account with the smallest tag among those that `may_run` admits, charged
  // with `cost` seconds; nullopt when there is none.
  std::optional<Item> pop(absl::FunctionRef<bool(AccountId)> may_run, double cost);
  // Whether pop() would find something.
  [[nodiscard]] bool has_eligible(absl::FunctionRef<bool(AccountId)> may_run) const;

  // The account was served without waiting (a granted slot).
  void charge(AccountId account, double cost);
  // The real cost of something served earlier minus its estimate; may be negative.
  void correct(AccountId account, double difference);
  // Weight of the account from now on; > 0.
  void set_weight(AccountId account, double weight);

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool is_empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size_of(AccountId account) const;
  // The account that pop() would serve first if every account may run.
  [[nodiscard]] std::optional<AccountId> first_account() const {
    return backlog_.empty() ? std::nullopt : std::optional(backlog_.begin()->second);
  }
  // The accounts of at most `count` items, in the order in which pop() would take these now, each
  // charged with `cost`, if every account may run.
  [[nodiscard]] std::vector<AccountId> next_accounts(std::size_t count, double cost) const;
  // Every waiting item, in no useful order.
  void for_each(absl::FunctionRef<void(const Item&)> visit) const;

 private:
  using Key = std::pair<double, AccountId>;

  Account& account(AccountId id);
  void set_tag(Account& account, double tag);
  void remove_from_band(Account& account, std::size_t band, std::list<PredictionId>::iterator item);
  void forget_idle();

  std::map<AccountId, Account> accounts_;  // Nodes are stable: tickets point to them.
  std::set<Key> backlog_;                  // Accounts with items, by tag.
  double virtual_time_ = 0;
  std::size_t size_ = 0;
  std::size_t until_sweep_ = 0;
};

}  // namespace mimeo::scheduler
