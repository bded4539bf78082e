// A hierarchical timer wheel: thousands of timers that are mostly cancelled before they fire cost
// O(1) each. Holds deadlines, run limits, grants and cancel graces of a cell. Reads no clock:
// advance() is told the time.

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/clock.h"

namespace mimeo::scheduler {

// Names a timer until it fires or is cancelled; the default value names none. A stale one is
// harmless: its place carries a generation.
struct TimerId {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  [[nodiscard]] bool is_set() const { return generation != 0; }
};

// Four levels of 256 slots with ticks of 10 ms: 497 days. Timers fire at or after their time, at
// most one tick late by themselves; those of one tick fire in the order of scheduling. `Payload` is
// a small value.
template <class Payload>
class TimerWheel {
 public:
  static constexpr std::chrono::milliseconds kTick{10};

  explicit TimerWheel(SteadyTime start) : start_(start) {
    for (auto& level : heads_) level.fill(kNone);
  }

  TimerId schedule(SteadyTime at, Payload payload) {
    // Rounded up, and never in the tick that is being fired: what a callback schedules comes later.
    const std::uint64_t tick =
        std::max(ticks_of(at + kTick - std::chrono::nanoseconds{1}), now_ + 1);
    std::uint32_t index = kNone;
    if (free_ != kNone) {
      index = free_;
      free_ = nodes_[index].next;
    } else {
      index = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    }
    Node& node = nodes_[index];
    node.tick = tick;
    node.payload = std::move(payload);
    if (++node.generation == 0) node.generation = 1;
    node.is_live = true;
    link(index);
    ++size_;
    return {index, node.generation};
  }

  // Nothing happens when it fired already. Clears `id`.
  void cancel(TimerId& id) {
    const TimerId gone = std::exchange(id, {});
    if (!gone.is_set() || gone.index >= nodes_.size()) return;
    Node& node = nodes_[gone.index];
    if (!node.is_live || node.generation != gone.generation) return;
    unlink(gone.index);
    release(gone.index);
  }

  // Calls fire(payload) for every timer due at `now`, in order of time. `fire` may schedule and
  // cancel timers.
  template <class Fire>
  void advance(SteadyTime now, Fire&& fire) {
    const std::uint64_t until = ticks_of(now);
    while (now_ < until) {
      if (size_ == 0) {  // Nothing to cascade: jump.
        now_ = until;
        return;
      }
      ++now_;
      cascade();
      std::uint32_t& head = heads_[0][now_ & kMask];
      while (head != kNone) {
        const std::uint32_t index = head;
        unlink(index);
        Payload payload = std::move(nodes_[index].payload);
        release(index);
        fire(payload);
      }
    }
  }

  // When advance() has something to do at the latest: never after the first due timer, possibly
  // before it (a cascade). nullopt without timers.
  [[nodiscard]] std::optional<SteadyTime> next_wakeup() const {
    if (size_ == 0) return std::nullopt;
    for (std::uint64_t ahead = 1; ahead <= kSlots; ++ahead) {
      const std::uint64_t tick = now_ + ahead;
      if (heads_[0][tick & kMask] != kNone || (tick & kMask) == 0) return start_ + tick * kTick;
    }
    return start_ + (now_ + kSlots) * kTick;
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr unsigned kBits = 8;
  static constexpr std::uint64_t kSlots = 1U << kBits;
  static constexpr std::uint64_t kMask = kSlots - 1;
  static constexpr unsigned kLevels = 4;

  struct Node {
    std::uint64_t tick = 0;
    Payload payload{};
    std::uint32_t generation = 0;
    std::uint32_t next = kNone;
    std::uint32_t previous = kNone;
    std::uint32_t* head = nullptr;  // Of the list that it is in.
    bool is_live = false;
  };

  [[nodiscard]] std::uint64_t ticks_of(SteadyTime at) const {
    if (at <= start_) return 0;
    return static_cast<std::uint64_t>((at - start_) / kTick);
  }

  void link(std::uint32_t index) {
    Node& node = nodes_[index];
    const std::uint64_t distance = node.tick - now_;
    unsigned level = 0;
    while (level + 1 < kLevels && distance >= std::uint64_t{1} << (kBits * (level + 1))) ++level;
    std::uint64_t tick = node.tick;
    if (distance >> (kBits * kLevels) != 0) {  // Beyond the horizon: look again at its end.
      tick = now_ + (std::uint64_t{1} << (kBits * kLevels)) - 1;
    }
    std::uint32_t& head = heads_[level][(tick >> (kBits * level)) & kMask];
    node.head = &head;
    // At the tail: timers of one tick fire in order. Lists are short, and walking is avoided by a
    // circular previous link of the head.
    if (head == kNone) {
      node.next = kNone;
      node.previous = index;
      head = index;
      return;
    }
    const std::uint32_t tail = nodes_[head].previous;
    nodes_[tail].next = index;
    node.previous = tail;
    node.next = kNone;
    nodes_[head].previous = index;
  }

  void unlink(std::uint32_t index) {
    Node& node = nodes_[index];
    std::uint32_t& head = *node.head;
    if (head == index) {
      head = node.next;
      if (head != kNone) nodes_[head].previous = node.previous;
    } else {
      nodes_[node.previous].next = node.next;
      if (node.next != kNone) {
        nodes_[node.next].previous = node.previous;
      } else {
        nodes_[head].previous = node.previous;
      }
    }
    node.head = nullptr;
  }

  void release(std::uint32_t index) {
    nodes_[index].is_live = false;
    nodes_[index].next = free_;
    free_ = index;
    --size_;
  }

  void cascade() {
    for (unsigned level = 1; level < kLevels; ++level) {
      if ((now_ & ((std::uint64_t{1} << (kBits * level)) - 1)) != 0) return;
      std::uint32_t& head = heads_[level][(now_ >> (kBits * level)) & kMask];
      std::uint32_t index = std::exchange(head, kNone);
      while (index != kNone) {
        const std::uint32_t next = nodes_[index].next;
        link(index);
        index = next;
      }
    }
  }

  const SteadyTime start_;
  std::uint64_t now_ = 0;  // Ticks since start_ that were fired.
  std::array<std::array<std::uint32_t, kSlots>, kLevels> heads_;
  std::vector<Node> nodes_;
  std::uint32_t free_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace mimeo::scheduler
