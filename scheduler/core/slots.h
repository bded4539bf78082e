// The free places of one instance. A reservation is an object: it gives its place back when it
// goes. Who gets a place is cell.h's business.

#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace mimeo::scheduler {

class Slots;

// One taken place. Moves, never copies; the default value holds nothing. Safe to outlive the
// instance: it shares the counter.
class SlotHold {
 public:
  SlotHold() = default;
  SlotHold(SlotHold&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
  SlotHold& operator=(SlotHold&& other) noexcept {
    if (this != &other) {
      release();
      slots_ = std::exchange(other.slots_, nullptr);
    }
    return *this;
  }
  ~SlotHold() { release(); }
  // Gives the place back now.
  void release();
  [[nodiscard]] bool is_held() const { return slots_ != nullptr; }

 private:
  friend class Slots;
  explicit SlotHold(std::shared_ptr<Slots> slots) : slots_(std::move(slots)) {}
  std::shared_ptr<Slots> slots_;
};

// The counter. Capacity comes from the worker's reports and may change at any time; when it falls
// below what is used, nothing new fits until enough was given back.
class Slots : public std::enable_shared_from_this<Slots> {
 public:
  [[nodiscard]] static std::shared_ptr<Slots> make(std::uint32_t capacity) {
    return std::shared_ptr<Slots>(new Slots(capacity));
  }
  // Holds nothing when all places are taken.
  [[nodiscard]] SlotHold try_hold();
  // For what runs already (a takeover, a worker's report): counts it even above the capacity.
  [[nodiscard]] SlotHold adopt();

  void set_capacity(std::uint32_t capacity) { capacity_ = capacity; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint32_t used() const { return used_; }
  [[nodiscard]] std::uint32_t free() const { return used_ < capacity_ ? capacity_ - used_ : 0; }

 private:
  friend class SlotHold;
  explicit Slots(std::uint32_t capacity) : capacity_(capacity) {}
  std::uint32_t capacity_;
  std::uint32_t used_ = 0;
};

}  // namespace mimeo::scheduler
