// One container from its plan to its end: the process that stays outside, on the machine. Makes the
// cgroups and the first process, keeps what the container prints, and writes down how it ended.
// Lives as long as the container and no longer; the daemon may come and go meanwhile.

#pragma once

#include <filesystem>

#include "common/base/descriptor.h"
#include "common/base/status.h"
#include "worker/launch/container_folder.h"

namespace mimeo::worker {

// Returns when the container has ended; an error when it did not come to run. To `ready` goes
// kContainerRuns or to_text() of what went wrong, then it is closed: nothing = this process died.
Status run_container(const ContainerFolder& folder, Descriptor ready);

// OK when containers can be run with this state directory; else what is missing, for the operator.
Status check_machine(const std::filesystem::path& state);

// Removes every container of this state directory, running or not.
Status remove_containers(const std::filesystem::path& state);

}  // namespace mimeo::worker
