// What mimeo-launch is told about a container, and what it tells of its end, as values and as the
// JSON of their files. The files themselves are container_folder.h's.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "worker/container/container_policy.h"
#include "worker/container/runtime.h"

namespace mimeo::worker {

struct LaunchPlan {
  InstanceId instance;
  ImageName image;
  std::string rootfs;  // The unpacked image; shared, never written.
  std::string cgroup;  // Below the root of each hierarchy: "mimeo/<worker>/<container>".
  std::vector<std::string> command;
  std::vector<std::string> env;  // "NAME=value".
  std::string working_dir;       // Empty = "/".
  std::string user;              // As in the image's config: "", "1000", "app:users".
  RootFilesystem root = RootFilesystem::kWritable;
  std::uint32_t cpu_milli = 0;  // 0 = no limit, as for memory.
  Bytes memory;
  std::uint32_t pids = 0;
  std::uint32_t open_files = 0;
  Bytes tmp;
  Bytes shm;
};

[[nodiscard]] std::string to_json(const LaunchPlan& plan);
// kInvalidArgument when it is no such text.
[[nodiscard]] Result<LaunchPlan> parse_plan(std::string_view json);

[[nodiscard]] std::string to_json(const ContainerExit& exit);
[[nodiscard]] Result<ContainerExit> parse_exit(std::string_view json);

// How a start went, on its way through a pipe: "" is OK.
[[nodiscard]] std::string to_text(const Status& status);
[[nodiscard]] Status parse_status(std::string_view text);
// What mimeo-launch says instead of "": that could also be a pipe that broke.
inline constexpr char kContainerRuns[] = "runs";

}  // namespace mimeo::worker
