// Makes what a training leaves behind: an image in the registry, in the repository of the
// destination, and the version that belongs to it. The version is not stored here: it must become
// visible together with the training's result (training_finisher.h).

#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/blobs/blob_store.h"
#include "common/http/outbound.h"
#include "common/oci/registry_client.h"
#include "common/oci/registry_writer.h"
#include "common/store/catalog.h"
#include "common/store/files.h"
#include "common/store/predictions.h"
#include "control-plane/predictions/trained_version.h"
#include "control-plane/registry/token_service.h"

namespace mimeo::control {

// The URL of the weights in what a trainer returned: the file itself, a list of just that, or an
// object whose `weights` is one. nullopt when there is none.
[[nodiscard]] std::optional<std::string> find_weights(std::string_view output);

// Blocking, any thread.
class TrainedVersionMaker {
 public:
  struct Parts {
    store::CatalogStore& catalog;
    store::FilesStore& files;
    blobs::BlobStore& blobs;
    const RegistryTokens& tokens;
    const Clock& clock;
  };
  struct Options {
    std::string registry_url;  // "http://host:port", as reached from here.
    std::string external_url;  // Base of the URLs of output files.
  };
  // All parts outlive it.
  TrainedVersionMaker(Parts parts, Options options);

  // Repeating it for the same attempt makes the same image, and so the same version.
  // kInvalidArgument and kFailedPrecondition: never for this training; the text is for its owner.
  // Everything else may pass: try again.
  Result<TrainedVersion> make(const store::PredictionView& training, std::uint32_t attempt,
                              const std::string& output);

  // Ends whatever is under way within about a second, with kCancelled; also when the registry does
  // not answer.
  void stop() { stop_.request_stop(); }

 private:
  struct Base {
    store::Version version;
    oci::ImageManifest image;
    std::string config;
  };
  Result<store::Model> find_destination(const store::PredictionView& training) const;
  Result<Base> read_base(VersionId version) const;
  Result<oci::SingleFileLayer> layer_of(const std::string& path, const std::string& url,
                                        PredictionId training) const;
  // The image in the repository `training.destination`; its description as a version, without the
  // model.
  Result<store::Version> push_image(const store::PredictionView& training, std::uint32_t attempt,
                                    const std::string& weights_url) const;

  const Parts parts_;
  const Options options_;
  std::stop_source stop_;
  const http::Outbound outbound_;  // Stopped by the above.
  const oci::RegistryClient reader_;
  const oci::RegistryWriter writer_;
};

}  // namespace mimeo::control
