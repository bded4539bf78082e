#include "worker/launch/launcher.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "worker/launch/first_process.h"
#include "worker/launch/log_file.h"
#include "worker/launch/seccomp_filter.h"
#include "worker/local_file.h"

namespace mimeo::worker {
namespace {

// Of a container's output: the current file and the one before, each up to this size.
constexpr Bytes kLogSize = 10_MiB;
constexpr std::size_t kPiece = 1 << 16;

struct Pipe {
  Descriptor out;  // To read from.
  Descriptor in;
};

Result<Pipe> make_pipe(int flags) {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC | flags) != 0) return errno_status("pipe");
  return Pipe{Descriptor(fds[0]), Descriptor(fds[1])};
}

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    const ssize_t n = ::read(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(n));
  }
}

void tell(Descriptor& ready, std::string_view text) {
  (void)!::write(ready.get(), text.data(), text.size());
  ready.close();
}

CgroupLimits limits_of(const LaunchPlan& plan) {
  return CgroupLimits{plan.memory, plan.cpu_milli, plan.pids};
}

// A container that runs, or is about to.
class Running {
 public:
  Running(const ContainerFolder& folder, const LaunchPlan& plan, const Cgroups& cgroups)
      : folder_(folder), plan_(plan), cgroups_(cgroups) {}

  // Returns when the model's process runs.
  Status start() {
    MIMEO_ASSIGN_OR_RETURN(const SeccompFilter filter, SeccompFilter::build());
    MIMEO_ASSIGN_OR_RETURN(Pipe go, make_pipe(0));
    MIMEO_ASSIGN_OR_RETURN(Pipe report, make_pipe(0));
    MIMEO_ASSIGN_OR_RETURN(Pipe output, make_pipe(0));
    first_ = fork_into(kContainerNamespaces);
    if (first_ < 0) return errno_status("making namespaces");
    if (first_ == 0) {
      go.in.close();  // Else it would never see the end of it.
      report.out.close();
      output.out.close();
      run_first_process(FirstProcess{plan_, folder_, filter, std::move(go.out),
                                     std::move(report.in), std::move(output.in)});
    }
    report.in.close();
    output.in.close();
    output_ = std::move(output.out);
    if (::fcntl(output_.get(), F_SETFL, O_NONBLOCK) != 0) return errno_status("pipe");
    MIMEO_RETURN_IF_ERROR(cgroups_.add(plan_.cgroup, first_));
    if (::write(go.in.get(), "g", 1) != 1) return errno_status("pipe");
    MIMEO_RETURN_IF_ERROR(parse_status(read_all(report.out.get())));
    return folder_.write_first(first_);
  }

  // Returns when it has ended.
  ContainerExit watch() {
    sigset_t all;
    sigfillset(&all);
    const Descriptor signals(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    std::array<pollfd, 2> waiting{pollfd{signals.get(), POLLIN, 0},
                                  pollfd{output_.get(), POLLIN, 0}};
    std::optional<int> status = reap();  // It may have ended while nobody looked.
    while (!status) {
      if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
      if (waiting[1].revents != 0 && keep_output() == Output::kEnd) waiting[1].fd = -1;
      signalfd_siginfo info{};
      while (::read(signals.get(), &info, sizeof(info)) == sizeof(info)) {
        const int signal = static_cast<int>(info.ssi_signo);
        if (signal != SIGCHLD && signal != SIGPIPE) ::kill(first_, signal);
      }
      status = reap();
    }
    while (keep_output() == Output::kSome) {  // All writers are gone: to its end.
    }
    ContainerExit exit;
    exit.code = WIFSIGNALED(*status) ? 128 + WTERMSIG(*status) : WEXITSTATUS(*status);
    exit.is_out_of_memory = exit.code != 0 && cgroups_.was_out_of_memory(plan_.cgroup);
    return exit;
  }

  // After a start that failed.
  void end() {
    if (first_ <= 0) return;
    ::kill(first_, SIGKILL);
    while (::waitpid(first_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  std::optional<int> reap() {
    int status = 0;
    if (::waitpid(first_, &status, WNOHANG) != first_) return std::nullopt;
    return status;
  }

  enum class Output : std::uint8_t { kSome, kNone, kEnd };

  // One piece at a time: a container that never stops printing must not keep us from the rest.
  Output keep_output() {
    std::array<char, kPiece> piece{};
    const ssize_t n = ::read(output_.get(), piece.data(), piece.size());
    if (n == 0) return Output::kEnd;
    if (n < 0) return errno == EAGAIN ? Output::kNone : Output::kSome;
    log_.write(std::string_view(piece.data(), static_cast<std::size_t>(n)));
    return Output::kSome;
  }

  const ContainerFolder& folder_;
  const LaunchPlan& plan_;
  const Cgroups& cgroups_;
  LogFile log_{folder_.log(), folder_.old_log(), kLogSize};
  Descriptor output_;
  pid_t first_ = 0;
};

// From a folder that is ours alone to the end.
Status run_held(const ContainerFolder& folder, Descriptor& ready) {
  MIMEO_ASSIGN_OR_RETURN(const ContainerRecord record, folder.read());
  if (record.exit || record.first != 0) {
    return absl::FailedPreconditionError("the container was started before");
  }
  MIMEO_ASSIGN_OR_RETURN(const Cgroups cgroups, Cgroups::find());
  Running running(folder, record.plan, cgroups);
  Status started = cgroups.make(record.plan.cgroup, limits_of(record.plan));
  if (started.ok()) started = running.start();
  ContainerExit exit;
  if (started.ok()) {
    tell(ready, kContainerRuns);
    exit = running.watch();
  } else {
    running.end();
    exit.engine_error = std::string(started.message());
  }
  const Status written = folder.write_exit(exit);
  const Status removed = cgroups.remove(record.plan.cgroup);
  if (!started.ok()) return started;
  return written.ok() ? removed : written;
}

}  // namespace

Status run_container(const ContainerFolder& folder, Descriptor ready) {
  block_signals();
  MIMEO_RETURN_IF_ERROR(folder.write_launcher(::getpid()));
  auto lock = folder.hold();
  Status status = lock.status();
  if (status.ok()) status = run_held(folder, ready);
  if (!status.ok() && ready.is_open()) tell(ready, to_text(status));
  return status;
}

Status check_machine(const std::filesystem::path& state) {
  if (::geteuid() != 0) {
    return absl::FailedPreconditionError(
        "the runtime 'process' needs root; without, use the runtime 'docker'");
  }
  MIMEO_ASSIGN_OR_RETURN(const Cgroups cgroups, Cgroups::find());
  const std::string group = absl::StrCat("mimeo/check-", ::getpid());
  const Status made = cgroups.make(group, CgroupLimits{64_MiB, 1000, 16});
  const Status removed = cgroups.remove(group);
  MIMEO_RETURN_IF_ERROR(made);
  MIMEO_RETURN_IF_ERROR(removed);
  MIMEO_RETURN_IF_ERROR(SeccompFilter::build().status());
  const pid_t pid = fork_into(kContainerNamespaces);
  if (pid == 0) {
    const bool may_mount = ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                           ::mount("tmpfs", state.c_str(), "tmpfs", 0, nullptr) == 0;
    ::_exit(may_mount ? 0 : 1);
  }
  int status = 1;
  const bool is_made = pid > 0 && ::waitpid(pid, &status, 0) == pid;
  if (is_made && status == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "namespaces cannot be made or mounted in; inside of a container it must be a privileged one");
}

Status remove_containers(const std::filesystem::path& state) {
  const auto all = ContainerFolder::all(state);
  if (all.empty()) return absl::OkStatus();
  MIMEO_ASSIGN_OR_RETURN(const Cgroups cgroups, Cgroups::find());
  Status status;
  for (const auto& folder : all) {
    const Status removed = folder.remove(cgroups);
    if (!removed.ok()) status = with_context(removed, "removing " + folder.id());
  }
  return status;
}

}  // namespace mimeo::worker
