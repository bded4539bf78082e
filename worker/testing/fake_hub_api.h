// Stands in for the control planes' calls in tests: keeps what it is given.

#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "worker/hub_calls.h"

namespace mimeo::worker {

class FakeHubApi final : public HubApi {
 public:
  struct Stored {
    AttemptKey attempt;
    std::string filename;
    std::string content_type;
    std::string content;
  };

  Status fetch_input(const std::vector<std::string>& /*addresses*/, PredictionId /*prediction*/,
                     const std::string& url, const std::function<Status()>& reset,
                     const ContentSink& sink) override {
    std::lock_guard lock(mutex);
    const auto it = inputs.find(url);
    if (it == inputs.end()) return absl::NotFoundError("not ours");
    MIMEO_RETURN_IF_ERROR(reset());
    MIMEO_RETURN_IF_ERROR(sink(it->second));
    if (broken_fetches == 0) return absl::OkStatus();
    --broken_fetches;
    return absl::UnavailableError("cut short");
  }
  Result<std::string> store_output(const std::vector<std::string>& /*addresses*/,
                                   const OutputFile& file) override {
    MIMEO_ASSIGN_OR_RETURN(const ContentSource source, file.open());
    std::string content;
    for (;;) {
      MIMEO_ASSIGN_OR_RETURN(const std::string piece, source());
      if (piece.empty()) break;
      content += piece;
    }
    std::lock_guard lock(mutex);
    if (failures > 0) {
      --failures;
      return absl::UnavailableError("no control plane");
    }
    stored.push_back({file.attempt, file.filename, file.content_type, content});
    return "https://api.example.com/delivery/" + std::to_string(stored.size()) + "/" +
           file.filename;
  }
  Result<PullToken> pull_token(const std::vector<std::string>& /*addresses*/,
                               const std::string& repository) override {
    std::lock_guard lock(mutex);
    token_requests.push_back(repository);
    return PullToken{registry, "token-for-" + repository};
  }

  std::mutex mutex;                           // Guards the rest while the store works.
  std::map<std::string, std::string> inputs;  // By URL.
  std::vector<Stored> stored;
  std::vector<std::string> token_requests;
  std::string registry = "registry.example.com";
  int failures = 0;        // How many uploads fail before one succeeds.
  int broken_fetches = 0;  // How many fetches break at their end before one succeeds.
};

}  // namespace mimeo::worker
