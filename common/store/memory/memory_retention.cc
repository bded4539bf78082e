#include "common/store/memory/memory_retention.h"

#include <algorithm>

namespace mimeo::store {

MemoryRetention::MemoryRetention(MemoryStore& predictions, MemoryFiles& files)
    : predictions_(predictions), files_(files) {
  rules_[{0, PredictionSource::kApi}] = std::chrono::hours(1);
  rules_[{0, PredictionSource::kWeb}] = std::chrono::hours(24 * 90);
  files_.set_has_data([this](PredictionId id) { return predictions_.has_data(id); });
  predictions_.set_on_dropped([this](PredictionId id) { files_.remove_outputs(id); });
}

Result<KeepRules> MemoryRetention::get_keep_rules(AccountId account) {
  const std::scoped_lock lock(mutex_);
  const RuleKey api(account, PredictionSource::kApi);
  const RuleKey web(account, PredictionSource::kWeb);
  KeepRules rules;
  rules.has_own_api = account != 0 && rules_.contains(api);
  rules.has_own_web = account != 0 && rules_.contains(web);
  rules.api = rules_.at(rules.has_own_api ? api : RuleKey(0, PredictionSource::kApi));
  rules.web = rules_.at(rules.has_own_web ? web : RuleKey(0, PredictionSource::kWeb));
  return rules;
}

Status MemoryRetention::set_keep_rule(AccountId account, PredictionSource source, KeepFor keep) {
  if (keep && *keep < kShortestKeep) {
    return absl::InvalidArgumentError("data is kept for at least 300 seconds");
  }
  const std::scoped_lock lock(mutex_);
  rules_[{account, source}] = keep;
  return absl::OkStatus();
}

Status MemoryRetention::reset_keep_rule(AccountId account, PredictionSource source) {
  if (account == 0) return absl::InvalidArgumentError("the operator's rule cannot be reset");
  const std::scoped_lock lock(mutex_);
  rules_.erase({account, source});
  return absl::OkStatus();
}

Status MemoryRetention::keep_prediction(PredictionId id) {
  const std::scoped_lock lock(mutex_);  // First: nothing is removed from here on.
  MIMEO_RETURN_IF_ERROR(predictions_.get(id, 0).status());
  if (!predictions_.has_data(id)) {
    return absl::FailedPreconditionError("the prediction's data was removed");
  }
  predictions_.keep(id);
  return absl::OkStatus();
}

Status MemoryRetention::release_prediction(PredictionId id) {
  const std::scoped_lock lock(mutex_);
  predictions_.release(id);
  return absl::OkStatus();
}

std::vector<DueRemoval> MemoryRetention::queue() {
  std::vector<DueRemoval> due;
  for (const PredictionView& view : predictions_.ended_with_data()) {
    if (view.is_training || predictions_.is_kept(view.id)) continue;
    const auto own = rules_.find({view.account, view.source});
    const KeepFor keep = own != rules_.end() ? own->second : rules_.at({0, view.source});
    if (keep) due.push_back({view.id, *view.completed_at + *keep});
  }
  std::sort(due.begin(), due.end(), [](const DueRemoval& a, const DueRemoval& b) {
    return std::pair(a.due_at, a.id) < std::pair(b.due_at, b.id);
  });
  return due;
}

Result<std::vector<DueRemoval>> MemoryRetention::list_due(WallTime now, std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<DueRemoval> due = queue();
  std::erase_if(due, [now](const DueRemoval& removal) { return removal.due_at > now; });
  if (due.size() > limit) due.resize(limit);
  return due;
}

Result<std::vector<PredictionId>> MemoryRetention::remove_data(std::span<const DueRemoval> due) {
  const std::scoped_lock lock(mutex_);
  std::vector<PredictionId> removed;
  for (const DueRemoval& current : queue()) {
    const bool is_meant = std::any_of(due.begin(), due.end(), [&](const DueRemoval& given) {
      return given.id == current.id && given.due_at == current.due_at;
    });
    if (!is_meant) continue;
    predictions_.remove_content(current.id);
    files_.remove_outputs(current.id);
    removed.push_back(current.id);
  }
  return removed;
}

}  // namespace mimeo::store
