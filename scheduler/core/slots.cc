#include "scheduler/core/slots.h"

namespace mimeo::scheduler {

void SlotHold::release() {
  if (slots_ == nullptr) return;
  --slots_->used_;
  slots_.reset();
}

SlotHold Slots::try_hold() {
  if (used_ >= capacity_) return {};
  return adopt();
}

SlotHold Slots::adopt() {
  ++used_;
  return SlotHold(shared_from_this());
}

}  // namespace mimeo::scheduler
