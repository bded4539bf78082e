// The image of a trained version: that of the version it was trained from, one layer with the
// weights above it, and a config that says so. Pure, and the same bytes for the same training; who
// reads and writes the registry is trained_version_maker.h.
//
// The weights lie beside the model's source, at <working directory>/weights, for every server:
//   Cog before 0.17  takes that file by itself, as a Path, if and only if COG_WEIGHTS is not set
//   coglet           gives setup() the value of COG_WEIGHTS as it is: the path
//   the C++ SDK      the same

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/oci/manifest.h"

namespace mimeo::control {

struct WeightsPlace {
  std::string path;              // In the container: "/src/weights".
  bool sets_cog_weights = true;  // COG_WEIGHTS names it.
};
[[nodiscard]] WeightsPlace weights_place(const oci::ImageConfig& base);

// Marks an image that a training made, with the training's id.
inline constexpr std::string_view kTrainingLabel = "mimeo.training";

struct TrainedImage {
  PredictionId training;
  std::uint32_t attempt = 0;
  std::string base_version;  // Hex.
  WeightsPlace place;
  std::string layer_digest;  // Also the diff id: the layer is not compressed.
  std::uint64_t layer_bytes = 0;
};

// The config, from the base's own. kInvalidArgument when that is no config of an image with layers.
[[nodiscard]] Result<std::string> trained_config(std::string_view base_config,
                                                 const TrainedImage& trained);

// The manifest, in the media types of the base's.
[[nodiscard]] std::string trained_manifest(const oci::ImageManifest& base, std::string_view config,
                                           const TrainedImage& trained);

// Its tag in the registry, which keeps it from being collected as garbage and never makes a version
// by itself (push_events.h).
[[nodiscard]] std::string trained_tag(PredictionId training, std::uint32_t attempt);

}  // namespace mimeo::control
