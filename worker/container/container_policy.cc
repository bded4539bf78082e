#include "worker/container/container_policy.h"

#include <absl/strings/match.h>

#include <algorithm>
#include <utility>

namespace mimeo::worker {
namespace {

// Cog's own command line gives 6 GiB: PyTorch's data loaders need much more than Docker's 64 MiB.
constexpr Bytes kUsualShm = 6_GiB;

}  // namespace

std::string container_name(InstanceId instance) { return "mimeo-" + instance.str(); }

bool is_cog_server(const std::vector<std::string>& command) {
  return std::any_of(command.begin(), command.end(), [](const std::string& word) {
    return absl::StrContains(word, "cog.server.http");
  });
}

std::vector<std::string> arguments_for(const std::vector<std::string>& entrypoint,
                                       std::vector<std::string> command,
                                       const std::vector<std::string>& cog_arguments) {
  if (is_cog_server(entrypoint) || is_cog_server(command)) {
    command.insert(command.end(), cog_arguments.begin(), cog_arguments.end());
  }
  return command;
}

Bytes tmp_size(const Resources& resources) {
  if (resources.scratch.count != 0) return resources.scratch;
  if (resources.memory.count != 0) return resources.memory;
  return 4_GiB;
}

Bytes shm_size(const Resources& resources) {
  if (resources.memory.count == 0) return kUsualShm;
  return std::min(kUsualShm, std::max(64_MiB, resources.memory));
}

}  // namespace mimeo::worker
