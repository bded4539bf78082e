// Where results and events of predictions go: the live control planes, and which of them holds a
// prediction's client.

#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "scheduler/core/types.h"

namespace mimeo::scheduler {

// On one thread.
class HubDirectory {
 public:
  // A number for the address of a control plane; the same one each time.
  [[nodiscard]] HubHint hint(const std::string& addr);
  // A control plane keeps a link to us, or has closed it: it is alive whatever the table says.
  void linked(const std::string& addr);
  void unlinked(const std::string& addr);
  // The table of live replicas, as read just now.
  void set_listed(std::vector<std::string> addrs);
  // Called when the list of live ones changed.
  void on_change(std::function<void()> callback) { on_change_ = std::move(callback); }

  [[nodiscard]] const std::vector<std::string>& live() const { return live_; }
  // The one that holds the client first, then others to fall back on; a few at most. Without a hint
  // they are spread over predictions.
  [[nodiscard]] std::vector<std::string> best_first(HubHint hint, PredictionId id) const;

 private:
  void refresh();

  std::vector<std::string> known_;  // By hint - 1.
  std::map<std::string, HubHint> hints_;
  std::map<std::string, std::size_t> links_;  // Open links by address.
  std::vector<std::string> listed_;
  std::vector<std::string> live_;  // Sorted.
  std::function<void()> on_change_;
};

}  // namespace mimeo::scheduler
