// Image manifests, indexes and configs of the OCI image specification and of Docker, as values, and
// the choice of what to run from an index. Pure: reading them from a registry is
// registry_client.h's.
//
// Everything here comes from whoever pushed: sizes are limited and nothing is trusted.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/status.h"

namespace mimeo::oci {

inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
// What Cog calls the weights beside an image in an index.
inline constexpr std::string_view kCogWeight = "application/vnd.cog.weight.v1";

// One blob or manifest that another one names.
struct Descriptor {
  std::string media_type;
  std::string digest;  // "sha256:<64 hex>", checked.
  std::uint64_t size_bytes = 0;
  std::string artifact_type;
  std::string os;  // Of an index' entry; "" when it names no platform.
  std::string architecture;
  std::map<std::string, std::string> annotations;
};

struct ImageManifest {
  std::string media_type;
  std::string artifact_type;
  Descriptor config;
  std::vector<Descriptor> layers;  // Lowest first.
};
struct ImageIndex {
  std::string media_type;
  std::vector<Descriptor> manifests;
};
using Document = std::variant<ImageManifest, ImageIndex>;

// kInvalidArgument says what is wrong. `media_type` as the registry sent it; the document's own
// "mediaType" wins.
[[nodiscard]] Result<Document> parse_document(std::string_view media_type, std::string_view json);

// What an index offers: the image for linux/amd64 (or for no platform in particular), which may be
// an index again, and the weights that belong to it.
struct IndexChoice {
  Descriptor image;
  std::vector<Descriptor> weights;
};
// kInvalidArgument when it has no such image.
[[nodiscard]] Result<IndexChoice> choose(const ImageIndex& index);

struct ImageConfig {
  std::map<std::string, std::string> labels;
  std::vector<std::string> env;  // "NAME=value".
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::string user;
  std::string os;
  std::string architecture;
  std::vector<std::string> diff_ids;
};
// kInvalidArgument when it is no image config.
[[nodiscard]] Result<ImageConfig> parse_config(std::string_view json);

// "sha256:" + 64 lower-case hex digits.
[[nodiscard]] bool is_digest(std::string_view text);
// "sha256:..." of `content`.
[[nodiscard]] std::string digest_of(std::string_view content);
// Of a repository: names joined by '/', each [a-z0-9] with '.', '_', '-' between.
[[nodiscard]] bool is_repository(std::string_view text);
// A tag: [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}.
[[nodiscard]] bool is_tag(std::string_view text);

}  // namespace mimeo::oci
