#include "worker/launch/cgroups.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <optional>

#include "common/base/descriptor.h"
#include "worker/local_file.h"
#include "worker/text.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kControllers{"memory", "cpu", "pids"};
constexpr std::uint64_t kCpuPeriodUs = 100'000;
constexpr int kEndLimitMs = 10'000;  // A killed process in the middle of a long write ends late.
// A group is busy for a moment after its last process ended, and nothing tells when that is over.
constexpr int kRemoveTries = 500;
constexpr timespec kRemovePause{0, 2'000'000};

Status write_value(const fs::path& file, std::string_view value) {
  const Descriptor fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_open() && errno == ENOENT) return absl::NotFoundError(file.string());
  if (!fd.is_open()) return errno_status(file.string());
  if (::write(fd.get(), value.data(), value.size()) < 0) {
    return errno_status("writing " + std::string(value) + " to " + file.string());
  }
  return absl::OkStatus();
}

std::string text_of(const fs::path& file) {
  auto text = read_file(file);
  return text.ok() ? *std::move(text) : std::string();
}

bool is_in(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// One line of mountinfo, as far as it matters: where, what, and the options of the file system.
struct Mount {
  std::string point;
  std::string type;
  std::vector<std::string> options;
};

std::optional<Mount> parse_mount(std::string_view line) {
  // "31 23 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory".
  constexpr std::string_view kDivider = " - ";
  const std::size_t divider = line.find(kDivider);
  if (divider == std::string_view::npos) return std::nullopt;
  const std::vector<std::string> first = words(line.substr(0, divider));
  const std::vector<std::string> second = words(line.substr(divider + kDivider.size()));
  if (first.size() < 5 || second.size() < 3) return std::nullopt;
  const auto options = split(second[2], ',');
  return Mount{first[4], second[0], {options.begin(), options.end()}};
}

// Processes of a group, held: none of them can become another one meanwhile.
std::vector<Descriptor> processes_of(const fs::path& group, std::string_view name) {
  std::vector<Descriptor> out;
  for (const auto& word : words(text_of(group / "cgroup.procs"))) {
    const int pid = to_number<int>(word).value_or(0);
    if (pid <= 0) continue;  // 0: of a pid namespace that we do not see into.
    Descriptor fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!fd.is_open()) continue;
    // First held, then asked: is it (still) of this group?
    if (contains(text_of(absl::StrCat("/proc/", pid, "/cgroup")), name)) {
      out.push_back(std::move(fd));
    }
  }
  return out;
}

void kill_processes(const std::vector<Descriptor>& processes) {
  for (const auto& process : processes) {
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  }
}

Status cannot_write(const Status& why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "cgroups cannot be used, so that containers would have no limits: ",
      std::string(why.message()),
      ". Run the worker as root, outside of a container or in one that may write its cgroups"));
}

Status remove_folder(const fs::path& folder) {
  for (int i = 0; i < kRemoveTries; ++i) {
    if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
    if (errno != EBUSY) return errno_status("removing " + folder.string());
    ::nanosleep(&kRemovePause, nullptr);
  }
  return absl::DeadlineExceededError(folder.string() + " stays busy");
}

}  // namespace

Result<Cgroups> Cgroups::find() {
  MIMEO_ASSIGN_OR_RETURN(const std::string mountinfo, read_file("/proc/self/mountinfo"));
  return find_in(mountinfo);
}

Result<Cgroups> Cgroups::find_in(std::string_view mountinfo) {
  Cgroups found;
  std::vector<std::string> missing(kControllers.begin(), kControllers.end());
  const auto take = [&](const Mount& mount, const std::vector<std::string>& offered) {
    Hierarchy hierarchy{mount.point, mount.type == "cgroup2", {}};
    for (const auto& name : offered) {
      if (!is_in(missing, name)) continue;
      hierarchy.controllers.push_back(name);
      std::erase(missing, name);
    }
    if (!hierarchy.controllers.empty()) found.hierarchies_.push_back(std::move(hierarchy));
  };
  for (std::string_view line : split(mountinfo, '\n')) {
    const auto mount = parse_mount(line);
    if (!mount) continue;
    // A controller is in one hierarchy only, whichever that is.
    if (mount->type == "cgroup") take(*mount, mount->options);
    if (mount->type == "cgroup2") {
      take(*mount, words(text_of(fs::path(mount->point) / "cgroup.controllers")));
    }
  }
  if (missing.empty()) return found;
  std::string names;
  for (const auto& name : missing) names += (names.empty() ? "" : ", ") + name;
  return absl::FailedPreconditionError(absl::StrCat(
      "no cgroup controller for ", names, " is mounted, so that containers would have no limits"));
}

Status Cgroups::make(const std::string& group, const CgroupLimits& limits) const {
  Status made;
  for (const auto& hierarchy : hierarchies_) {
    // The end of another container may remove parents that are empty for a moment.
    for (int i = 0; i < kRemoveTries; ++i) {
      made = make_folders(hierarchy, group);
      if (made.ok() || !absl::IsNotFound(made)) break;
    }
    if (made.ok()) made = limit(hierarchy, hierarchy.mount / group, limits);
    if (!made.ok()) return cannot_write(made);
  }
  return absl::OkStatus();
}

Status Cgroups::make_folders(const Hierarchy& hierarchy, const std::string& group) {
  fs::path folder = hierarchy.mount;
  for (const auto& part : fs::path(group)) {
    if (hierarchy.is_unified) {
      const auto enabled = words(text_of(folder / "cgroup.subtree_control"));
      for (const auto& name : hierarchy.controllers) {
        if (is_in(enabled, name)) continue;
        MIMEO_RETURN_IF_ERROR(write_value(folder / "cgroup.subtree_control", "+" + name));
      }
    }
    folder /= part;
    if (::mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST) continue;
    if (errno == ENOENT) return absl::NotFoundError(folder.string());
    return errno_status("making " + folder.string());
  }
  return absl::OkStatus();
}

Status Cgroups::limit(const Hierarchy& hierarchy, const fs::path& group,
                      const CgroupLimits& limits) {
  const bool v2 = hierarchy.is_unified;
  const auto has = [&](std::string_view name) { return is_in(hierarchy.controllers, name); };
  if (has("memory") && limits.memory.count != 0) {
    const std::string memory = absl::StrCat(limits.memory.count);
    const fs::path swap = group / (v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes");
    MIMEO_RETURN_IF_ERROR(
        write_value(group / (v2 ? "memory.max" : "memory.limit_in_bytes"), memory));
    // Kernels without accounting of swap have no such file.
    if (::access(swap.c_str(), F_OK) == 0) {
      MIMEO_RETURN_IF_ERROR(write_value(swap, v2 ? "0" : memory));
    } else if (!v2) {
      MIMEO_RETURN_IF_ERROR(write_value(group / "memory.swappiness", "0"));
    }
  }
  if (has("cpu") && limits.cpu_milli != 0) {
    const std::string quota = absl::StrCat(limits.cpu_milli * kCpuPeriodUs / 1000);
    const std::string period = absl::StrCat(kCpuPeriodUs);
    if (v2) {
      MIMEO_RETURN_IF_ERROR(write_value(group / "cpu.max", quota + " " + period));
    } else {
      MIMEO_RETURN_IF_ERROR(write_value(group / "cpu.cfs_period_us", period));
      MIMEO_RETURN_IF_ERROR(write_value(group / "cpu.cfs_quota_us", quota));
    }
  }
  if (has("pids") && limits.pids != 0) {
    MIMEO_RETURN_IF_ERROR(write_value(group / "pids.max", absl::StrCat(limits.pids)));
  }
  return absl::OkStatus();
}

Status Cgroups::add(const std::string& group, pid_t pid) const {
  for (const auto& hierarchy : hierarchies_) {
    MIMEO_RETURN_IF_ERROR(write_value(hierarchy.mount / group / "cgroup.procs", absl::StrCat(pid)));
  }
  return absl::OkStatus();
}

bool Cgroups::was_out_of_memory(const std::string& group) const {
  for (const auto& hierarchy : hierarchies_) {
    if (!is_in(hierarchy.controllers, "memory")) continue;
    const std::string text = text_of(
        hierarchy.mount / group / (hierarchy.is_unified ? "memory.events" : "memory.oom_control"));
    for (const std::string_view line : split(text, '\n')) {
      const auto fields = split(line, ' ');
      if (fields.size() == 2 && fields[0] == "oom_kill" && fields[1] != "0") return true;
    }
  }
  return false;
}

void Cgroups::kill(const std::string& group) const {
  for (const auto& hierarchy : hierarchies_) {
    const fs::path folder = hierarchy.mount / group;
    // All at once where the kernel can (5.14, version 2 only).
    if (hierarchy.is_unified && write_value(folder / "cgroup.kill", "1").ok()) continue;
    kill_processes(processes_of(folder, group));
  }
}

Status Cgroups::remove(const std::string& group) const {
  for (const auto& hierarchy : hierarchies_) {
    fs::path folder = hierarchy.mount / group;
    // Again, for a process that was just being made is not listed yet.
    for (int i = 0; i < kRemoveTries; ++i) {
      const auto processes = processes_of(folder, group);
      if (processes.empty()) break;
      kill_processes(processes);
      for (const auto& process : processes) {
        pollfd ended{process.get(), POLLIN, 0};
        if (::poll(&ended, 1, kEndLimitMs) == 0) {
          return absl::DeadlineExceededError("a killed process of " + group + " does not end");
        }
      }
    }
    MIMEO_RETURN_IF_ERROR(remove_folder(folder));
    for (fs::path parent = fs::path(group).parent_path(); !parent.empty();
         parent = parent.parent_path()) {
      if (::rmdir((hierarchy.mount / parent).c_str()) != 0) break;  // Others are in it.
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> Cgroups::children(const std::string& parent) const {
  std::vector<std::string> out;
  for (const auto& hierarchy : hierarchies_) {
    std::error_code error;
    for (fs::directory_iterator it(hierarchy.mount / parent, error), end; !error && it != end;
         it.increment(error)) {
      std::string name = absl::StrCat(parent, "/", it->path().filename().string());
      if (it->is_directory(error) && !is_in(out, name)) out.push_back(std::move(name));
    }
  }
  return out;
}

}  // namespace mimeo::worker
