// Brings the files that a prediction's input names to the machine, so that its container needs no
// network: each is written below the shim's spool, and the input is rewritten to the URL under
// which the shim's gateway serves it (decision D13; the layout is StartAttempt's in
// worker/shim/shim.proto).

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/retry.h"
#include "common/base/random.h"
#include "common/base/units.h"
#include "common/http/outbound.h"
#include "worker/attempts/attempt_key.h"
#include "worker/files/file_fields.h"
#include "worker/hub_calls.h"

namespace mimeo::worker {

struct InputLimits {
  http::AddressRules addresses;
  Bytes max_file = 10_GiB;
  Bytes max_total = 20_GiB;  // Of all files of an attempt.
  // The same where files go inline: each is in memory several times on its way to the container.
  Bytes max_inline_total = 8_MiB;
  std::chrono::milliseconds download_limit{15 * 60 * 1000};
  RetryPolicyOptions retry{std::chrono::milliseconds{200}, std::chrono::milliseconds{2'000},
                           std::chrono::milliseconds{20'000}};
};

struct InputJob {
  AttemptKey attempt;
  std::string input;  // JSON object; empty = ask a control plane for it.
  std::shared_ptr<const FileFields> fields;
  std::filesystem::path spool;    // Of the instance's shim.
  std::string gateway;            // "http://127.0.0.1:4747"; empty = files go inline as data: URLs.
  std::vector<std::string> hubs;  // Control planes, best first.
};

// On one executor; several jobs at once. References outlive it.
class InputFiles {
 public:
  InputFiles(BlockingPool& pool, Random& random, HubApi& hub, InputLimits limits)
      : pool_(pool), random_(random), hub_(hub), limits_(std::move(limits)) {}

  // True when the input goes to the container as it is: prepare() would return it unchanged.
  [[nodiscard]] static bool is_ready(const std::string& input, const FileFields& fields) {
    return !input.empty() && !fields.may_have_input_files();
  }

  // The input as the container shall see it. On an error nothing is left on disk, and its message
  // is for whoever made the prediction.
  boost::asio::awaitable<Result<std::string>> prepare(InputJob job);

  // Deletes what prepare() brought for an attempt that will not run after all.
  void discard(const std::filesystem::path& spool, AttemptKey attempt);

 private:
  struct Plan;
  boost::asio::awaitable<Status> bring(std::shared_ptr<Plan> plan, std::size_t index);
  // One file, one try; on a pool thread.
  Status fetch(Plan& plan, std::size_t index) const;

  BlockingPool& pool_;
  Random& random_;
  HubApi& hub_;
  const InputLimits limits_;
};

}  // namespace mimeo::worker
