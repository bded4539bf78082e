// For tests: a Docker Engine. The machine's own if one answers, else one that is started here with
// folders, socket and bridge of its own, which ends with the object and leaves nothing behind (no
// firewall rules either: containers have no way out).

#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "common/base/status.h"

namespace mimeo {

class PrivateDocker {
 public:
  // kNotFound with the reason when there is no Engine and none can be started: not root, or no
  // dockerd. Then skip, out loud.
  static Result<std::unique_ptr<PrivateDocker>> find_or_start();
  ~PrivateDocker();
  PrivateDocker(const PrivateDocker&) = delete;
  PrivateDocker& operator=(const PrivateDocker&) = delete;

  [[nodiscard]] const std::string& socket_path() const { return socket_path_; }
  // Whether it is ours, and may be stopped and started.
  [[nodiscard]] bool is_private() const { return !folder_.empty(); }
  // SIGKILL; containers go on. Only a private one.
  void kill();
  // Again, over the same folders. Only a private one.
  Status start();

 private:
  PrivateDocker() = default;
  Status prepare();
  void end_containers() const;

  std::string socket_path_;
  std::filesystem::path folder_;  // Empty = not ours.
  std::string bridge_;
  pid_t pid_ = -1;
};

// True when an Engine answers at this socket.
[[nodiscard]] bool docker_answers(const std::string& socket_path);

}  // namespace mimeo
