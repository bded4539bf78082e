#include "control-plane/usage/metering.h"

#include <semaphore>

#include "common/store/memory/memory_usage.h"
#include "control-plane/testing/core_fixture.h"
#include "control-plane/usage/spend_guard.h"

namespace mimeo::control {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using store::LimitSetter;

// Counts reads, fails when told to, and answers the rest from memory.
class WatchedUsage final : public store::UsageStore {
 public:
  explicit WatchedUsage(store::UsageStore& inner) : inner_(inner) {}
  Result<store::Metered> meter(WallTime now, std::size_t max_predictions) override {
    ++meters;
    if (is_away) return absl::UnavailableError("the database is away");
    if (is_busy_elsewhere) {
      store::Metered nothing;
      nothing.was_busy = true;
      return nothing;
    }
    Result<store::Metered> metered = inner_.meter(now, max_predictions);
    if (metered.ok()) metered->has_more = meters < 3;
    return metered;
  }
  Status seal_usage(WallTime before) override {
    sealed.push_back(before);
    return inner_.seal_usage(before);
  }
  Result<std::vector<store::UsageLine>> list_usage(const store::UsageQuery& query) override {
    return inner_.list_usage(query);
  }
  Result<std::vector<store::PredictionUsage>> list_prediction_usage(
      const store::PredictionUsageQuery& query) override {
    return inner_.list_prediction_usage(query);
  }
  Result<std::vector<store::Price>> list_prices(std::string_view sku) override {
    return inner_.list_prices(sku);
  }
  Result<store::Spend> get_spend(AccountId account, WallTime now) override {
    return inner_.get_spend(account, now);
  }
  Result<bool> is_limit_reached(AccountId account, WallTime now) override {
    ++spend_reads;
    if (is_away) return absl::UnavailableError("the database is away");
    const Result<bool> answer = inner_.is_limit_reached(account, now);
    if (is_slow.exchange(false)) may_answer.acquire();
    return answer;
  }
  Status set_spend_limit(AccountId account, LimitSetter setter,
                         std::optional<std::int64_t> micros) override {
    return inner_.set_spend_limit(account, setter, micros);
  }
  Result<std::int64_t> pause_deployments(WallTime now, Pausing pausing) override {
    return inner_.pause_deployments(now, pausing);
  }

  std::atomic<int> meters{0};
  std::atomic<int> spend_reads{0};
  std::atomic<bool> is_away{false};
  std::atomic<bool> is_busy_elsewhere{false};
  std::atomic<bool> is_slow{false};  // The next read answers, with what it found, once it may.
  std::binary_semaphore may_answer{0};
  std::vector<WallTime> sealed;  // Read while nothing runs.

 private:
  store::UsageStore& inner_;
};

class MeteringTest : public CoreTest {
 protected:
  Status round(Metering& metering) { return loop_.run(metering.run_once()); }
  bool may_spend() { return loop_.run(guard_.may_spend(account_.id)); }
  void set_limit(std::optional<std::int64_t> micros) {
    ASSERT_EQ(memory_.set_spend_limit(account_.id, LimitSetter::kOperator, micros),
              absl::OkStatus());
  }
  // Until nothing is read in the background.
  void settle() {
    loop_.drive([this] { return guard_.is_idle(); });
  }

  store::MemoryUsage memory_{store_};
  WatchedUsage usage_{memory_};
  BlockingPool pool_{2};
  Metrics metrics_;
  SpendGuard guard_{loop_.executor(), pool_, usage_, clock_};
};

TEST_F(MeteringTest, ARoundCountsAllThatIsThereAndSealsOnceAMinute) {
  Metering metering(pool_, usage_, clock_, metrics_, {});
  const store::PredictionView view = create_assigned();
  store::Finish finish = finish_of(view.id);
  finish.billed = milliseconds{2500};
  EXPECT_EQ(complete_and_wait(finish), store::FinishOutcome::kCommitted);
  EXPECT_EQ(round(metering), absl::OkStatus());
  EXPECT_EQ(usage_.meters, 3) << "until there is no more";
  EXPECT_EQ(usage_.sealed, std::vector<WallTime>{clock_.now() - hours{2}});
  EXPECT_EQ(round(metering), absl::OkStatus());
  EXPECT_EQ(usage_.sealed.size(), 1U);
  clock_.advance(seconds{60});
  EXPECT_EQ(round(metering), absl::OkStatus());
  EXPECT_EQ(usage_.sealed.size(), 2U);
  const std::string text = metrics_.serialize();
  EXPECT_NE(text.find("mimeo_control_plane_metered_predictions_total 1"), std::string::npos);
  EXPECT_NE(text.find("mimeo_control_plane_metered_run_seconds_total 2.5"), std::string::npos);
}

TEST_F(MeteringTest, WhatCouldNotBeCountedWaitsForTheNextRound) {
  Metering metering(pool_, usage_, clock_, metrics_, {});
  usage_.is_away = true;
  EXPECT_TRUE(absl::IsUnavailable(round(metering)));
  usage_.is_away = false;
  usage_.is_busy_elsewhere = true;
  EXPECT_EQ(round(metering), absl::OkStatus());
  EXPECT_TRUE(usage_.sealed.empty()) << "another process does it all";
  usage_.is_busy_elsewhere = false;
  EXPECT_EQ(round(metering), absl::OkStatus());
  EXPECT_EQ(usage_.sealed.size(), 1U);
}

TEST_F(MeteringTest, AnAccountIsAskedForOnceInAWhileNotPerPrediction) {
  EXPECT_TRUE(may_spend());
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(may_spend());
  EXPECT_EQ(usage_.spend_reads, 1);
  clock_.advance(seconds{6});
  EXPECT_TRUE(may_spend()) << "goes on while it is read again";
  settle();
  EXPECT_TRUE(may_spend());
  EXPECT_EQ(usage_.spend_reads, 2);
}

TEST_F(MeteringTest, AReachedLimitIsNoticedWithinSecondsAndARaisedOneWithinOne) {
  EXPECT_TRUE(may_spend());
  set_limit(0);
  EXPECT_TRUE(may_spend()) << "not known yet";
  clock_.advance(seconds{6});
  may_spend();
  settle();
  EXPECT_FALSE(may_spend());
  const int reads = usage_.spend_reads;
  EXPECT_FALSE(may_spend());
  EXPECT_EQ(usage_.spend_reads, reads);
  set_limit(1);
  clock_.advance(seconds{1});
  EXPECT_TRUE(may_spend());
}

TEST_F(MeteringTest, AfterALongPauseNothingOldIsBelieved) {
  EXPECT_TRUE(may_spend());
  set_limit(0);
  clock_.advance(seconds{15});
  EXPECT_FALSE(may_spend());
}

TEST_F(MeteringTest, ALimitThatIsChangedHereCountsAtOnce) {
  EXPECT_TRUE(may_spend());
  set_limit(0);
  guard_.forget(account_.id);
  EXPECT_FALSE(may_spend());
}

TEST_F(MeteringTest, AllWhoWaitForAnAccountShareARead) {
  const auto ask_at_once = [this] {
    std::vector<std::future<bool>> answers;
    for (int i = 0; i < 20; ++i) answers.push_back(loop_.start(guard_.may_spend(account_.id)));
    int allowed = 0;
    for (std::future<bool>& answer : answers) allowed += loop_.finish(answer) ? 1 : 0;
    return allowed;
  };
  usage_.is_slow = true;
  std::vector<std::future<bool>> first;
  for (int i = 0; i < 20; ++i) first.push_back(loop_.start(guard_.may_spend(account_.id)));
  loop_.settle();
  usage_.may_answer.release();
  for (std::future<bool>& answer : first) EXPECT_TRUE(loop_.finish(answer));
  EXPECT_EQ(usage_.spend_reads, 1);
  set_limit(0);
  clock_.advance(seconds{15});
  EXPECT_EQ(ask_at_once(), 0);
  EXPECT_EQ(usage_.spend_reads, 2);
  clock_.advance(seconds{1});
  EXPECT_EQ(ask_at_once(), 0) << "at its limit, it is asked for once a second, too";
  EXPECT_EQ(usage_.spend_reads, 3);
}

TEST_F(MeteringTest, WhatWasReadBeforeALimitWasChangedDoesNotCount) {
  usage_.is_slow = true;
  std::future<bool> before = loop_.start(guard_.may_spend(account_.id));
  loop_.drive([this] { return usage_.spend_reads == 1 && !usage_.is_slow; });
  set_limit(0);
  guard_.forget(account_.id);
  EXPECT_FALSE(may_spend());
  usage_.may_answer.release();
  EXPECT_FALSE(loop_.finish(before));
  settle();
  EXPECT_FALSE(may_spend()) << "the older result came after the newer";
  EXPECT_EQ(usage_.spend_reads, 2);
}

TEST_F(MeteringTest, WithoutADatabaseWhatWasKnownLastHolds) {
  set_limit(0);
  usage_.is_away = true;
  EXPECT_TRUE(may_spend()) << "of whom nothing was ever read";
  usage_.is_away = false;
  clock_.advance(seconds{1});
  EXPECT_FALSE(may_spend());
  usage_.is_away = true;
  for (int i = 0; i < 20; ++i) {
    clock_.advance(seconds{7});
    EXPECT_FALSE(may_spend());
    settle();
  }
  set_limit(std::nullopt);
  usage_.is_away = false;
  clock_.advance(seconds{1});
  EXPECT_TRUE(may_spend());
}

TEST_F(MeteringTest, WhoeverWaitsWhenReadsAreGivenUpIsNotLeftWaiting) {
  usage_.is_slow = true;
  std::future<bool> waiting = loop_.start(guard_.may_spend(account_.id));
  loop_.drive([this] { return usage_.spend_reads == 1 && !usage_.is_slow; });
  guard_.cancel();
  usage_.may_answer.release();
  EXPECT_TRUE(loop_.finish(waiting));
  EXPECT_TRUE(may_spend());
}

}  // namespace
}  // namespace mimeo::control
