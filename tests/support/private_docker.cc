#include "tests/support/private_docker.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>
#include <vector>

extern char** environ;

namespace mimeo {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kStartLimit{60};
constexpr std::chrono::seconds kStopLimit{20};

// Starts a program in a session of its own; -1 when it cannot be executed.
pid_t spawn(const std::vector<std::string>& command, const std::string& output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int failed = posix_spawnp(&pid, argv[0], &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return failed == 0 ? pid : -1;
}

bool run(const std::vector<std::string>& command) {
  const pid_t pid = spawn(command, "/dev/null");
  int status = 0;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What a dockerd that was killed left mounted, innermost first.
void unmount_below(const std::string& folder) {
  std::vector<std::string> points;
  std::ifstream mounts("/proc/mounts");
  for (std::string device, point, rest; mounts >> device >> point && std::getline(mounts, rest);) {
    if (point.rfind(folder + "/", 0) == 0) points.push_back(point);
  }
  std::reverse(points.begin(), points.end());
  for (const auto& point : points) ::umount2(point.c_str(), MNT_DETACH);
}

bool has_ended(pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) == pid; }

bool is_there(const std::string& program) {
  return ::access(("/usr/sbin/" + program).c_str(), X_OK) == 0 ||
         ::access(("/usr/bin/" + program).c_str(), X_OK) == 0 ||
         ::access(("/sbin/" + program).c_str(), X_OK) == 0;
}

}  // namespace

bool docker_answers(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof(address.sun_path)) return false;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{5, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  std::string answer(64, '\0');
  bool is_ok = false;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    constexpr std::string_view kPing = "GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n";
    const ssize_t sent = ::send(fd, kPing.data(), kPing.size(), MSG_NOSIGNAL);
    const ssize_t got = sent > 0 ? ::recv(fd, answer.data(), answer.size(), 0) : -1;
    is_ok = got > 0 && answer.find(" 200 ") != std::string::npos;
  }
  ::close(fd);
  return is_ok;
}

Result<std::unique_ptr<PrivateDocker>> PrivateDocker::find_or_start() {
  auto docker = std::unique_ptr<PrivateDocker>(new PrivateDocker());
  const char* host = std::getenv("DOCKER_HOST");
  const std::string given = host != nullptr ? host : "unix:///var/run/docker.sock";
  if (given.rfind("unix://", 0) == 0 && docker_answers(given.substr(7))) {
    docker->socket_path_ = given.substr(7);
    return docker;
  }
  if (::geteuid() != 0)
    return absl::NotFoundError("no Docker Engine answers, and this is not root");
  if (!is_there("dockerd")) return absl::NotFoundError("no dockerd is installed");
  MIMEO_RETURN_IF_ERROR(docker->prepare());
  MIMEO_RETURN_IF_ERROR(docker->start());
  return docker;
}

Status PrivateDocker::prepare() {
  std::string name = "/tmp/mdXXXXXX";  // Short: sockets lie below it.
  if (::mkdtemp(name.data()) == nullptr) return absl::NotFoundError("no folder for dockerd");
  folder_ = name;
  socket_path_ = (folder_ / "docker.sock").string();
  std::random_device random;
  for (int attempt = 0; attempt < 20; ++attempt) {
    const std::string bridge = "mdt" + std::to_string(random() % 100'000'000);
    // Documentation says nothing of this range: private, and Docker's own defaults begin at 172.17.
    const std::string network = "172.31." + std::to_string(random() % 256) + ".1/24";
    if (!run({"ip", "link", "add", bridge, "type", "bridge"})) continue;
    bridge_ = bridge;
    // Fails when the range is in use on this machine.
    if (run({"ip", "addr", "add", network, "dev", bridge}) &&
        run({"ip", "link", "set", bridge, "up"})) {
      return absl::OkStatus();
    }
    run({"ip", "link", "del", bridge});
    bridge_.clear();
  }
  return absl::NotFoundError("no bridge for dockerd could be made");
}

Status PrivateDocker::start() {
  const std::string log = (folder_ / "log").string();
  pid_ = spawn({"dockerd", "--data-root", (folder_ / "data").string(), "--exec-root",
                (folder_ / "exec").string(), "--pidfile", (folder_ / "pid").string(), "-H",
                "unix://" + socket_path_, "--bridge", bridge_, "--live-restore", "--iptables=false",
                "--ip-forward=false", "--userland-proxy=false"},
               log);
  if (pid_ < 0) return absl::NotFoundError("dockerd cannot be executed");
  const auto give_up = std::chrono::steady_clock::now() + kStartLimit;
  while (!docker_answers(socket_path_)) {
    if (has_ended(pid_)) {
      pid_ = -1;
      return absl::NotFoundError("dockerd ended: " + read_text(log));
    }
    if (std::chrono::steady_clock::now() > give_up) {
      return absl::NotFoundError("dockerd does not answer: " + read_text(log));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
  return absl::OkStatus();
}

void PrivateDocker::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  // Its containerd follows it into death, a little later. A dockerd that starts in between waits
  // for the dying one until it gives up.
  const std::string containerd = read_text(folder_ / "exec" / "containerd" / "containerd.pid");
  if (containerd.empty()) return;
  ::kill(std::atoi(containerd.c_str()), SIGKILL);
  const auto give_up = std::chrono::steady_clock::now() + kStopLimit;
  while (fs::exists("/proc/" + containerd) && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
}

// With --live-restore a dockerd that ends leaves its containers running.
void PrivateDocker::end_containers() const {
  const fs::path tasks =
      folder_ / "exec" / "containerd" / "daemon" / "io.containerd.runtime.v2.task" / "moby";
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(tasks, error)) {
    const std::string pid = read_text(entry.path() / "init.pid");
    if (!pid.empty()) ::kill(std::atoi(pid.c_str()), SIGKILL);
  }
}

PrivateDocker::~PrivateDocker() {
  if (folder_.empty()) return;
  if (pid_ <= 0) (void)start();  // What it left behind has to be ended in order.
  end_containers();
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    const auto give_up = std::chrono::steady_clock::now() + kStopLimit;
    while (!has_ended(pid_)) {
      if (std::chrono::steady_clock::now() > give_up) {
        kill();
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
  }
  if (!bridge_.empty()) run({"ip", "link", "del", bridge_});
  unmount_below(folder_.string());
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace mimeo
