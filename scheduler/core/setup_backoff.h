// How long a version that fails to set up is left alone, and when its target counts as broken: what
// is queued there then fails with the setup error instead of waiting for ever.

#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace mimeo::scheduler {

// Per (version, hardware). Pure: told the time.
class SetupBackoff {
 public:
  static constexpr int kBrokenAfter = 3;  // Failures in a row.

  explicit SetupBackoff(std::chrono::milliseconds broken_for) : broken_for_(broken_for) {}

  // An instance failed before it was ever ready.
  void setup_failed(const VersionId& version, const std::string& sku, SteadyTime now,
                    std::string reason);
  // An instance failed soon after it became ready: delays the next one, never breaks the version.
  void crashed_early(const VersionId& version, const std::string& sku, SteadyTime now,
                     std::string reason);
  void became_ready(const VersionId& version, const std::string& sku);
  // Forgets everything about the version (an operator or a new release asks for a new try).
  void reset(const VersionId& version, const std::string& sku);

  // Whether an instance may be started now.
  [[nodiscard]] bool may_start(const VersionId& version, const std::string& sku,
                               SteadyTime now) const;
  // The time of the next try while it is left alone.
  [[nodiscard]] std::optional<SteadyTime> next_try(const VersionId& version,
                                                   const std::string& sku) const;
  // The setup error while the version is broken; nullopt otherwise.
  [[nodiscard]] std::optional<std::string> broken_reason(const VersionId& version,
                                                         const std::string& sku,
                                                         SteadyTime now) const;
  [[nodiscard]] int failures(const VersionId& version, const std::string& sku) const;
  // The last reason; empty without failures.
  [[nodiscard]] std::string last_reason(const VersionId& version, const std::string& sku) const;

 private:
  struct Record {
    int failures = 0;  // Of setup, in a row.
    int crashes = 0;   // Early ones, in a row.
    SteadyTime next_try;
    std::string reason;
  };
  [[nodiscard]] const Record* find(const VersionId& version, const std::string& sku) const;

  const std::chrono::milliseconds broken_for_;
  std::map<std::pair<VersionId, std::string>, Record> records_;
};

}  // namespace mimeo::scheduler
