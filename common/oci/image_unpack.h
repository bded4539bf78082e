// Unpacks the layers of an image into a directory, for running it without a container engine.
// Layers are hostile: nothing is written or removed outside of the directory, whatever names and
// links they hold.

#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "common/base/status.h"
#include "common/base/units.h"

namespace mimeo::oci {

struct UnpackLimits {
  Bytes max_bytes = 64_GiB;             // Of all files together.
  std::size_t max_entries = 5'000'000;  // Of all layers together.
};

// `layers`: tar archives, plain, gzip or zstd, lowest first. `rootfs` must exist and nobody else
// may change it meanwhile. Whiteouts remove what lower layers had. Owners are those of this
// process; set-id bits, devices, pipes and extended attributes are left out.
//
// kInvalidArgument: a layer is broken or tries to get out. kResourceExhausted: above the limits, or
// the disk is full. On an error the directory holds some of it: remove it. Blocking.
Status unpack_layers(std::span<const std::filesystem::path> layers,
                     const std::filesystem::path& rootfs, const UnpackLimits& limits = {});

}  // namespace mimeo::oci
