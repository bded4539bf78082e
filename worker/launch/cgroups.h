// Control groups: how much memory, how much processor time and how many processes a container may
// have, and all of its processes by name, whatever became of their parents. Version 1 and version 2
// of the kernel's interface, and machines that have both. Blocking; used by the daemon and by
// mimeo-launch.
//
// A group is named by its path below the root of each hierarchy ("mimeo/<worker>/<container>"), as
// Docker's own are: below the daemon's group it would end with the daemon's service.

#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"

namespace mimeo::worker {

struct CgroupLimits {
  Bytes memory;                 // With swap, which is none at all; 0 = no limit.
  std::uint32_t cpu_milli = 0;  // 0 = no limit.
  std::uint32_t pids = 0;       // 0 = no limit.
};

// A value; safe from any thread.
class Cgroups {
 public:
  // kFailedPrecondition when the controllers for memory, cpu and pids are not all to be had.
  static Result<Cgroups> find();
  // The same from the text of /proc/self/mountinfo.
  static Result<Cgroups> find_in(std::string_view mountinfo);

  // Makes the group with its parents, or takes up the one that is there. kFailedPrecondition with
  // what the operator can do when the hierarchy cannot be written.
  Status make(const std::string& group, const CgroupLimits& limits) const;
  Status add(const std::string& group, pid_t pid) const;
  // True when the kernel has killed a process of the group for its memory.
  [[nodiscard]] bool was_out_of_memory(const std::string& group) const;
  // SIGKILL to every process of the group. OK when there is none, or no group.
  void kill(const std::string& group) const;
  // The same, waits for their end and removes the group, and its parents if they are empty then.
  // kDeadlineExceeded when a process does not end.
  Status remove(const std::string& group) const;
  // The groups right below `parent`, as full names.
  [[nodiscard]] std::vector<std::string> children(const std::string& parent) const;

 private:
  struct Hierarchy {
    std::filesystem::path mount;
    bool is_unified = false;  // Version 2.
    std::vector<std::string> controllers;
  };

  static Status make_folders(const Hierarchy& hierarchy, const std::string& group);
  static Status limit(const Hierarchy& hierarchy, const std::filesystem::path& group,
                      const CgroupLimits& limits);

  std::vector<Hierarchy> hierarchies_;  // Only those that hold a controller of ours.
};

}  // namespace mimeo::worker
