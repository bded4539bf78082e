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

std::string last_lines(std::string_view text, std::size_t lines) {
  if (lines == 0) return {};
  std::size_t end = text.size();
  if (end > 0 && text[end - 1] == '\n') --end;
  std::size_t position = end;
  while (position > 0) {
    const std::size_t newline = text.rfind('\n', position - 1);
    if (newline == std::string_view::npos) return std::string(text);
    if (--lines == 0) return std::string(text.substr(newline + 1));
    position = newline;
  }
  return std::string(text);
}

}  // namespace mimeo::worker
