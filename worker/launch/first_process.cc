#include "worker/launch/first_process.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "worker/launch/root_filesystem.h"
#include "worker/launch/user.h"
#include "worker/local_file.h"

extern char** environ;  // NOLINT: POSIX gives no header for it.

namespace mimeo::worker {

const unsigned long kContainerNamespaces =
    CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

namespace {

constexpr char kUsualPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kKeyctlJoinSession = 1;
constexpr std::uint32_t kMayKill = 1U << CAP_KILL;

Status set_capabilities(std::uint32_t low) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  sets[0].effective = low;
  sets[0].permitted = low;
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return errno_status("capset");
  return absl::OkStatus();
}

// For all that follow: what is not in the bounding set can never be had again.
Status drop_bounding_set() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return errno_status("bounding set");
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return absl::OkStatus();
}

Status set_limits(const LaunchPlan& plan) {
  ::umask(022);
  // Root may be held to a limit as well; then that is the container's.
  rlimit files{};
  const bool is_known = ::getrlimit(RLIMIT_NOFILE, &files) == 0;
  const rlim_t most = is_known ? files.rlim_max : plan.open_files;
  files.rlim_max = files.rlim_cur = std::min<rlim_t>(plan.open_files, most);
  const rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0 || ::setrlimit(RLIMIT_CORE, &no_core) != 0) {
    return errno_status("setrlimit");
  }
  const Descriptor score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  const std::string value = absl::StrCat(kContainerOomScore);
  (void)!::write(score.get(), value.data(), value.size());
  // The daemon's keys are not the container's. Kernels without keys have none to leave.
  ::syscall(SYS_keyctl, kKeyctlJoinSession, nullptr);
  return absl::OkStatus();
}

Status bring_up_loopback() {
  const Descriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof(request.ifr_name) - 1);
  request.ifr_flags = IFF_UP;
  if (::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return errno_status("loopback");
  return absl::OkStatus();
}

Status prepare(const FirstProcess& process) {
  MIMEO_RETURN_IF_ERROR(set_limits(process.plan));
  // Of which our cgroup is the root. Kernels before 4.6 have none; the others do not refuse it.
  if (::unshare(CLONE_NEWCGROUP) != 0 && errno != EINVAL) return errno_status("cgroup namespace");
  if (::sethostname(kContainerHostname, std::strlen(kContainerHostname)) != 0) {
    return errno_status("sethostname");
  }
  MIMEO_RETURN_IF_ERROR(bring_up_loopback());
  return enter_root(process.folder, process.plan);
}

// The plan's environment with what every process expects.
std::vector<std::string> environment(const LaunchPlan& plan, const ContainerUser& user) {
  std::vector<std::string> out = plan.env;
  const auto usual = [&](const std::string& name, const std::string& value) {
    const bool is_set = std::any_of(out.begin(), out.end(), [&](const std::string& entry) {
      return entry.starts_with(name + "=");
    });
    if (!is_set) out.push_back(absl::StrCat(name, "=", value));
  };
  usual("PATH", kUsualPath);
  usual("HOSTNAME", kContainerHostname);
  usual("HOME", user.home);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (auto& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

Status become(const ContainerUser& user) {
  MIMEO_RETURN_IF_ERROR(drop_bounding_set());
  if (::setgroups(user.groups.size(), user.groups.data()) != 0 ||
      ::setresgid(user.gid, user.gid, user.gid) != 0 ||
      ::setresuid(user.uid, user.uid, user.uid) != 0) {
    return errno_status("becoming the image's user");
  }
  MIMEO_RETURN_IF_ERROR(set_capabilities(0));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_status("no_new_privs");
  return absl::OkStatus();
}

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// In the model's own process; returns only when that cannot be.
Status exec_model(const FirstProcess& process, const ContainerUser& user) {
  ::setsid();
  const Descriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (::dup2(nothing.get(), 0) < 0 || ::dup2(process.output.get(), 1) < 0 ||
      ::dup2(process.output.get(), 2) < 0) {
    return errno_status("standard streams");
  }
  MIMEO_RETURN_IF_ERROR(become(user));
  const std::string folder = process.plan.working_dir.empty() ? "/" : process.plan.working_dir;
  if (::chdir(folder.c_str()) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the image's working directory ", folder, ": ", std::strerror(errno)));
  }
  std::vector<std::string> words = process.plan.command;
  std::vector<std::string> variables = environment(process.plan, user);
  const std::vector<char*> argv = pointers(words);
  std::vector<char*> env = pointers(variables);
  environ = env.data();  // execvp() looks for the program by the container's own PATH.
  reset_signals();
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  MIMEO_RETURN_IF_ERROR(process.filter.load());
  ::execvp(argv[0], argv.data());
  return absl::InvalidArgumentError(absl::StrCat("running ", words[0], ": ", std::strerror(errno)));
}

// Our command line is the machine's: it names folders. Only in this process's own memory, where the
// words lie one behind the other.
void hide_command_line() {
  const auto words = read_file("/proc/self/cmdline");
  if (!words.ok() || words->size() < sizeof("init")) return;
  std::memset(program_invocation_name, 0, words->size());
  std::strcpy(program_invocation_name, "init");
  ::prctl(PR_SET_NAME, "init", 0, 0, 0);
}

[[noreturn]] void give_up(const Descriptor& report, const Status& status) {
  const std::string text = to_text(status);
  (void)!::write(report.get(), text.data(), text.size());
  ::_exit(1);
}

// Ends with the model.
[[noreturn]] void be_init(pid_t model) {
  sigset_t all;
  sigfillset(&all);
  for (;;) {
    siginfo_t info{};
    const int signal = ::sigwaitinfo(&all, &info);
    if (signal < 0) continue;
    if (signal != SIGCHLD) {
      ::kill(model, signal);
      continue;
    }
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != model) continue;
      ::_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
  }
}

}  // namespace

pid_t fork_into(unsigned long namespaces) {
  // No thread but the caller exists, so that the child may do what it likes.
  return static_cast<pid_t>(
      ::syscall(SYS_clone, namespaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

void run_first_process(FirstProcess process) {
  // First this, then look whether mimeo-launch still lives: it cannot die unnoticed in between.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  char byte = 0;
  if (::read(process.go.get(), &byte, 1) != 1) ::_exit(1);
  process.go.close();
  ::setsid();
  hide_command_line();
  const Status prepared = prepare(process);
  if (!prepared.ok()) give_up(process.report, prepared);
  const auto user =
      find_user(process.plan.user, image_file("/etc/passwd"), image_file("/etc/group"));
  if (!user.ok()) give_up(process.report, user.status());
  // What it keeps has a name in /proc/1 that others in the container may not follow: among it is
  // our own program's file, which is the machine's. Before there are others.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const pid_t model = ::fork();
  if (model < 0) give_up(process.report, errno_status("fork"));
  if (model == 0) give_up(process.report, exec_model(process, *user));
  ::close_range(0, ~0U, 0);
  // The model may have another user, whom only this capability may signal.
  const bool is_reduced = drop_bounding_set().ok() && set_capabilities(kMayKill).ok() &&
                          ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  if (!is_reduced) ::_exit(1);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  be_init(model);
}

}  // namespace mimeo::worker
