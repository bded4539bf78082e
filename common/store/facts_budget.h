// Which schemas and examples of a list of models are read: the same decision in every store.

#pragma once

#include <algorithm>
#include <cstddef>

#include "common/store/discovery.h"

namespace mimeo::store {

// Asked once per model, in the order of the list.
class FactsBudget {
 public:
  struct Share {
    bool has_version = true;
    bool has_example = true;
    bool is_cut = false;
  };

  explicit FactsBudget(const FactsBounds& bounds) : bounds_(bounds), left_(bounds.total_bytes) {}

  // Of the next model, by the size of what it has; 0 = it has none.
  Share next(std::size_t version_bytes, std::size_t example_bytes) {
    Share share;
    share.has_example = example_bytes <= bounds_.example_bytes;
    const std::size_t bytes = version_bytes + (share.has_example ? example_bytes : 0);
    const bool fits = bytes <= left_ || is_first_;
    is_used_up_ = is_used_up_ || !fits;
    is_first_ = is_first_ && bytes == 0;
    if (is_used_up_ && bytes > 0)
      return {.has_version = false, .has_example = false, .is_cut = true};
    left_ -= std::min(bytes, left_);
    return share;
  }

 private:
  const FactsBounds bounds_;
  std::size_t left_;
  bool is_first_ = true;
  bool is_used_up_ = false;
};

}  // namespace mimeo::store
