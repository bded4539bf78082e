// Writes images to an OCI registry: blobs mounted from another repository or streamed, manifests.
// Blocking: call from a BlockingPool thread. Every call may be repeated.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/http/outbound.h"
#include "common/oci/manifest.h"
#include "common/oci/single_file_layer.h"

namespace mimeo::oci {

// Safe from several threads at once if the token source is. Errors as RegistryClient's.
class RegistryWriter {
 public:
  // The bearer token for pulling from and pushing to `repository`, and for pulling from `from` (may
  // be the same or empty); an empty token = none is sent.
  using TokenSource =
      std::function<Result<std::string>(const std::string& repository, const std::string& from)>;

  struct Limits {
    std::chrono::milliseconds timeout{30'000};  // Of everything but layers.
    // Of a layer: while it moves, it may take long.
    std::chrono::milliseconds layer_timeout{3'600'000};
    std::chrono::seconds stall_limit{60};
    std::chrono::milliseconds commit_timeout{
        600'000};  // The registry may read all of it once more.
  };

  // `outbound` outlives the writer and may reach the registry. `base_url`: "http://host:port".
  RegistryWriter(const http::Outbound& outbound, std::string base_url, TokenSource tokens,
                 Limits limits);

  // The blob, which the repository `from` has, is in `repository` afterwards, without being copied.
  // kFailedPrecondition when the registry does not mount it.
  [[nodiscard]] Status mount_blob(const std::string& repository, const std::string& from,
                                  const std::string& digest) const;
  [[nodiscard]] Status put_blob(const std::string& repository, const std::string& content) const;
  // Streams the layer, whose digest is known at its end only; answers it.
  [[nodiscard]] Result<std::string> put_layer(const std::string& repository,
                                              SingleFileLayer layer) const;
  // Under `tag`; answers the digest. What it names must be there.
  [[nodiscard]] Result<std::string> put_manifest(const std::string& repository,
                                                 const std::string& tag,
                                                 const std::string& media_type,
                                                 const std::string& manifest) const;

 private:
  [[nodiscard]] Result<http::OutboundRequest> request(const std::string& repository,
                                                      const std::string& from, std::string method,
                                                      std::string url) const;
  [[nodiscard]] Result<bool> has_blob(const std::string& repository,
                                      const std::string& digest) const;
  // Where to send the content of a new blob.
  [[nodiscard]] Result<std::string> begin_upload(const std::string& repository) const;
  [[nodiscard]] Result<std::string> location_of(const http::Response& answer) const;
  [[nodiscard]] std::string path(const std::string& repository, const std::string& rest) const;

  const http::Outbound& outbound_;
  const std::string base_url_;
  const TokenSource tokens_;
  const Limits limits_;
};

}  // namespace mimeo::oci
