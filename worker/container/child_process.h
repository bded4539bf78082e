// A process that outlives the daemon: started in a session of its own, and found again by its
// process id after a restart. Shims are such, and the launchers of process_runtime.h.

#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace mimeo::worker {

struct ProcessStart {
  std::string program;
  std::vector<std::string> arguments;  // Without the program's own name.
  std::string output_path;             // Its stdout and stderr are appended there.
  int passed = -1;                     // One descriptor of ours that becomes its descriptor 3.
};

// A process that we started or adopted. On one executor. Destroying it leaves the process alone.
class Process {
 public:
  // Runs it in a new session with no other descriptor of ours. kInternal when it cannot be
  // executed.
  static Result<std::unique_ptr<Process>> start(boost::asio::any_io_executor executor,
                                                const ProcessStart& start);
  // One that is running already: process ids are used again, so its command line must contain
  // `mark`. kNotFound.
  static Result<std::unique_ptr<Process>> adopt(boost::asio::any_io_executor executor, pid_t pid,
                                                const std::string& mark);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const;
  [[nodiscard]] bool has_ended() const;
  // `callback` is called once on the executor when the process has ended: "exited with code 1",
  // "was killed by signal 9 (SIGKILL)", or just "ended" for an adopted one.
  void on_end(std::function<void(std::string how)> callback);
  void kill(int signal);

 private:
  struct State;
  explicit Process(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // Shared with the pending wait.
};

}  // namespace mimeo::worker
