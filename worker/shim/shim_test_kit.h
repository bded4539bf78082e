// For tests of the shim as a real process: the process, and a daemon that talks to it.

#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "worker/shim/frames.h"
#include "worker/shim/shim.pb.h"

extern char** environ;  // NOLINT: POSIX gives no header for it.

namespace mimeo::worker {

inline constexpr std::chrono::seconds kPatience{20};

// A directory that goes away with its test.
class TestDirectory {
 public:
  TestDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mimeo-shim-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Looks until it is so, or fails the test.
inline void eventually(const std::string& what, const std::function<bool()>& is_so) {
  const SystemClock clock;
  const SteadyTime until = clock.steady() + kPatience;
  while (!is_so()) {
    if (clock.steady() > until) throw std::runtime_error("never: " + what);
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
}

class ShimProcess {
 public:
  explicit ShimProcess(const ShimConfig& config) : socket_path_(config.socket_path()) {
    const std::string file = config.spool_dir() + "/config";
    std::filesystem::create_directories(config.spool_dir());
    std::ofstream(file) << config.DebugString();
    std::vector<std::string> words{MIMEO_SHIM_PROGRAM, "--instance-config", file};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) != 0) {
      throw std::runtime_error("cannot start the shim");
    }
  }
  ~ShimProcess() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ShimProcess(const ShimProcess&) = delete;
  ShimProcess& operator=(const ShimProcess&) = delete;

  void kill(int signal) { ::kill(pid_, signal); }
  // Its exit code; -signal when it was killed.
  int wait() {
    int status = 0;
    eventually("the shim ends", [&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    pid_ = 0;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  [[nodiscard]] const std::string& socket_path() const { return socket_path_; }

 private:
  std::string socket_path_;
  pid_t pid_ = 0;
};

// Plays the worker daemon. Blocking; every wait gives up after kPatience by throwing.
class FakeDaemon {
 public:
  explicit FakeDaemon(const std::string& socket_path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    eventually("the shim listens", [&] {
      fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return true;
      ::close(fd_);
      return false;
    });
  }
  ~FakeDaemon() { ::close(fd_); }
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;

  void send(const ToShim& message) {
    std::string bytes;
    append_message_frame(bytes, message);
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("the shim closed the connection");
      sent += static_cast<std::size_t>(n);
    }
  }

  FromShim next() {
    for (;;) {
      auto frame = frames_.next();
      if (!frame.ok()) throw std::runtime_error(frame.status().ToString());
      if (frame->has_value()) {
        FromShim message;
        if (!message.ParseFromString(**frame)) throw std::runtime_error("unreadable frame");
        return message;
      }
      pollfd waiting{fd_, POLLIN, 0};
      const auto limit = std::chrono::milliseconds(kPatience).count();
      if (::poll(&waiting, 1, static_cast<int>(limit)) <= 0) {
        throw std::runtime_error("the shim says nothing");
      }
      char buffer[65536];
      const ssize_t got = ::recv(fd_, buffer, sizeof(buffer), 0);
      if (got <= 0) throw std::runtime_error("the shim closed the connection");
      frames_.feed({buffer, static_cast<std::size_t>(got)});
    }
  }

  // Takes messages in until `is_so`; they are kept below.
  void until(const std::string& what, const std::function<bool()>& is_so) {
    while (!is_so()) {
      try {
        take(next());
      } catch (const std::exception& error) {
        std::string text = "waiting until " + what + ": " + error.what();
        for (const auto& [id, reason] : refusals) text += "; refused " + id + ": " + reason;
        throw std::runtime_error(text);
      }
    }
  }
  void until_health(ShimState::Health health) {
    until("the health is " + ShimState::Health_Name(health),
          [&] { return !states.empty() && states.back().health() == health; });
  }
  mimeo::v1::Complete until_result(const std::string& prediction) {
    until("there is a result of " + prediction, [&] { return results.contains(prediction); });
    return results[prediction];
  }

  void start(const std::string& prediction, const std::string& input, std::uint32_t limit_ms = 0) {
    ToShim message;
    *message.mutable_start()->mutable_id() = id(prediction);
    message.mutable_start()->set_input(input);
    message.mutable_start()->set_run_limit_ms(limit_ms);
    send(message);
  }
  void cancel(const std::string& prediction) {
    ToShim message;
    *message.mutable_cancel()->mutable_id() = id(prediction);
    send(message);
  }
  void stored(const std::string& prediction) {
    ToShim message;
    *message.mutable_stored()->mutable_id() = id(prediction);
    send(message);
  }
  static mimeo::v1::AttemptId id(const std::string& prediction) {
    mimeo::v1::AttemptId id;
    id.set_prediction_id(prediction);
    id.set_attempt(1);
    return id;
  }

  // The data of all events of this kind, joined.
  [[nodiscard]] std::string joined(const std::string& prediction, v1::Event::Kind kind) {
    std::string text;
    for (const v1::Event& event : events[prediction]) {
      if (event.kind() == kind) text += event.data();
    }
    return text;
  }
  [[nodiscard]] bool has(const std::string& prediction, v1::Event::Kind kind) {
    for (const v1::Event& event : events[prediction]) {
      if (event.kind() == kind) return true;
    }
    return false;
  }

  std::vector<ShimState> states;
  std::map<std::string, std::vector<v1::Event>> events;  // By prediction, in order of arrival.
  std::map<std::string, v1::Complete> results;
  std::map<std::string, std::string> refusals;

 private:
  void take(FromShim message) {
    if (message.has_state()) {
      states.push_back(message.state());
    } else if (message.has_event()) {
      events[message.event().id().prediction_id()].push_back(message.event());
    } else if (message.has_result()) {
      const std::string id = message.result().complete().id().prediction_id();
      results[id] = message.result().complete();
    } else if (message.has_refused()) {
      refusals[message.refused().id().prediction_id()] = message.refused().reason();
    }
  }

  int fd_ = -1;
  FrameSplitter frames_;
};

}  // namespace mimeo::worker
