// Reads images from an OCI registry: manifests, configs, layers, lists of repositories and tags.
// Blocking: call from a BlockingPool thread. Writing to one is registry_writer.h's.

#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/outbound.h"
#include "common/oci/manifest.h"

namespace mimeo::oci {

// What a reference stands for, followed down to one image.
struct ResolvedImage {
  std::string digest;        // Of what the reference named: a manifest or an index.
  std::string media_type;    // Of the same.
  std::string image_digest;  // Of the image's own manifest: what a worker pulls.
  ImageManifest image;
  std::vector<Descriptor> weights;  // Of the index, if any.
};

struct RegistryLimits {
  Bytes max_manifest = 4_MiB;
  Bytes max_config = 8_MiB;           // Labels carry the OpenAPI schema: several hundred KB.
  std::size_t max_names = 1'000'000;  // Of repositories or tags in one list.
  std::chrono::milliseconds timeout{15'000};          // Of everything but blobs.
  std::chrono::milliseconds blob_timeout{3'600'000};  // Of one blob.
};

// Safe from several threads at once if the token source is.
//
// Errors: kNotFound, kUnauthenticated, kPermissionDenied, kUnavailable (try again),
// kInvalidArgument (what was pushed cannot be used), kResourceExhausted (too large), kInternal (the
// registry sent something else than asked for).
class RegistryClient {
 public:
  // The bearer token for pulling from a repository, or for the catalog when it is empty; an empty
  // token = none is sent.
  using TokenSource = std::function<Result<std::string>(std::string_view repository)>;

  // `outbound` outlives the client and may reach the registry. `base_url`: "http://host:port".
  RegistryClient(const http::Outbound& outbound, std::string base_url, TokenSource tokens,
                 RegistryLimits limits = {});

  // `reference`: a tag or a digest. Follows indexes as manifest.h chooses.
  [[nodiscard]] Result<ResolvedImage> resolve(std::string_view repository,
                                              std::string_view reference) const;
  // The digest that a tag stands for now, without reading the manifest.
  [[nodiscard]] Result<std::string> get_digest(std::string_view repository,
                                               std::string_view tag) const;
  [[nodiscard]] Result<ImageConfig> get_config(std::string_view repository,
                                               const ImageManifest& image) const;
  // The same as the JSON text that its digest is of.
  [[nodiscard]] Result<std::string> get_config_text(std::string_view repository,
                                                    const ImageManifest& image) const;
  [[nodiscard]] Result<std::vector<std::string>> list_repositories() const;
  // Empty when the repository has none left.
  [[nodiscard]] Result<std::vector<std::string>> list_tags(std::string_view repository) const;
  // Writes the blob to `file`, which appears only when its digest is right. `observer` is told, on
  // the calling thread, how many bytes came with each piece; a status other than OK ends the
  // download with it.
  using DownloadObserver = std::function<Status(std::size_t bytes)>;
  [[nodiscard]] Status download_blob(std::string_view repository, const Descriptor& blob,
                                     const std::filesystem::path& file,
                                     const DownloadObserver& observer = {}) const;

 private:
  struct Fetched {
    std::string media_type;
    std::string digest;
    std::string body;
  };
  [[nodiscard]] Result<http::OutboundRequest> request(std::string_view repository,
                                                      std::string path) const;
  [[nodiscard]] Result<http::OutboundRequest> manifest_request(std::string_view repository,
                                                               std::string_view reference) const;
  [[nodiscard]] Result<Fetched> get_manifest(std::string_view repository,
                                             std::string_view reference) const;
  [[nodiscard]] Result<std::vector<std::string>> list(std::string_view repository, std::string path,
                                                      const char* key) const;

  const http::Outbound& outbound_;
  const std::string base_url_;
  const TokenSource tokens_;
  const RegistryLimits limits_;
};

}  // namespace mimeo::oci
