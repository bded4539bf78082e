// Persistence of metering: how long instances and predictions held hardware, what that costs, who
// pays it, and what may be spent. docs/usage.md defines every word used here.
//
// The facts are elsewhere and durable before: rows of `instances` (made, ready, ended; and who
// pays, settled when they are inserted) and what PredictionStore::finish leaves in `usage_pending`.
// meter() turns them into sums. It does so in one transaction that takes the facts away from where
// it found them (or finds them again unchanged), so that each counts once, whoever dies when.
//
// Same rules as predictions.h: methods block, are thread-safe, and may be repeated. All times are
// UTC; durations are whole milliseconds. Amounts are nano-units, billionths of the operator's
// currency: a millisecond at a price of one micro-unit a second is exactly one, so that nothing is
// ever rounded.
//
// Implementations: memory/memory_usage.h (tests), postgres/postgres_store.h. Both pass
// contract/usage_contract.h and contract/billing_contract.h.

#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/domain/prediction.h"

namespace mimeo::store {

// What hardware was held for. Numbers are stored.
enum class UsageKind : std::uint8_t {
  kDeployment = 0,    // Instances of a deployment: its owner pays for their whole lives.
  kPrivateModel = 1,  // Those of a private model's pool: its owner pays for their whole lives.
  kPublicModel = 2,   // Those of a public model's pool: callers pay for what runs.
  kTraining = 3,      // Trainings: who trains pays for the setup and for what runs.
  kEarlier = 4,       // From before there was metering: active time only, without a price.
};
// "deployment", "private_model", "public_model", "training", "earlier".
[[nodiscard]] std::string_view to_string(UsageKind kind);

// Amounts do not wrap: a sum beyond the largest number is the largest number.
[[nodiscard]] constexpr std::int64_t add_up(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}
[[nodiscard]] constexpr std::chrono::milliseconds add_up(std::chrono::milliseconds a,
                                                         std::chrono::milliseconds b) {
  return a + b;
}

// Sums of one thing, by what the time was spent on.
template <class T>
struct Phases {
  T setup{};   // From the order to the first moment that it can run something.
  T idle{};    // Ready, and nothing runs.
  T active{};  // At least one prediction runs; or, where runs are paid, the runs themselves.
  [[nodiscard]] T total() const { return add_up(add_up(setup, idle), active); }
  Phases& operator+=(const Phases& other) {
    setup = add_up(setup, other.setup);
    idle = add_up(idle, other.idle);
    active = add_up(active, other.active);
    return *this;
  }
  friend bool operator==(const Phases&, const Phases&) = default;
};
using PhaseTimes = Phases<std::chrono::milliseconds>;
using PhaseAmounts = Phases<std::int64_t>;  // Nano-units.

// The account of what nobody pays: setup and idle time of public models, which the operator bears.
inline constexpr AccountId kUnbilled = 0;

enum class UsageStep : std::uint8_t { kNone, kHour, kDay, kMonth };
// Which columns tell lines apart; what is not named is summed over.
struct UsageGrouping {
  UsageStep step = UsageStep::kNone;
  bool by_account = false;
  bool by_hardware = false;
  bool by_model = false;
  bool by_deployment = false;
  bool by_kind = false;
};
struct UsageSums {
  PhaseTimes time;
  PhaseAmounts amount;
  std::int64_t predictions = 0;      // That ended, trainings too.
  std::chrono::milliseconds ran{0};  // Sum of their run times, whoever paid for these how.
  UsageSums& operator+=(const UsageSums& other) {
    time += other.time;
    amount += other.amount;
    predictions += other.predictions;
    ran += other.ran;
    return *this;
  }
};
// Columns that are not grouped by stay empty.
struct UsageLine : UsageSums {
  std::optional<WallTime> begin;  // Of the hour, day or month.
  std::string account;            // Username; empty for kUnbilled.
  std::string sku;
  std::string model;       // "owner/name"; empty when unknown (kEarlier).
  std::string deployment;  // "owner/name"; empty for none.
  std::optional<UsageKind> kind;
};
struct UsageQuery {
  std::optional<AccountId> account;  // kUnbilled too; nullopt = all.
  WallTime from;                     // Inclusive; the hour that it lies in counts as a whole.
  WallTime to;                       // Exclusive: hours that begin at or after it do not count.
  UsageGrouping grouping;
  std::optional<UsageLine> after;  // Cursor: the last line of the page before; its sums are unused.
  std::size_t limit = 10'000;
};

// One prediction that was assigned at least once and has ended.
struct PredictionUsage {
  PredictionId id;
  WallTime created_at;
  std::optional<WallTime> started_at;
  WallTime completed_at;
  PredictionStatus status = PredictionStatus::kSucceeded;
  bool is_training = false;
  std::string model;
  std::string deployment;
  std::string sku;
  std::chrono::milliseconds ran{0};
  bool is_charged = false;  // By itself; else its instance's owner pays for the instance.
  std::int64_t amount = 0;  // Nano-units: of the run at the price of its start. Charged or not.
};
struct PredictionUsageQuery {
  AccountId account = 0;
  WallTime from;  // Created in [from, to).
  WallTime to;
  PredictionId before;  // Cursor: ids below (newest first); nil = from the newest.
  std::size_t limit = 100;
};

struct Price {
  std::optional<WallTime> since;  // nullopt: always.
  std::int64_t micros_per_second = 0;
};

// In micro-units: fits into 64 bits as nano-units, and is exact in JSON.
inline constexpr std::int64_t kHighestSpendLimit = 9'000'000'000'000'000;

// Most that an account may spend in a calendar month (UTC), in micro-units. nullopt = no limit.
struct SpendLimits {
  std::optional<std::int64_t> by_operator;
  std::optional<std::int64_t> by_account;  // By the account itself.
  // The lower of both.
  [[nodiscard]] std::optional<std::int64_t> effective() const {
    if (!by_operator || !by_account) return by_operator ? by_operator : by_account;
    return *by_operator < *by_account ? *by_operator : *by_account;
  }
};
enum class LimitSetter : std::uint8_t { kOperator, kAccount };
struct Spend {
  SpendLimits limits;
  std::int64_t spent = 0;  // Nano-units, in that month, of what was metered so far.
  // Never without a limit. A limit of zero is reached at once.
  [[nodiscard]] bool is_reached() const {
    const auto limit = limits.effective();
    return limit.has_value() && spent / 1000 >= *limit;
  }
};

// The first moment of the calendar month of `at`, and of the one after it.
[[nodiscard]] WallTime month_begin(WallTime at);
[[nodiscard]] WallTime month_end(WallTime at);

// What one call of meter() did.
struct Metered {
  bool was_busy = false;  // Another process was at it: nothing was done.
  bool has_more = false;  // Call again: there was more than one call takes.
  std::int64_t predictions = 0;
  std::chrono::milliseconds ran{0};
  PhaseTimes instances;  // Change of all instances' sums; idle falls when a run is reported late.
};

class UsageStore {
 public:
  virtual ~UsageStore() = default;

  // Counts what ended and how long instances lived until `now`, at most `max_predictions` of them
  // and an hour of each instance's life per call. `now` may go back: nothing is uncounted.
  virtual Result<Metered> meter(WallTime now, std::size_t max_predictions) = 0;
  // Gives up the detail of minutes before `before` (which runs overlapped whom): a run reported
  // after that leaves its instance's time as it was counted. Minutes in which something may still
  // run are kept. Costs a scan of active predictions.
  virtual Status seal_usage(WallTime before) = 0;

  // In the order of the grouped columns, each combination of them once: things that have the same
  // name (a deployment that was deleted and made again) share a line. Of all accounts it may take
  // longer than a request should.
  virtual Result<std::vector<UsageLine>> list_usage(const UsageQuery& query) = 0;
  // Newest first. Those whose records were dropped by retention are not there any more.
  virtual Result<std::vector<PredictionUsage>> list_prediction_usage(
      const PredictionUsageQuery& query) = 0;
  // Of a hardware class, newest first. A change counts for minutes and runs that begin after it.
  virtual Result<std::vector<Price>> list_prices(std::string_view sku) = 0;

  // Of the calendar month of `now`. Sums up the month.
  virtual Result<Spend> get_spend(AccountId account, WallTime now) = 0;
  // Spend::is_reached of that month. Costs a look-up for an account without limits.
  virtual Result<bool> is_limit_reached(AccountId account, WallTime now) = 0;
  // kNotFound when there is no such account.
  virtual Status set_spend_limit(AccountId account, LimitSetter setter,
                                 std::optional<std::int64_t> micros) = 0;
  // Lets deployments of accounts that reached their limit scale to zero (their minimum becomes 0),
  // and gives those back their minimum whose accounts are below it again. With kResumeOnly none
  // are paused. Returns how many deployments changed.
  enum class Pausing : std::uint8_t { kResumeOnly, kPauseAndResume };
  virtual Result<std::int64_t> pause_deployments(WallTime now, Pausing pausing) = 0;
};

}  // namespace mimeo::store
