#include "scheduler/core/cluster_view.h"

#include <algorithm>

namespace mimeo::scheduler {
namespace {

// A core costs about a fiftieth of a GPU to buy and to run.
constexpr double kUnitsPerCore = 0.02;

void mark_gpus(WorkerView& worker, const std::vector<GpuIndex>& gpus, bool is_free) {
  for (GpuView& gpu : worker.gpus) {
    if (std::find(gpus.begin(), gpus.end(), gpu.index) != gpus.end()) gpu.is_free = is_free;
  }
}

}  // namespace

void book(WorkerView& worker, const InstanceSpec& spec, const std::vector<GpuIndex>& gpus) {
  worker.booked.cpu_milli += spec.resources.cpu_milli;
  worker.booked.memory.count += spec.resources.memory.count;
  mark_gpus(worker, gpus, false);
  ++worker.instances[spec.target];
}

void unbook(WorkerView& worker, const InstanceSpec& spec, const std::vector<GpuIndex>& gpus) {
  worker.booked.cpu_milli -= std::min(worker.booked.cpu_milli, spec.resources.cpu_milli);
  worker.booked.memory.count -= std::min(worker.booked.memory.count, spec.resources.memory.count);
  mark_gpus(worker, gpus, true);
  const auto it = worker.instances.find(spec.target);
  if (it != worker.instances.end() && --it->second == 0) worker.instances.erase(it);
}

double hardware_units(const Resources& resources) {
  if (resources.gpus > 0) return resources.gpus;
  return kUnitsPerCore * std::max(1.0, resources.cpu_milli / 1000.0);
}

}  // namespace mimeo::scheduler
