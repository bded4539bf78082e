// Asks the NVIDIA driver by its management library (NVML), which is opened with dlopen: the worker
// is the same program with and without a driver.

#pragma once

#include <memory>
#include <string>

#include "worker/gpu/probe.h"

namespace mimeo::worker {

// A machine without the library, or whose driver has no device, has no GPUs: devices() is empty.
[[nodiscard]] std::unique_ptr<GpuProbe> make_nvml_probe(
    const std::string& library = "libnvidia-ml.so.1");

}  // namespace mimeo::worker
