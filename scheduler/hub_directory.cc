#include "scheduler/hub_directory.h"

#include <algorithm>
#include <set>

namespace mimeo::scheduler {
namespace {

constexpr std::size_t kMostHubs = 3;

}  // namespace

HubHint HubDirectory::hint(const std::string& addr) {
  const auto [it, is_new] = hints_.try_emplace(addr, 0);
  if (is_new) {
    known_.push_back(addr);
    it->second = static_cast<HubHint>(known_.size());
  }
  return it->second;
}

void HubDirectory::linked(const std::string& addr) {
  ++links_[addr];
  refresh();
}

void HubDirectory::unlinked(const std::string& addr) {
  const auto it = links_.find(addr);
  if (it == links_.end()) return;
  if (--it->second == 0) links_.erase(it);
  refresh();
}

void HubDirectory::set_listed(std::vector<std::string> addrs) {
  listed_ = std::move(addrs);
  refresh();
}

void HubDirectory::refresh() {
  std::set<std::string> all(listed_.begin(), listed_.end());
  for (const auto& [addr, count] : links_) all.insert(addr);
  all.erase("");
  std::vector<std::string> now(all.begin(), all.end());
  if (now == live_) return;
  live_ = std::move(now);
  if (on_change_) on_change_();
}

std::vector<std::string> HubDirectory::best_first(HubHint hint, PredictionId id) const {
  std::vector<std::string> chosen;
  if (hint > 0 && hint <= known_.size()) {
    const std::string& home = known_[hint - 1];
    if (std::binary_search(live_.begin(), live_.end(), home)) chosen.push_back(home);
  }
  const std::size_t start = live_.empty() ? 0 : std::hash<Uuid>{}(id) % live_.size();
  for (std::size_t i = 0; i < live_.size() && chosen.size() < kMostHubs; ++i) {
    const std::string& addr = live_[(start + i) % live_.size()];
    if (chosen.empty() || chosen.front() != addr) chosen.push_back(addr);
  }
  return chosen;
}

}  // namespace mimeo::scheduler
