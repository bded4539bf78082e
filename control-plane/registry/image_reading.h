// What a pushed image says about itself, in the labels that Cog writes: whether it is a model, and
// if so the facts of its version. Pure; who fetched the image and what becomes of it is
// version_maker.h's.
//
// Labels come from whoever pushed: sizes are limited, unknown keys are ignored.

#pragma once

#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "common/oci/manifest.h"

namespace mimeo::control {

struct ModelImage {
  std::string cog_version;     // Never empty.
  std::string openapi_schema;  // JSON text that input_validator.h can compile.
  std::string config;          // JSON object.
  bool needs_gpu = false;
  std::int32_t concurrency = 1;
};

// kInvalidArgument when the image is no model; the text is for whoever pushed it.
[[nodiscard]] Result<ModelImage> read_model_image(const oci::ImageConfig& config);

// Of the config and all layers, as the manifest says: it may be absurd, but does not overflow.
[[nodiscard]] std::int64_t image_bytes(const oci::ImageManifest& image);

}  // namespace mimeo::control
