// The first process of a container (pid 1 inside): makes the container from within, starts the
// model's own process and then is its init: hands on signals, reaps what loses its parent, ends as
// that process ends. With it the whole container ends, and it ends with its mimeo-launch.

#pragma once

#include "common/base/descriptor.h"
#include "worker/launch/container_folder.h"
#include "worker/launch/plan.h"
#include "worker/launch/seccomp_filter.h"

namespace mimeo::worker {

struct FirstProcess {
  const LaunchPlan& plan;
  const ContainerFolder& folder;
  const SeccompFilter& filter;
  Descriptor go;      // A byte comes when it is in its cgroups; the end of it = mimeo-launch died.
  Descriptor report;  // to_text() of what went wrong; closed without a word = the model runs.
  Descriptor output;  // stdout and stderr of the model.
};

// In a new process with namespaces of its own, all signals blocked.
[[noreturn]] void run_first_process(FirstProcess process);

// All of them but the cgroup namespace, which must be made in the cgroup.
extern const unsigned long kContainerNamespaces;
// fork() into new namespaces.
[[nodiscard]] pid_t fork_into(unsigned long namespaces);

}  // namespace mimeo::worker
