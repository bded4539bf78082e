// What GPUs this machine has. NVML is loaded at run time (nvml_probe.h): a machine without a driver
// has none. Only the inventory so far; who books which GPU is the scheduler's business.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"

namespace mimeo::worker {

struct GpuDevice {
  std::uint32_t index = 0;  // As the driver counts.
  std::string uuid;         // "GPU-…" or "MIG-…": stable across restarts.
  std::string name;         // "NVIDIA H100 80GB HBM3".
  Bytes memory;
};

class GpuProbe {
 public:
  virtual ~GpuProbe() = default;
  // Every device, by index. Empty when there is none; an error when the driver is there and does
  // not answer.
  virtual Result<std::vector<GpuDevice>> devices() = 0;
};

// Stands in for a driver in tests, and for none at all.
class FixedGpuProbe final : public GpuProbe {
 public:
  explicit FixedGpuProbe(std::vector<GpuDevice> devices = {}) : devices_(std::move(devices)) {}
  Result<std::vector<GpuDevice>> devices() override { return devices_; }

 private:
  const std::vector<GpuDevice> devices_;
};

}  // namespace mimeo::worker
