// Reads ShimConfig from the file named on the command line, and checks it.

#pragma once

#include <string>

#include "common/base/status.h"
#include "worker/shim/shim.pb.h"

namespace mimeo::worker {

// JSON when it starts with '{', else protobuf text. Defaults are filled in. kNotFound when there is
// no such file, kInvalidArgument naming the field otherwise.
[[nodiscard]] Result<ShimConfig> load_shim_config(const std::string& path);
[[nodiscard]] Result<ShimConfig> parse_shim_config(const std::string& text);

}  // namespace mimeo::worker
