// The rules of placement, one named function each. Hard rules refuse a worker; soft scores rank
// those that are left. placement.h puts them together.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "scheduler/core/cluster_view.h"

namespace mimeo::scheduler {

// The first hard rule a worker breaks, in this order. Hard rules are never traded against score.
// The names are metric labels: append, do not rename.
enum class Refusal : std::uint8_t {
  kNotReady,       // Disconnected, silent, or draining.
  kWrongHardware,  // Does not offer the hardware class.
  kGpusBusy,       // Right class, but too few free devices.
  kGpuMemory,      // Enough free devices, but not enough of them with the memory asked for.
  kHostCapacity,   // Too little processor or memory left.
};
[[nodiscard]] std::string_view to_string(Refusal refusal);
// For people: "all GPUs are in use".
[[nodiscard]] std::string_view describe(Refusal refusal);

// Hard rules: true when the worker keeps the rule.
[[nodiscard]] bool is_ready(const WorkerView& worker);
[[nodiscard]] bool has_hardware(const InstanceSpec& spec, const WorkerView& worker);
[[nodiscard]] bool has_free_gpus(const InstanceSpec& spec, const WorkerView& worker);
[[nodiscard]] bool has_gpu_memory(const InstanceSpec& spec, const WorkerView& worker);
[[nodiscard]] bool has_host_capacity(const InstanceSpec& spec, const WorkerView& worker);

// All hard rules for one worker: answers "why not this worker?". nullopt if it can host `spec` now.
[[nodiscard]] std::optional<Refusal> why_refused(const InstanceSpec& spec,
                                                 const WorkerView& worker);

// Soft scores, each in [0, 1], higher is better.
[[nodiscard]] double warm_cache(const InstanceSpec& spec, const WorkerView& worker);
[[nodiscard]] double packing(const InstanceSpec& spec, const WorkerView& worker);
[[nodiscard]] double spread(const InstanceSpec& spec, const WorkerView& worker);

// Which devices a worker that passed the rules gives: aligned blocks, from the fullest part of the
// machine, so that large blocks stay whole. Ascending; empty when none are needed.
[[nodiscard]] std::vector<GpuIndex> choose_gpus(const InstanceSpec& spec, const WorkerView& worker);

}  // namespace mimeo::scheduler
