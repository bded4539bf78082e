#include "worker/container/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "worker/container/runtime.h"

extern char** environ;  // NOLINT: POSIX gives no header for it.

namespace mimeo::worker {
namespace {

namespace asio = boost::asio;

int open_pidfd(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

int send_signal(int pid_fd, int signal) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pid_fd, signal, nullptr, 0));
}

Result<pid_t> spawn(const ProcessStart& start) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, start.output_path.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  // Libraries open descriptors without O_CLOEXEC; it must not keep our sockets open.
  int first_closed = 3;
  if (start.passed >= 0) posix_spawn_file_actions_adddup2(&files, start.passed, first_closed++);
  posix_spawn_file_actions_addclosefrom_np(&files, first_closed);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> argv;
  argv.push_back(const_cast<char*>(start.program.c_str()));
  for (const auto& argument : start.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, start.program.c_str(), &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return absl::InternalError("running " + start.program + ": " + std::strerror(error));
  }
  return pid;
}

}  // namespace

struct Process::State {
  State(asio::any_io_executor executor, pid_t pid_in, int pid_fd, bool is_child_in)
      : pid(pid_in), is_child(is_child_in), descriptor(std::move(executor), pid_fd) {}

  // Reaps it if it is ours; how it ended.
  std::string reap() const {
    if (!is_child) return "ended";
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) != pid) return "ended";
    ContainerExit exit;
    exit.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return exit.describe({});
  }

  const pid_t pid;
  const bool is_child;
  asio::posix::stream_descriptor descriptor;
  std::function<void(std::string)> callback;
  std::string how;
  bool has_ended = false;
};

Process::Process(std::shared_ptr<State> state) : state_(std::move(state)) {
  state_->descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                                [state = state_](boost::system::error_code error) {
                                  if (error) return;
                                  state->has_ended = true;
                                  state->how = state->reap();
                                  auto callback = std::move(state->callback);
                                  state->callback = nullptr;
                                  if (callback) callback(state->how);
                                });
}

Process::~Process() {
  state_->callback = nullptr;
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
}

Result<std::unique_ptr<Process>> Process::start(asio::any_io_executor executor,
                                                const ProcessStart& start) {
  auto pid = spawn(start);
  if (!pid.ok()) return pid.status();
  const int fd = open_pidfd(*pid);
  if (fd < 0) {
    ::kill(*pid, SIGKILL);
    ::waitpid(*pid, nullptr, 0);
    return absl::InternalError(std::string("pidfd_open: ") + std::strerror(errno));
  }
  return std::unique_ptr<Process>(
      new Process(std::make_shared<State>(std::move(executor), *pid, fd, true)));
}

Result<std::unique_ptr<Process>> Process::adopt(asio::any_io_executor executor, pid_t pid,
                                                const std::string& mark) {
  if (pid <= 0) return absl::NotFoundError("no process id");
  // First the descriptor, then the check: it cannot become another process in between.
  const int fd = open_pidfd(pid);
  if (fd < 0) return absl::NotFoundError("no process " + std::to_string(pid));
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
  const std::string command((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
  if (command.find(mark) == std::string::npos) {
    ::close(fd);
    return absl::NotFoundError("process " + std::to_string(pid) + " is another one");
  }
  return std::unique_ptr<Process>(
      new Process(std::make_shared<State>(std::move(executor), pid, fd, false)));
}

pid_t Process::pid() const { return state_->pid; }

bool Process::has_ended() const { return state_->has_ended; }

void Process::on_end(std::function<void(std::string)> callback) {
  if (!state_->has_ended) {
    state_->callback = std::move(callback);
    return;
  }
  callback(state_->how);
}

void Process::kill(int signal) {
  if (!state_->has_ended) send_signal(state_->descriptor.native_handle(), signal);
}

}  // namespace mimeo::worker
