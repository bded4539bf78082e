// Stores the files that a model puts out with a control plane, and rewrites the output to their
// public URLs: references "mimeo-file:<path>" of the shim (AttemptResult in worker/shim/shim.proto)
// and data: URLs, at any depth, in streamed events and in final results alike.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/retry.h"
#include "common/base/random.h"
#include "common/base/units.h"
#include "worker/attempts/attempt_key.h"
#include "worker/files/file_fields.h"
#include "worker/hub_calls.h"

namespace mimeo::worker {

struct OutputLimits {
  // Longer data: URLs become files even where the schema does not say so: clients would choke.
  std::size_t inline_data_url = 1024;
  RetryPolicyOptions retry{std::chrono::milliseconds{200}, std::chrono::milliseconds{5'000},
                           std::chrono::milliseconds{5 * 60 * 1000}};
};

enum class OutputPart : std::uint8_t {
  kWhole,  // Of a result.
  kItem,   // Of a list or iterator: one event.
};

struct OutputJob {
  AttemptKey attempt;
  std::string output;  // JSON.
  OutputPart part = OutputPart::kWhole;
  std::shared_ptr<const FileFields> fields;
  std::filesystem::path spool;    // Of the instance's shim.
  std::vector<std::string> hubs;  // Control planes, best first.
};

// On one executor; several jobs at once. References outlive it.
class OutputFiles {
 public:
  OutputFiles(BlockingPool& pool, Random& random, HubApi& hub, OutputLimits limits)
      : pool_(pool), random_(random), hub_(hub), limits_(limits) {}

  // False: this output names no file, and store() would return it unchanged.
  [[nodiscard]] static bool may_have_files(std::string_view output);

  // The output as clients shall see it. A file that was stored before for this attempt (in an event
  // of it) keeps its URL.
  boost::asio::awaitable<Result<std::string>> store(OutputJob job);

  // Nothing more of this attempt will come.
  void forget(AttemptKey attempt) { stored_.erase(attempt); }

 private:
  struct Plan;
  boost::asio::awaitable<Status> upload(std::shared_ptr<Plan> plan, std::size_t index);

  BlockingPool& pool_;
  Random& random_;
  HubApi& hub_;
  const OutputLimits limits_;
  // URLs by what they replace: the reference, or the hash of the data: URL.
  std::map<AttemptKey, std::map<std::string, std::string>> stored_;
};

// The regular file `relative` below `root`, opened without following a symbolic link anywhere;
// kNotFound for everything else, "..", and names that are too long.
[[nodiscard]] Result<int> open_beneath(const std::filesystem::path& root,
                                       std::string_view relative);

}  // namespace mimeo::worker
