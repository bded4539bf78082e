#include "scheduler/core/slots.h"

#include <gtest/gtest.h>

#include <vector>

#include "common/base/random.h"

namespace mimeo::scheduler {
namespace {

TEST(Slots, AHoldGivesItsPlaceBackWhenItGoes) {
  const auto slots = Slots::make(1);
  {
    const SlotHold hold = slots->try_hold();
    EXPECT_TRUE(hold.is_held());
    EXPECT_FALSE(slots->try_hold().is_held());
  }
  EXPECT_EQ(slots->free(), 1U);
}

TEST(Slots, AMovedHoldCountsOnce) {
  const auto slots = Slots::make(2);
  SlotHold a = slots->try_hold();
  SlotHold b = std::move(a);
  EXPECT_EQ(slots->used(), 1U);
  a = slots->try_hold();
  EXPECT_EQ(slots->used(), 2U);
  a = std::move(b);
  EXPECT_EQ(slots->used(), 1U);
}

TEST(Slots, WhatRunsAlreadyIsCountedAboveTheCapacityAndNothingNewFitsThen) {
  const auto slots = Slots::make(1);
  SlotHold a = slots->adopt();
  SlotHold b = slots->adopt();
  EXPECT_EQ(slots->used(), 2U);
  a.release();
  EXPECT_FALSE(slots->try_hold().is_held());
  b.release();
  EXPECT_TRUE(slots->try_hold().is_held());
}

TEST(Slots, ASmallerCapacityLetsNothingNewInUntilEnoughWasGivenBack) {
  const auto slots = Slots::make(3);
  SlotHold a = slots->try_hold();
  SlotHold b = slots->try_hold();
  slots->set_capacity(1);
  EXPECT_FALSE(slots->try_hold().is_held());
  a.release();
  EXPECT_FALSE(slots->try_hold().is_held());
  b.release();
  EXPECT_TRUE(slots->try_hold().is_held());
}

TEST(Slots, AHoldOutlivesItsInstance) {
  SlotHold hold;
  {
    const auto slots = Slots::make(1);
    hold = slots->try_hold();
  }
  hold.release();
  EXPECT_FALSE(hold.is_held());
}

TEST(Slots, NeverHoldsMoreThanItsCapacityOnRandomSchedules) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SeededRandom random(seed);
    const auto slots = Slots::make(4);
    std::vector<SlotHold> holds;
    for (int step = 0; step < 500; ++step) {
      const std::uint64_t what = random.below(10);
      if (what < 5) {
        SlotHold hold = slots->try_hold();
        EXPECT_EQ(hold.is_held(), holds.size() < slots->capacity()) << "seed " << seed;
        if (hold.is_held()) holds.push_back(std::move(hold));
      } else if (what < 9 && !holds.empty()) {
        std::swap(holds[random.below(holds.size())], holds.back());
        holds.pop_back();
      } else {
        slots->set_capacity(static_cast<std::uint32_t>(random.below(8)));
      }
      ASSERT_EQ(slots->used(), holds.size()) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace mimeo::scheduler
