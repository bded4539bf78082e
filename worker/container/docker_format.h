// What is said to and read from the Docker Engine, as pure functions: the body that creates a
// container with everything locked down (decision D12), descriptions of containers, progress of a
// pull, framed logs. No I/O; docker_runtime.h does that.

#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "worker/container/container_policy.h"
#include "worker/container/runtime.h"

namespace mimeo::worker {

// Labels on every container of ours.
inline constexpr std::string_view kInstanceLabel = "mimeo.instance";
inline constexpr std::string_view kWorkerLabel = "mimeo.worker";

struct DockerPolicy : ContainerPolicy {
  std::string egress_network = "mimeo-egress";  // A bridge of our own, for NetworkAccess::kEgress.
};

// The body of POST /containers/create. `image` is the answer of GET /images/{name}/json.
[[nodiscard]] nlohmann::json create_body(const ContainerSpec& spec, const nlohmann::json& image,
                                         const DockerPolicy& policy);

// From GET /containers/{id}/json. kInternal when it is no such answer.
[[nodiscard]] Result<ContainerInfo> parse_inspect(const nlohmann::json& json);
// From GET /images/json: one entry for each digest of each image.
[[nodiscard]] std::vector<LocalImage> parse_images(const nlohmann::json& json);
// "host:port/path@sha256:…"; nullopt for other spellings.
[[nodiscard]] std::optional<ImageName> parse_reference(std::string_view reference);

// The text inside of the frames of GET /containers/{id}/logs (a container without a terminal).
[[nodiscard]] std::string unframe_logs(std::string_view framed);

// Adds up what POST /images/create tells layer by layer.
class PullTracker {
 public:
  // One line of the answer; an error that is in it. kPermissionDenied, kNotFound, kInternal.
  Status feed(std::string_view line);
  [[nodiscard]] PullProgress progress() const;

 private:
  struct Layer {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    bool is_downloaded = false;
    bool is_extracting = false;
  };
  std::map<std::string, Layer> layers_;
};

}  // namespace mimeo::worker
