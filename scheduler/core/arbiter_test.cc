#include "scheduler/core/arbiter.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mimeo::scheduler {
namespace {

Uuid uuid(int number) {
  std::array<std::uint8_t, 16> bytes{};
  bytes[15] = static_cast<std::uint8_t>(number);
  return Uuid(bytes);
}

StartWish wish(TargetId target, AccountId account, double gain = 1, double waiting_s = 0) {
  StartWish w;
  w.spec.target = target;
  w.spec.sku = "gpu";
  w.spec.resources.gpus = 1;
  w.account = account;
  w.gain = gain;
  w.waiting_s = waiting_s;
  return w;
}

std::vector<TargetId> order(Arbiter& arbiter) {
  std::vector<TargetId> order;
  while (const auto next = arbiter.next()) {
    order.push_back(next->spec.target);
    arbiter.served(next->account, next->spec.resources);
  }
  return order;
}

TEST(Arbiter, ServesTheAccountThatHoldsLeastFirst) {
  Arbiter arbiter({wish(1, 1), wish(2, 2)}, {{1, {.weight = 1, .held = 3}}, {2, {.weight = 1}}});
  EXPECT_EQ(order(arbiter), (std::vector<TargetId>{2, 1}));
}

TEST(Arbiter, AlternatesBetweenEqualAccounts) {
  Arbiter arbiter({wish(1, 1), wish(1, 1), wish(1, 1), wish(2, 2), wish(2, 2)}, {});
  EXPECT_EQ(order(arbiter), (std::vector<TargetId>{1, 2, 1, 2, 1}));
}

TEST(Arbiter, HeavierAccountsMayHoldMore) {
  Arbiter arbiter({wish(1, 1), wish(1, 1), wish(2, 2), wish(2, 2), wish(2, 2), wish(2, 2)},
                  {{1, {.weight = 1}}, {2, {.weight = 3}}});
  const std::vector<TargetId> served = order(arbiter);
  EXPECT_EQ(std::count(served.begin(), served.begin() + 4, 2), 3);
}

TEST(Arbiter, RemembersWhatAnAccountHeldLately) {
  Arbiter arbiter({wish(1, 1), wish(2, 2)}, {{1, {.weight = 1, .held = 0, .recent = 2}}, {2, {}}});
  EXPECT_EQ(order(arbiter), (std::vector<TargetId>{2, 1}));
}

TEST(Arbiter, AmongTheTargetsOfAnAccountTheLargestGainGoesFirst) {
  Arbiter arbiter({wish(1, 1, 0.5), wish(2, 1, 3), wish(3, 1, 1)}, {});
  EXPECT_EQ(order(arbiter), (std::vector<TargetId>{2, 3, 1}));
}

TEST(Arbiter, WhoStarvesComesBeforeEverybodyTheLongestWaitFirst) {
  StartWish a = wish(1, 1, 1, 70);
  a.is_starving = true;
  StartWish b = wish(2, 2, 1, 90);
  b.is_starving = true;
  Arbiter arbiter({wish(3, 3), a, b}, {{1, {.weight = 1, .held = 50}}});
  EXPECT_EQ(order(arbiter), (std::vector<TargetId>{2, 1, 3}));
}

class EvictionTest : public ::testing::Test {
 protected:
  WorkerView worker(int number, int gpus) {
    WorkerView w;
    w.id = uuid(number);
    w.is_ready = true;
    w.skus = {"gpu"};
    for (int i = 0; i < gpus; ++i) w.gpus.push_back({static_cast<GpuIndex>(i), 80_GiB, true});
    return w;
  }
  VictimView put(WorkerView& w, int instance, TargetId target, std::vector<GpuIndex> gpus,
                 double score) {
    VictimView v;
    v.instance = uuid(instance);
    v.spec.target = target;
    v.spec.sku = "gpu";
    v.spec.resources.gpus = static_cast<std::uint32_t>(gpus.size());
    v.worker = w.id;
    v.gpus = std::move(gpus);
    v.score = score;
    book(w, v.spec, v.gpus);
    return v;
  }
  InstanceSpec need(std::uint32_t gpus) {
    InstanceSpec spec;
    spec.target = 99;
    spec.sku = "gpu";
    spec.resources.gpus = gpus;
    return spec;
  }
};

TEST_F(EvictionTest, TakesTheVictimThatIsMissedLeast) {
  WorkerView w = worker(1, 2);
  const std::vector<VictimView> victims{put(w, 1, 10, {0}, 5), put(w, 2, 11, {1}, 2)};
  const auto eviction = find_eviction(need(1), {&w, 1}, victims, {{10, 1}, {11, 1}});
  ASSERT_TRUE(eviction.has_value());
  EXPECT_EQ(eviction->victims, std::vector<InstanceId>{uuid(2)});
  EXPECT_EQ(eviction->gpus, std::vector<GpuIndex>{1});
}

TEST_F(EvictionTest, NeverGoesBelowTheMinimumOfATarget) {
  WorkerView w = worker(1, 2);
  const std::vector<VictimView> victims{put(w, 1, 10, {0}, 1), put(w, 2, 10, {1}, 1)};
  EXPECT_TRUE(find_eviction(need(1), {&w, 1}, victims, {{10, 1}}).has_value());
  EXPECT_FALSE(find_eviction(need(2), {&w, 1}, victims, {{10, 1}}).has_value());
  EXPECT_FALSE(find_eviction(need(1), {&w, 1}, victims, {{10, 0}}).has_value());
}

TEST_F(EvictionTest, TakesNoMoreThanItNeeds) {
  WorkerView w = worker(1, 4);
  const std::vector<VictimView> victims{put(w, 1, 10, {0}, 1), put(w, 2, 11, {1, 2, 3}, 2)};
  const auto eviction = find_eviction(need(3), {&w, 1}, victims, {{10, 1}, {11, 1}});
  ASSERT_TRUE(eviction.has_value());
  EXPECT_EQ(eviction->victims, std::vector<InstanceId>{uuid(2)});
}

TEST_F(EvictionTest, ChoosesTheWorkerWhereItCostsLeast) {
  WorkerView a = worker(1, 1);
  WorkerView b = worker(2, 1);
  const std::vector<VictimView> victims{put(a, 1, 10, {0}, 5), put(b, 2, 11, {0}, 1)};
  const std::vector<WorkerView> workers{a, b};
  const auto eviction = find_eviction(need(1), workers, victims, {{10, 1}, {11, 1}});
  ASSERT_TRUE(eviction.has_value());
  EXPECT_EQ(eviction->worker, uuid(2));
}

TEST_F(EvictionTest, AnInstanceOfAnOlderReleaseGoesFirstAndNeedsNoSpare) {
  WorkerView w = worker(1, 2);
  std::vector<VictimView> victims{put(w, 1, 10, {0}, 0), put(w, 2, 99, {1}, 100)};
  victims[1].is_outdated = true;
  const auto eviction = find_eviction(need(1), {&w, 1}, victims, {{10, 1}});
  ASSERT_TRUE(eviction.has_value());
  EXPECT_EQ(eviction->victims, std::vector<InstanceId>{uuid(2)});
}

TEST_F(EvictionTest, OffersNothingOnOtherHardware) {
  WorkerView w = worker(1, 1);
  const std::vector<VictimView> victims{put(w, 1, 10, {0}, 1)};
  InstanceSpec other = need(1);
  other.sku = "gpu-large";
  EXPECT_FALSE(find_eviction(other, {&w, 1}, victims, {{10, 1}}).has_value());
}

TEST(DecayedUse, HalvesInTenMinutes) {
  DecayedUse use;
  const SteadyTime start{std::chrono::hours{1}};
  use.add(start, 1000);
  const double at_once = use.average(start);
  EXPECT_NEAR(use.average(start + std::chrono::minutes{10}), at_once / 2, at_once * 0.01);
}

TEST(DecayedUse, ASteadyLoadShowsItsSize) {
  DecayedUse use;
  SteadyTime now{std::chrono::hours{1}};
  for (int i = 0; i < 7200; ++i) {
    now += std::chrono::seconds{1};
    use.add(now, 3);
  }
  EXPECT_NEAR(use.average(now), 3, 0.05);
}

}  // namespace
}  // namespace mimeo::scheduler
