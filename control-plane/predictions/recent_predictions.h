// What this process knows by itself of predictions that it created lately, so that the answer to a
// synchronous request is made without reading anything back from the database.
//
// Only a cache: bounded in bytes, and a prediction that is not terminal here may be terminal in the
// store (somebody else canceled it), so views of those are always read from the store.

#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <unordered_map>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/store/predictions.h"

namespace mimeo::control {

struct RecentLimits {
  std::size_t total_bytes = 64U << 20;
  // After the creation or, later, the end. Not longer than store::kShortestKeep: another process
  // may remove the data then.
  std::chrono::seconds keep{300};
};

// Whether the version shown at creation is the one that runs.
enum class Binding : std::uint8_t {
  kFixed,  // A version pool, or a slot was granted.
  kLate,   // A queued prediction of a deployment: another release may run it.
};

// On the HTTP thread only.
class RecentPredictions {
 public:
  explicit RecentPredictions(const Clock& clock, RecentLimits limits = {})
      : clock_(clock), limits_(limits) {}

  void created(store::PredictionView view, Binding binding);
  // The store has this start.
  void started(PredictionId id, WallTime started_at);
  // This result was committed. Without effect for a prediction that is not here.
  void finished(const store::Finish& finish);
  // What is known may be wrong now.
  void forget(PredictionId id);

  // nullptr when unknown. Valid until the next call.
  [[nodiscard]] const store::PredictionView* find(PredictionId id) const;
  // The same, but only when it is terminal and certainly what the store holds.
  [[nodiscard]] const store::PredictionView* find_terminal(PredictionId id) const;
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    store::PredictionView view;
    Binding binding = Binding::kFixed;
    std::size_t bytes = 0;
    SteadyTime touched;
    std::list<PredictionId>::iterator order;
  };
  void enforce();
  void erase(std::unordered_map<PredictionId, Entry>::iterator it);

  const Clock& clock_;
  const RecentLimits limits_;
  std::unordered_map<PredictionId, Entry> entries_;
  std::list<PredictionId> order_;  // Longest untouched first.
  std::size_t bytes_ = 0;
};

}  // namespace mimeo::control
