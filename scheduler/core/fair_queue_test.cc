#include "scheduler/core/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <queue>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"

namespace mimeo::scheduler {
namespace {

bool everybody(AccountId) { return true; }

class FairQueueTest : public ::testing::Test {
 protected:
  PredictionId push(AccountId account, Priority priority = Priority::kDefault) {
    const PredictionId id = ids_.next();
    queue_.push(account, priority, id);
    return id;
  }
  AccountId pop(double cost = 1) {
    const auto item = queue_.pop(everybody, cost);
    return item ? item->account : 0;
  }
  FakeClock clock_;
  SeededRandom random_{7};
  IdGenerator ids_{clock_, random_};
  FairQueue queue_;
};

TEST_F(FairQueueTest, ServesOneAccountInTheOrderOfArrival) {
  const PredictionId a = push(1);
  const PredictionId b = push(1);
  EXPECT_EQ(queue_.pop(everybody, 1)->id, a);
  EXPECT_EQ(queue_.pop(everybody, 1)->id, b);
  EXPECT_FALSE(queue_.pop(everybody, 1).has_value());
}

TEST_F(FairQueueTest, AlternatesBetweenAccountsHoweverManyTheyPut) {
  for (int i = 0; i < 100; ++i) push(1);
  for (int i = 0; i < 3; ++i) push(2);
  std::map<AccountId, int> served;
  for (int i = 0; i < 6; ++i) ++served[pop()];
  EXPECT_EQ(served[1], 3);
  EXPECT_EQ(served[2], 3);
}

TEST_F(FairQueueTest, TellsWhoseTurnsComeNext) {
  for (int i = 0; i < 5; ++i) push(1);
  for (int i = 0; i < 2; ++i) push(2);
  queue_.set_weight(1, 2);
  EXPECT_TRUE(queue_.next_accounts(0, 1).empty());
  const std::vector<AccountId> told = queue_.next_accounts(10, 1);
  std::vector<AccountId> served;
  while (const AccountId account = pop()) served.push_back(account);
  EXPECT_EQ(served.size(), 7U);
  EXPECT_EQ(told, served);
}

TEST_F(FairQueueTest, SharesByWeight) {
  for (int i = 0; i < 100; ++i) {
    push(1);
    push(2);
  }
  queue_.set_weight(2, 3);
  std::map<AccountId, int> served;
  for (int i = 0; i < 40; ++i) ++served[pop()];
  EXPECT_EQ(served[1], 10);
  EXPECT_EQ(served[2], 30);
}

TEST_F(FairQueueTest, SharesByCostNotByCount) {
  for (int i = 0; i < 100; ++i) {
    push(1);
    push(2);
  }
  std::map<AccountId, double> seconds;
  for (int i = 0; i < 66; ++i) {
    const auto item = queue_.pop(everybody, 1);  // Estimated alike,
    const double real = item->account == 1 ? 1 : 10;
    queue_.correct(item->account, real - 1);  // but account 2's take ten times as long.
    seconds[item->account] += real;
  }
  EXPECT_NEAR(seconds[1] / seconds[2], 1, 0.25);
}

TEST_F(FairQueueTest, IdlenessEarnsNoCredit) {
  push(2);
  pop();
  for (int i = 0; i < 100; ++i) push(1);
  for (int i = 0; i < 50; ++i) pop();
  for (int i = 0; i < 20; ++i) push(2);  // Back after a long time.
  std::map<AccountId, int> served;
  for (int i = 0; i < 10; ++i) ++served[pop()];
  EXPECT_GE(served[1], 4) << "the others are not shut out while it catches up";
}

TEST_F(FairQueueTest, ALightAccountWaitsForAboutOneServiceBehindADump) {
  for (int i = 0; i < 10'000; ++i) push(1);
  for (int i = 0; i < 500; ++i) pop();
  push(2);
  int before = 1;
  while (pop() != 2) ++before;
  EXPECT_LE(before, 2);
}

TEST_F(FairQueueTest, BandsOfOneAccountShareEightFourOne) {
  for (int i = 0; i < 200; ++i) {
    push(1, Priority::kRealtime);
    push(1, Priority::kDefault);
    push(1, Priority::kBatch);
  }
  std::map<Priority, int> served;
  for (int i = 0; i < 130; ++i) ++served[queue_.pop(everybody, 1)->priority];
  EXPECT_NEAR(served[Priority::kRealtime], 80, 2);
  EXPECT_NEAR(served[Priority::kDefault], 40, 2);
  EXPECT_NEAR(served[Priority::kBatch], 10, 2);
}

TEST_F(FairQueueTest, PrioritiesOfOneAccountDoNotPushOthersAside) {
  for (int i = 0; i < 50; ++i) push(1, Priority::kRealtime);
  for (int i = 0; i < 50; ++i) push(2, Priority::kBatch);
  std::map<AccountId, int> served;
  for (int i = 0; i < 20; ++i) ++served[pop()];
  EXPECT_EQ(served[1], 10);
}

TEST_F(FairQueueTest, SkipsAccountsThatMayNotRun) {
  push(1);
  const PredictionId b = push(2);
  const auto not_one = [](AccountId id) { return id != 1; };
  EXPECT_EQ(queue_.pop(not_one, 1)->id, b);
  EXPECT_FALSE(queue_.has_eligible(not_one));
  EXPECT_TRUE(queue_.has_eligible(everybody));
}

TEST_F(FairQueueTest, WhatIsPutBackGoesFirstAgain) {
  const PredictionId a = push(1);
  push(1);
  queue_.pop(everybody, 1);
  queue_.push(1, Priority::kDefault, a, FairQueue::Position::kFront);
  EXPECT_EQ(queue_.pop(everybody, 1)->id, a);
}

TEST_F(FairQueueTest, AnItemCanBeTakenOutOfTheMiddle) {
  push(1);
  const PredictionId id = ids_.next();
  const FairQueue::Ticket ticket = queue_.push(1, Priority::kDefault, id);
  push(1);
  queue_.erase(ticket);
  EXPECT_EQ(queue_.size(), 2U);
  EXPECT_NE(queue_.pop(everybody, 1)->id, id);
  EXPECT_NE(queue_.pop(everybody, 1)->id, id);
}

TEST_F(FairQueueTest, ThousandsOfAccountsThatCameOnceAreForgotten) {
  for (AccountId account = 1; account <= 5'000; ++account) {
    push(account);
    pop(0.001);
  }
  push(1);
  push(2);
  EXPECT_NE(pop(), 0);
  EXPECT_NE(pop(), 0);
}

// The bound of start-time fair queueing with K servers: two accounts that both have work all the
// time differ in weighted service by at most (K + 1)(c_i / w_i + c_j / w_j).
TEST_F(FairQueueTest, KeepsTheServiceGapWithinItsBoundOnRandomLoads) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SeededRandom random(seed);
    FairQueue queue;
    const std::size_t slots = 1 + random.below(16);
    const int accounts = 2 + static_cast<int>(random.below(5));
    std::map<AccountId, double> weight;
    std::map<AccountId, double> served;
    std::map<AccountId, double> longest;
    for (AccountId a = 1; a <= accounts; ++a) {
      weight[a] = 1 + static_cast<double>(random.below(4));
      for (int i = 0; i < 5; ++i) queue.push(a, Priority::kDefault, ids_.next());
      queue.set_weight(a, weight[a]);
    }
    struct End {
      double at;
      AccountId account;
      double cost;
      bool operator<(const End& other) const { return at > other.at; }
    };
    std::priority_queue<End> running;
    double now = 0;
    for (int step = 0; step < 3'000; ++step) {
      while (running.size() < slots) {
        const auto item = queue.pop(everybody, 1.0);
        ASSERT_TRUE(item.has_value());
        queue.push(item->account, Priority::kDefault, ids_.next());  // Never runs dry.
        const double cost = 0.2 + 2 * random.unit() * static_cast<double>(item->account);
        longest[item->account] = std::max({longest[item->account], cost, 1.0});
        running.push({now + cost, item->account, cost});
      }
      const End end = running.top();
      running.pop();
      now = end.at;
      queue.correct(end.account, end.cost - 1.0);
      served[end.account] += end.cost;
      if (step < 200) continue;
      for (const auto& [a, a_served] : served) {
        for (const auto& [b, b_served] : served) {
          const double gap = std::abs(a_served / weight[a] - b_served / weight[b]);
          const double bound =
              (static_cast<double>(slots) + 1) * (longest[a] / weight[a] + longest[b] / weight[b]);
          ASSERT_LE(gap, bound) << "seed " << seed << " step " << step;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mimeo::scheduler
