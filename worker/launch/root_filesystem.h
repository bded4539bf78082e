// What a container sees as its files: the image under a layer of its own, and the few file systems
// that programs expect. For the first process of a container, in its new mount namespace, with all
// capabilities: afterwards nothing of the machine's own files can be named any more.

#pragma once

#include <string>

#include "common/base/status.h"
#include "worker/launch/container_folder.h"
#include "worker/launch/plan.h"

namespace mimeo::worker {

// Makes it and moves into it. kInvalidArgument when the image cannot be used, else kInternal. The
// process is good for nothing after an error.
Status enter_root(const ContainerFolder& folder, const LaunchPlan& plan);

// The beginning of a file of the image; empty when there is no such regular file. After
// enter_root().
[[nodiscard]] std::string image_file(const char* path);

}  // namespace mimeo::worker
