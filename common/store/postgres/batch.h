// What statements over batches share: each id once per statement, in the order of ids, and bounds
// that name the partitions.

#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "common/base/ids.h"

namespace mimeo::store {

// Indexes of a batch in rounds: within a round each id occurs once, and ids ascend, so that two
// batches lock their rows in the same order. Nearly always there is one round; what repeats an id
// comes in a later one, as if it had been a later call.
template <class Item>
[[nodiscard]] std::vector<std::vector<std::size_t>> rounds_of(std::span<const Item> batch) {
  std::vector<std::size_t> order(batch.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return batch[a].id < batch[b].id; });
  std::vector<std::vector<std::size_t>> rounds;
  std::size_t repeats = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    repeats = i > 0 && batch[order[i]].id == batch[order[i - 1]].id ? repeats + 1 : 0;
    if (rounds.size() <= repeats) rounds.emplace_back();
    rounds[repeats].push_back(order[i]);
  }
  return rounds;
}

// The index within `round` (ascending ids) of `id`; npos when it is not there.
inline constexpr std::size_t kNotInRound = static_cast<std::size_t>(-1);
template <class Item>
[[nodiscard]] std::size_t index_of(std::span<const Item> batch,
                                   const std::vector<std::size_t>& round, const Uuid& id) {
  const auto found = std::lower_bound(
      round.begin(), round.end(), id,
      [&](std::size_t index, const Uuid& wanted) { return batch[index].id < wanted; });
  return found != round.end() && batch[*found].id == id ? *found : kNotInRound;
}

// Lowest and highest of some ids.
[[nodiscard]] inline std::pair<Uuid, Uuid> bounds_of(std::span<const Uuid> ids) {
  if (ids.empty()) return {};
  const auto [low, high] = std::minmax_element(ids.begin(), ids.end());
  return {*low, *high};
}

}  // namespace mimeo::store
