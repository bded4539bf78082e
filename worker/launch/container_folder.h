// The folder of one container of the process runtime: what mimeo-launch is told, what it tells,
// what the container writes. Everything that a restarted daemon knows of a container is here.
// Blocking; used by the daemon and by mimeo-launch.
//
//   <state>/containers/<id>/plan       LaunchPlan
//                           lock       held by its mimeo-launch for as long as it lives
//                           launcher   the process id of that one
//                           first      the process id of the container's first process: it runs
//                           exit       ContainerExit, durable: it has ended
//                           launch.log what mimeo-launch had to say
//                           log, log.1 what the container printed
//                           upper, work, lower, root   of its root file system

#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/descriptor.h"
#include "common/base/status.h"
#include "worker/launch/cgroups.h"
#include "worker/launch/plan.h"

namespace mimeo::worker {

// What the files say. Whether that mimeo-launch still lives is for the reader to find out.
struct ContainerRecord {
  LaunchPlan plan;
  pid_t launcher = 0;  // 0 = was never started.
  pid_t first = 0;     // 0 = not running yet.
  std::optional<ContainerExit> exit;
};

class ContainerFolder {
 public:
  explicit ContainerFolder(std::filesystem::path path) : path_(std::move(path)) {}

  // All containers below the state directory of a worker; what was being made or removed when a
  // daemon died is no container.
  [[nodiscard]] static std::vector<ContainerFolder> all(const std::filesystem::path& state);
  [[nodiscard]] static ContainerFolder of(const std::filesystem::path& state,
                                          const std::string& id);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string id() const { return path_.filename(); }
  [[nodiscard]] std::filesystem::path launch_log() const { return path_ / "launch.log"; }
  [[nodiscard]] std::filesystem::path log() const { return path_ / "log"; }
  [[nodiscard]] std::filesystem::path old_log() const { return path_ / "log.1"; }
  // What is in no other process's command line.
  [[nodiscard]] std::string mark() const { return path_.string(); }

  // Makes it, whole or not at all. kAlreadyExists.
  Status make(const LaunchPlan& plan) const;
  // kNotFound when there is no such container.
  [[nodiscard]] Result<ContainerRecord> read() const;

  // For mimeo-launch: waits for the lock, which ends with the process. kNotFound when the container
  // was removed meanwhile.
  [[nodiscard]] Result<Descriptor> hold() const;
  Status write_launcher(pid_t pid) const;
  Status write_first(pid_t pid) const;
  Status write_exit(const ContainerExit& exit) const;

  // For a container whose mimeo-launch died: ends what is left of its processes and writes down
  // that nobody knows how it ended. The record as it is then.
  [[nodiscard]] Result<ContainerRecord> bury(const Cgroups& cgroups) const;
  // Ends all processes of the container and removes its cgroups and files. OK when it is gone.
  // Seconds when a process resists.
  Status remove(const Cgroups& cgroups) const;

 private:
  Status end_launcher(pid_t pid) const;

  std::filesystem::path path_;
};

// Names below `containers` and `images` of what is not finished or half removed.
inline constexpr char kUnfinished[] = ".unfinished-";
// Removes those; for the start of a daemon.
void remove_unfinished(const std::filesystem::path& folder);
// Renames what is to be removed, so that it is gone at once; its path then. kNotFound.
[[nodiscard]] Result<std::filesystem::path> set_aside(const std::filesystem::path& path);
// The same, and then removes all of it. OK when it was not there.
Status remove_tree(const std::filesystem::path& path);

}  // namespace mimeo::worker
