#include "control-plane/predictions/recent_predictions.h"

#include <utility>

#include "common/store/first_start.h"

namespace mimeo::control {
namespace {

std::size_t size_of(const store::PredictionView& view) {
  return sizeof(view) + view.input.size() + view.output.size() + view.logs.size() +
         view.error.size() + view.metrics.size() + view.webhook.size() + 256;
}

}  // namespace

void RecentPredictions::created(store::PredictionView view, Binding binding) {
  const PredictionId id = view.id;
  forget(id);
  Entry entry;
  entry.bytes = size_of(view);
  entry.view = std::move(view);
  entry.binding = binding;
  entry.touched = clock_.steady();
  entry.order = order_.insert(order_.end(), id);
  bytes_ += entry.bytes;
  entries_.emplace(id, std::move(entry));
  enforce();
}

void RecentPredictions::started(PredictionId id, WallTime started_at) {
  const auto it = entries_.find(id);
  if (it == entries_.end() || is_terminal(it->second.view.status)) return;
  if (!it->second.view.started_at) it->second.view.started_at = started_at;
}

void RecentPredictions::finished(const store::Finish& finish) {
  const auto it = entries_.find(finish.id);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  store::PredictionView& view = entry.view;
  if (is_terminal(view.status)) return;
  // An attempt after the first may have run another version; without an attempt we do not know
  // what the row held.
  const bool is_certain = entry.binding == Binding::kFixed && finish.attempt &&
                          (*finish.attempt == 1 || view.deployment.empty());
  if (!is_certain) {
    erase(it);
    return;
  }
  view.status = finish.status;
  view.error = finish.error;
  view.started_at = store::first_start(view.started_at, finish.started_at, finish.completed_at);
  view.completed_at = finish.completed_at;
  view.output = finish.output;
  view.logs = finish.logs;
  view.metrics = finish.metrics;
  view.attempt = *finish.attempt;
  bytes_ -= entry.bytes;
  entry.bytes = size_of(view);
  bytes_ += entry.bytes;
  entry.touched = clock_.steady();
  order_.splice(order_.end(), order_, entry.order);
  enforce();
}

void RecentPredictions::forget(PredictionId id) {
  if (const auto it = entries_.find(id); it != entries_.end()) erase(it);
}

const store::PredictionView* RecentPredictions::find(PredictionId id) const {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return nullptr;
  // Nobody may be here any more to clear it away, and its data may have been removed.
  const bool is_old = it->second.touched <= clock_.steady() - limits_.keep;
  return is_old ? nullptr : &it->second.view;
}

const store::PredictionView* RecentPredictions::find_terminal(PredictionId id) const {
  const store::PredictionView* view = find(id);
  return view != nullptr && is_terminal(view->status) ? view : nullptr;
}

void RecentPredictions::enforce() {
  const SteadyTime oldest = clock_.steady() - limits_.keep;
  while (!order_.empty()) {
    const auto it = entries_.find(order_.front());
    if (bytes_ <= limits_.total_bytes && it->second.touched > oldest) return;
    erase(it);
  }
}

void RecentPredictions::erase(std::unordered_map<PredictionId, Entry>::iterator it) {
  bytes_ -= it->second.bytes;
  order_.erase(it->second.order);
  entries_.erase(it);
}

}  // namespace mimeo::control
