#include "scheduler/core/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "common/base/random.h"

namespace mimeo::scheduler {
namespace {

using std::chrono::milliseconds;

const SteadyTime kStart{std::chrono::hours{1}};

std::vector<int> fired_by(TimerWheel<int>& wheel, SteadyTime now) {
  std::vector<int> fired;
  wheel.advance(now, [&](int payload) { fired.push_back(payload); });
  return fired;
}

TEST(TimerWheel, FiresAtItsTimeAndNotBefore) {
  TimerWheel<int> wheel(kStart);
  wheel.schedule(kStart + milliseconds{100}, 1);
  EXPECT_TRUE(fired_by(wheel, kStart + milliseconds{99}).empty());
  EXPECT_EQ(fired_by(wheel, kStart + milliseconds{100}), std::vector<int>{1});
  EXPECT_EQ(wheel.size(), 0U);
}

TEST(TimerWheel, FiresInOrderOfTimeAndOfSchedulingWithinATick) {
  TimerWheel<int> wheel(kStart);
  wheel.schedule(kStart + milliseconds{300}, 3);
  wheel.schedule(kStart + milliseconds{100}, 1);
  wheel.schedule(kStart + milliseconds{200}, 2);
  wheel.schedule(kStart + milliseconds{300}, 4);
  EXPECT_EQ(fired_by(wheel, kStart + std::chrono::seconds{10}), (std::vector<int>{1, 2, 3, 4}));
}

TEST(TimerWheel, ACancelledTimerNeverFiresAndItsIdIsHarmlessAfterwards) {
  TimerWheel<int> wheel(kStart);
  TimerId first = wheel.schedule(kStart + milliseconds{50}, 1);
  TimerId copy = first;
  wheel.cancel(first);
  EXPECT_FALSE(first.is_set());
  wheel.schedule(kStart + milliseconds{50}, 2);  // Takes the freed place.
  wheel.cancel(copy);
  EXPECT_EQ(fired_by(wheel, kStart + milliseconds{100}), std::vector<int>{2});
}

TEST(TimerWheel, WhatACallbackSchedulesForNowFiresInALaterTick) {
  TimerWheel<int> wheel(kStart);
  wheel.schedule(kStart + milliseconds{10}, 0);
  int rounds = 0;
  wheel.advance(kStart + milliseconds{100}, [&](int) {
    ++rounds;
    wheel.schedule(kStart, 0);
  });
  EXPECT_EQ(rounds, 10) << "once a tick, not for ever";
}

TEST(TimerWheel, ReachesTimesBeyondItsHorizon) {
  TimerWheel<int> wheel(kStart);
  wheel.schedule(kStart + std::chrono::hours{24}, 1);
  wheel.schedule(kStart + std::chrono::hours{24 * 3}, 2);
  EXPECT_TRUE(fired_by(wheel, kStart + std::chrono::hours{23}).empty());
  EXPECT_EQ(fired_by(wheel, kStart + std::chrono::hours{25}), std::vector<int>{1});
  EXPECT_EQ(fired_by(wheel, kStart + std::chrono::hours{73}), std::vector<int>{2});
}

TEST(TimerWheel, AgreesWithASortedListOnRandomSchedules) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    TimerWheel<int> wheel(kStart);
    std::map<int, std::pair<SteadyTime, TimerId>> expected;
    SteadyTime now = kStart;
    int next = 0;
    for (int step = 0; step < 400; ++step) {
      const auto ahead = milliseconds{random.below(random.below(4) == 0 ? 5'000'000 : 3'000)};
      expected[next] = {now + ahead, wheel.schedule(now + ahead, next)};
      ++next;
      if (random.below(3) == 0) {
        auto victim = expected.begin();
        std::advance(victim, static_cast<long>(random.below(expected.size())));
        wheel.cancel(victim->second.second);
        expected.erase(victim);
      }
      if (const auto wakeup = wheel.next_wakeup()) {
        for (const auto& [number, entry] : expected) {
          ASSERT_LE(*wakeup, std::max(entry.first, now) + milliseconds{10}) << "seed " << seed;
        }
      }
      now += milliseconds{random.below(random.below(10) == 0 ? 100'000 : 500)};
      for (const int fired : fired_by(wheel, now)) {
        ASSERT_TRUE(expected.contains(fired)) << "seed " << seed;
        ASSERT_LE(expected[fired].first, now) << "early, seed " << seed;
        expected.erase(fired);
      }
      for (const auto& [number, entry] : expected) {
        ASSERT_GT(entry.first + milliseconds{10}, now) << "late, seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace mimeo::scheduler
