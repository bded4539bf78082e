// What the worker asks of whatever runs containers: pull images, start one, learn of its end.
//
// docker_runtime.h talks to a Docker Engine; process_runtime.h needs nothing but Linux and root and
// is for machines without an Engine. Both pass runtime_contract.h. What a container may do is the
// same in both: no network unless it asks for egress, no capabilities, no new privileges, limits.
// Whether an instance is well is instance/'s business; which images to keep is images/'s.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/domain/resources.h"

namespace mimeo::worker {

// The port of the Cog server inside of every container.
inline constexpr std::uint16_t kServerPort = 5000;

// An image by content, never by tag.
struct ImageName {
  std::string registry;    // "127.0.0.1:5000", as it is spelled in image names.
  std::string repository;  // "alice/hello".
  std::string digest;      // "sha256:<64 hex>" of the manifest.

  // "127.0.0.1:5000/alice/hello@sha256:…".
  [[nodiscard]] std::string reference() const;
  friend bool operator==(const ImageName&, const ImageName&) = default;
};

// An image on this machine's disk.
struct LocalImage {
  ImageName name;
  Bytes size;  // Layers shared with other images are counted in each.
};

enum class NetworkAccess : std::uint8_t {
  kNone,    // Loopback only.
  kEgress,  // May open connections to the outside, not to other containers.
};

// How the shim reaches the server inside.
enum class ServerReach : std::uint8_t {
  kNamespace,      // By entering the container's network namespace (decision D12b).
  kPublishedPort,  // By a port on the host's loopback, where entering is not permitted.
};

struct ContainerSpec {
  InstanceId instance;
  ImageName image;
  std::vector<std::pair<std::string, std::string>> env;  // Over the image's own.
  // Appended to the image's command if that is a Cog server ("… -m cog.server.http"), whose flags
  // they are; other servers would not understand them.
  std::vector<std::string> cog_arguments;
  Resources resources;
  std::vector<std::string> gpus;  // UUIDs or indices.
  NetworkAccess network = NetworkAccess::kNone;
  ServerReach reach = ServerReach::kNamespace;
};

// How a container ended.
struct ContainerExit {
  std::optional<int> code;  // Exit code, 128 + n for signal n; nullopt when nobody knows any more.
  bool is_out_of_memory = false;
  std::string engine_error;  // What the Engine says of a container that could not be started.

  // "ran out of memory (limit 2 GiB)", "exited with code 1", "was killed by signal 11 (SIGSEGV)".
  [[nodiscard]] std::string describe(Bytes memory_limit) const;
};

enum class ContainerPhase : std::uint8_t {
  kCreated,  // Never started.
  kRunning,
  kExited,  // `exit` is set.
};

struct ContainerInfo {
  std::string id;       // The runtime's own name for it.
  InstanceId instance;  // From its label.
  ContainerPhase phase = ContainerPhase::kCreated;
  std::uint32_t pid = 0;       // Of its first process in our pid namespace, while it runs.
  std::string server_address;  // host:port with kPublishedPort.
  std::string log_path;        // A file with its output, for log tails; may be empty.
  std::optional<ContainerExit> exit;
};

// How far a pull is.
struct PullProgress {
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;  // 0 = not known yet.
  bool is_extracting = false;
};
using PullObserver = std::function<void(const PullProgress&)>;

// All methods on one executor. Every error says what could not be done; kNotFound and
// kUnavailable (the runtime does not answer) are told apart from the rest.
class Runtime {
 public:
  virtual ~Runtime() = default;

  // "docker", "process".
  [[nodiscard]] virtual std::string_view name() const = 0;

  // OK when containers can be started now; else what is missing, for the operator.
  virtual boost::asio::awaitable<Status> ping() = 0;

  // Brings the image here; `token` is a bearer for the registry and may be empty. The observer is
  // called on the executor. kPermissionDenied, kNotFound, kUnavailable.
  virtual boost::asio::awaitable<Status> pull(ImageName image, std::string token,
                                              PullObserver observer) = 0;
  virtual boost::asio::awaitable<Result<std::vector<LocalImage>>> images() = 0;
  // kFailedPrecondition while a container uses it; OK when it was not there.
  virtual boost::asio::awaitable<Status> remove_image(ImageName image) = 0;

  // Makes the container without starting it; its id. kNotFound without the image.
  virtual boost::asio::awaitable<Result<std::string>> create(ContainerSpec spec) = 0;
  // Starts it; how it runs.
  virtual boost::asio::awaitable<Result<ContainerInfo>> start(std::string id) = 0;
  virtual boost::asio::awaitable<Result<ContainerInfo>> inspect(std::string id) = 0;
  // Every container of this worker, whatever its phase.
  virtual boost::asio::awaitable<Result<std::vector<ContainerInfo>>> list() = 0;
  // Suspends until the container does not run (any more), within 50 ms of its end. kNotFound when
  // it was removed, kCancelled.
  virtual boost::asio::awaitable<Result<ContainerExit>> wait(std::string id) = 0;
  // SIGKILL to all of it. OK when it has ended or is gone.
  virtual boost::asio::awaitable<Status> kill(std::string id) = 0;
  // Removes what is left of it, running or not. OK when it is gone.
  virtual boost::asio::awaitable<Status> remove(std::string id) = 0;
  // The last `lines` lines of its output and errors.
  virtual boost::asio::awaitable<Result<std::string>> log_tail(std::string id,
                                                               std::size_t lines) = 0;

  // Ends background work and waits for it. Containers stay.
  virtual boost::asio::awaitable<void> stop() = 0;
};

// "2 GiB", "512 MiB", "1000 B": for people.
[[nodiscard]] std::string to_text(Bytes size);
// The last `lines` lines, for log_tail().
[[nodiscard]] std::string last_lines(std::string_view text, std::size_t lines);
// "SIGKILL"; "signal 42" for those without a name.
[[nodiscard]] std::string signal_name(int signal);

}  // namespace mimeo::worker
