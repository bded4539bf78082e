#include "worker/launch/container_folder.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>
#include <utility>

#include "worker/local_file.h"
#include "worker/text.h"

namespace mimeo::worker {

namespace fs = std::filesystem;

namespace {

constexpr int kOrderlyEndMs = 5'000;  // For mimeo-launch, after its container was killed.
constexpr int kKilledEndMs = 5'000;
constexpr int kHoldTries = 5;

fs::path unfinished(const fs::path& path) {
  return path.parent_path() / (kUnfinished + path.filename().string());
}

pid_t read_pid(const fs::path& file) {
  const auto text = read_file(file);
  return text.ok() ? to_number<pid_t>(*text).value_or(0) : 0;
}

}  // namespace

std::vector<ContainerFolder> ContainerFolder::all(const fs::path& state) {
  std::vector<ContainerFolder> out;
  std::error_code error;
  for (fs::directory_iterator it(state / "containers", error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename().string().front() != '.') out.emplace_back(it->path());
  }
  return out;
}

ContainerFolder ContainerFolder::of(const fs::path& state, const std::string& id) {
  // An id is a name, never a way somewhere else.
  return ContainerFolder(state / "containers" / fs::path(id).filename());
}

Status ContainerFolder::make(const LaunchPlan& plan) const {
  const fs::path folder = unfinished(path_);
  std::error_code error;
  fs::remove_all(folder, error);
  fs::create_directories(folder, error);
  if (error) return absl::InternalError("making " + folder.string() + ": " + error.message());
  // Its content is the container's own and nobody else's; 0755 inside is what the container sees.
  fs::permissions(folder, fs::perms::owner_all, error);
  for (const char* name : {"upper", "work", "lower", "root"}) {
    if (::mkdir((folder / name).c_str(), 0755) != 0)
      return errno_status("making " + path_.string());
  }
  const Descriptor lock(::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open()) return errno_status("making " + path_.string());
  MIMEO_RETURN_IF_ERROR(write_file_durably(folder / "plan", to_json(plan)));
  fs::rename(folder, path_, error);
  if (!error) return absl::OkStatus();
  const bool is_there = error == std::errc::directory_not_empty || error == std::errc::file_exists;
  const std::string text = path_.string() + ": " + error.message();
  fs::remove_all(folder, error);
  return is_there ? absl::AlreadyExistsError(text) : absl::InternalError(text);
}

Result<ContainerRecord> ContainerFolder::read() const {
  const auto text = read_file(path_ / "plan");
  if (!text.ok()) return absl::NotFoundError("there is no container " + id());
  ContainerRecord record;
  MIMEO_ASSIGN_OR_RETURN(record.plan, parse_plan(*text));
  record.launcher = read_pid(path_ / "launcher");
  record.first = read_pid(path_ / "first");
  if (const auto exit = read_file(path_ / "exit"); exit.ok()) {
    MIMEO_ASSIGN_OR_RETURN(record.exit, parse_exit(*exit));
  }
  return record;
}

Result<Descriptor> ContainerFolder::hold() const {
  const fs::path file = path_ / "lock";
  Descriptor lock(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  if (!lock.is_open()) return absl::NotFoundError(path_.string() + " is gone");
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return errno_status("locking " + file.string());
  }
  struct stat held {};
  struct stat named {};
  if (::fstat(lock.get(), &held) != 0 || ::stat(file.c_str(), &named) != 0 ||
      held.st_ino != named.st_ino) {
    return absl::NotFoundError(path_.string() + " was removed");
  }
  return lock;
}

Status ContainerFolder::write_launcher(pid_t pid) const {
  return write_file_durably(path_ / "launcher", absl::StrCat(pid));
}

Status ContainerFolder::write_first(pid_t pid) const {
  return write_file_durably(path_ / "first", absl::StrCat(pid));
}

Status ContainerFolder::write_exit(const ContainerExit& exit) const {
  return write_file_durably(path_ / "exit", to_json(exit));
}

Result<ContainerRecord> ContainerFolder::bury(const Cgroups& cgroups) const {
  MIMEO_ASSIGN_OR_RETURN(ContainerRecord record, read());
  if (record.exit) return record;  // Written in its last moment.
  MIMEO_RETURN_IF_ERROR(cgroups.remove(record.plan.cgroup));
  MIMEO_RETURN_IF_ERROR(write_exit({}));
  record.exit.emplace();
  return record;
}

// Waits for the end of this mimeo-launch, which its container's end brings about; insists after a
// while.
Status ContainerFolder::end_launcher(pid_t pid) const {
  if (pid <= 0) return absl::OkStatus();
  const Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.is_open()) return absl::OkStatus();
  // Process ids are used again: first held, then asked.
  const auto command = read_file(absl::StrCat("/proc/", pid, "/cmdline"));
  if (!command.ok() || command->find(mark()) == std::string::npos) return absl::OkStatus();
  pollfd ended{process.get(), POLLIN, 0};
  if (::poll(&ended, 1, kOrderlyEndMs) > 0) return absl::OkStatus();
  ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  if (::poll(&ended, 1, kKilledEndMs) > 0) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat("process ", pid, " of ", id(), " does not end"));
}

Status ContainerFolder::remove(const Cgroups& cgroups) const {
  const auto plan_text = read_file(path_ / "plan");
  if (!plan_text.ok()) return remove_tree(path_);
  const auto plan = parse_plan(*plan_text);
  const Descriptor lock(::open((path_ / "lock").c_str(), O_RDWR | O_CLOEXEC));
  if (!plan.ok()) return remove_tree(path_);
  bool is_held = false;
  for (int i = 0; !is_held && i < kHoldTries; ++i) {
    cgroups.kill(plan->cgroup);
    // Held by us: no mimeo-launch lives, and one that is just beginning will find nothing.
    is_held = ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
    if (!is_held) MIMEO_RETURN_IF_ERROR(end_launcher(read_pid(path_ / "launcher")));
  }
  if (!is_held) return absl::DeadlineExceededError("the mimeo-launch of " + id() + " does not end");
  MIMEO_RETURN_IF_ERROR(cgroups.remove(plan->cgroup));
  return remove_tree(path_);
}

void remove_unfinished(const fs::path& folder) {
  std::vector<fs::path> left;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(kUnfinished)) left.push_back(it->path());
  }
  for (const auto& path : left) fs::remove_all(path, error);
}

Result<fs::path> set_aside(const fs::path& path) {
  fs::path doomed = unfinished(path);
  std::error_code error;
  fs::remove_all(doomed, error);
  if (::rename(path.c_str(), doomed.c_str()) == 0) return doomed;
  if (errno == ENOENT) return absl::NotFoundError(path.string());
  return errno_status("removing " + path.string());
}

Status remove_tree(const fs::path& path) {
  const auto doomed = set_aside(path);
  if (absl::IsNotFound(doomed.status())) return absl::OkStatus();
  if (!doomed.ok()) return doomed.status();
  std::error_code error;
  fs::remove_all(*doomed, error);
  if (error) return absl::InternalError("removing " + path.string() + ": " + error.message());
  return absl::OkStatus();
}

}  // namespace mimeo::worker
