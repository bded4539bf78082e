// A snapshot of the machines of a cell, as placement and arbitration see it. The cell fills it from
// its books at the start of a plan and keeps it up to date while it plans.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/domain/resources.h"

namespace mimeo::scheduler {

using GpuIndex = std::uint32_t;

struct GpuView {
  GpuIndex index = 0;
  Bytes memory;
  bool is_free = true;  // Booked by no instance and no claim.
};

struct WorkerView {
  WorkerId id;
  bool is_ready = false;  // Connected, heard of lately, not draining.
  std::set<std::string> skus;
  Resources total;   // Zero = no limit, as everywhere.
  Resources booked;  // By instances and claims.
  std::vector<GpuView> gpus;
  const std::set<VersionId>* images = nullptr;  // On its disk; outlives the view. May be null.
  std::map<TargetId, std::uint32_t> instances;  // Of each target here.
};

// What one new instance needs.
struct InstanceSpec {
  TargetId target = 0;
  VersionId version;
  std::string sku;
  Resources resources;
};

// Adds or takes back the resources of one instance.
void book(WorkerView& worker, const InstanceSpec& spec, const std::vector<GpuIndex>& gpus);
void unbook(WorkerView& worker, const InstanceSpec& spec, const std::vector<GpuIndex>& gpus);

// One number for "how much hardware": whole GPUs, or a small share per CPU core. For fairness
// between targets of different hardware.
[[nodiscard]] double hardware_units(const Resources& resources);

}  // namespace mimeo::scheduler
