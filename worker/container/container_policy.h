// What every container may do and have, whichever runtime runs it (decision D12): limits, sizes of
// its memory file systems, its command. Pure values; how they are put into effect is the business
// of docker_format.h and of launch/.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/units.h"
#include "common/domain/resources.h"

namespace mimeo::worker {

enum class RootFilesystem : std::uint8_t {
  kWritable,  // Models write below /src and /root: what Cog promises them.
  kReadOnly,  // For operators whose models do not.
};

struct ContainerPolicy {
  WorkerId worker;
  RootFilesystem root = RootFilesystem::kWritable;
  std::uint32_t pids = 512;
  std::uint32_t open_files = 65'536;
};

inline constexpr char kContainerHostname[] = "model";
// When the machine runs out of memory, a model goes before the daemons.
inline constexpr int kContainerOomScore = 500;

// "mimeo-<instance id>".
[[nodiscard]] std::string container_name(InstanceId instance);

// True when this command (entrypoint and arguments) starts a Cog server of any generation.
[[nodiscard]] bool is_cog_server(const std::vector<std::string>& command);
// The image's arguments (Cmd), followed by the arguments for Cog servers if it is one.
[[nodiscard]] std::vector<std::string> arguments_for(const std::vector<std::string>& entrypoint,
                                                     std::vector<std::string> command,
                                                     const std::vector<std::string>& cog_arguments);

// Limits of /dev/shm and /tmp: both count against the memory of the container.
[[nodiscard]] Bytes shm_size(const Resources& resources);
[[nodiscard]] Bytes tmp_size(const Resources& resources);

}  // namespace mimeo::worker
