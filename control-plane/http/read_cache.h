// A small cache in front of the store for what every request reads: bounded, with a lifetime, and
// without stampedes. Filled by the coroutines that miss.

#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>

#include "common/base/clock.h"

namespace mimeo::control {

// Used on one thread only. Values are shared and immutable, so a reader keeps what it found.
//
// Correct use: `if (auto hit = cache.find(key)) return hit;` else load, then put(). A value that
// has outlived `lifetime` is a miss for the first who asks; while that one loads (for at most
// `grace`), the others still get the old value. After two of these nobody does.
template <class Key, class Value, class Hash = std::hash<Key>>
class ReadCache {
 public:
  ReadCache(const Clock& clock, std::chrono::milliseconds lifetime, std::size_t capacity,
            std::chrono::milliseconds grace = std::chrono::milliseconds{500})
      : clock_(clock), lifetime_(lifetime), capacity_(capacity), grace_(grace) {}

  [[nodiscard]] std::shared_ptr<const Value> find(const Key& key) {
    const auto it = entries_.find(key);
    if (it == entries_.end()) return nullptr;
    Entry& entry = *it->second;
    const SteadyTime now = clock_.steady();
    if (now >= entry.fresh_until) {
      if (now >= entry.loading_until) {
        entry.loading_until = now + grace_;
        return nullptr;
      }
      if (now >= entry.fresh_until + 2 * grace_) return nullptr;
    }
    order_.splice(order_.begin(), order_, it->second);
    return entry.value;
  }

  void put(const Key& key, std::shared_ptr<const Value> value) {
    put(key, std::move(value), clock_.steady());
  }
  // Its age counts from `read_at`.
  void put(const Key& key, std::shared_ptr<const Value> value, SteadyTime read_at) {
    const SteadyTime fresh_until = read_at + lifetime_;
    if (const auto it = entries_.find(key); it != entries_.end()) {
      it->second->value = std::move(value);
      it->second->fresh_until = fresh_until;
      it->second->loading_until = {};
      order_.splice(order_.begin(), order_, it->second);
      return;
    }
    order_.push_front({key, std::move(value), fresh_until, {}});
    entries_.emplace(key, order_.begin());
    if (entries_.size() <= capacity_) return;
    entries_.erase(order_.back().key);
    order_.pop_back();
  }

  void erase(const Key& key) {
    const auto it = entries_.find(key);
    if (it == entries_.end()) return;
    order_.erase(it->second);
    entries_.erase(it);
  }

  // Looks at every value: for what happens rarely.
  template <class Predicate>
  void erase_if(Predicate is_old) {
    for (auto it = order_.begin(); it != order_.end();) {
      if (is_old(*it->value)) {
        entries_.erase(it->key);
        it = order_.erase(it);
      } else {
        ++it;
      }
    }
  }

 private:
  struct Entry {
    Key key;
    std::shared_ptr<const Value> value;
    SteadyTime fresh_until;
    SteadyTime loading_until;  // Somebody reads it again until then.
  };

  const Clock& clock_;
  const std::chrono::milliseconds lifetime_;
  const std::size_t capacity_;
  const std::chrono::milliseconds grace_;
  std::list<Entry> order_;  // Most recently used first.
  std::unordered_map<Key, typename std::list<Entry>::iterator, Hash> entries_;
};

}  // namespace mimeo::control
