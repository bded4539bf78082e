#include "scheduler/core/placement_rules.h"

#include <algorithm>
#include <bit>

namespace mimeo::scheduler {
namespace {

bool fits(const InstanceSpec& spec, const GpuView& gpu) {
  return gpu.is_free && gpu.memory >= spec.resources.gpu_memory;
}

double share(double used, double total) { return total > 0 ? std::min(1.0, used / total) : 0.0; }

}  // namespace

std::string_view to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNotReady:
      return "not_ready";
    case Refusal::kWrongHardware:
      return "wrong_hardware";
    case Refusal::kGpusBusy:
      return "gpus_busy";
    case Refusal::kGpuMemory:
      return "gpu_memory";
    case Refusal::kHostCapacity:
      return "host_capacity";
  }
  return "unknown";
}

std::string_view describe(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNotReady:
      return "no machine is ready";
    case Refusal::kWrongHardware:
      return "no machine offers this hardware";
    case Refusal::kGpusBusy:
      return "all GPUs of this hardware are in use";
    case Refusal::kGpuMemory:
      return "no free GPU has enough memory";
    case Refusal::kHostCapacity:
      return "processor or memory of all machines are in use";
  }
  return "unknown";
}

bool is_ready(const WorkerView& worker) { return worker.is_ready; }

bool has_hardware(const InstanceSpec& spec, const WorkerView& worker) {
  return worker.skus.contains(spec.sku);
}

bool has_free_gpus(const InstanceSpec& spec, const WorkerView& worker) {
  const auto free = std::count_if(worker.gpus.begin(), worker.gpus.end(),
                                  [](const GpuView& gpu) { return gpu.is_free; });
  return free >= static_cast<std::ptrdiff_t>(spec.resources.gpus);
}

bool has_gpu_memory(const InstanceSpec& spec, const WorkerView& worker) {
  const auto good = std::count_if(worker.gpus.begin(), worker.gpus.end(),
                                  [&](const GpuView& gpu) { return fits(spec, gpu); });
  return good >= static_cast<std::ptrdiff_t>(spec.resources.gpus);
}

bool has_host_capacity(const InstanceSpec& spec, const WorkerView& worker) {
  const Resources& need = spec.resources;
  const bool cpu = worker.total.cpu_milli == 0 ||
                   worker.booked.cpu_milli + need.cpu_milli <= worker.total.cpu_milli;
  const bool memory = worker.total.memory.count == 0 ||
                      worker.booked.memory.count + need.memory.count <= worker.total.memory.count;
  return cpu && memory;
}

std::optional<Refusal> why_refused(const InstanceSpec& spec, const WorkerView& worker) {
  if (!is_ready(worker)) return Refusal::kNotReady;
  if (!has_hardware(spec, worker)) return Refusal::kWrongHardware;
  if (!has_free_gpus(spec, worker)) return Refusal::kGpusBusy;
  if (!has_gpu_memory(spec, worker)) return Refusal::kGpuMemory;
  if (!has_host_capacity(spec, worker)) return Refusal::kHostCapacity;
  return std::nullopt;
}

double warm_cache(const InstanceSpec& spec, const WorkerView& worker) {
  return worker.images != nullptr && worker.images->contains(spec.version) ? 1.0 : 0.0;
}

double packing(const InstanceSpec& /*spec*/, const WorkerView& worker) {
  if (!worker.gpus.empty()) {
    const auto taken = std::count_if(worker.gpus.begin(), worker.gpus.end(),
                                     [](const GpuView& gpu) { return !gpu.is_free; });
    return share(static_cast<double>(taken), static_cast<double>(worker.gpus.size()));
  }
  return std::max(share(worker.booked.cpu_milli, worker.total.cpu_milli),
                  share(static_cast<double>(worker.booked.memory.count),
                        static_cast<double>(worker.total.memory.count)));
}

double spread(const InstanceSpec& spec, const WorkerView& worker) {
  const auto it = worker.instances.find(spec.target);
  return it == worker.instances.end() ? 1.0 : 1.0 / (1.0 + it->second);
}

std::vector<GpuIndex> choose_gpus(const InstanceSpec& spec, const WorkerView& worker) {
  const std::size_t need = spec.resources.gpus;
  if (need == 0) return {};
  std::vector<GpuView> gpus = worker.gpus;
  std::sort(gpus.begin(), gpus.end(),
            [](const GpuView& a, const GpuView& b) { return a.index < b.index; });

  // Machines wire their devices in blocks of two, four and eight: a block inside one is faster and
  // leaves the others whole.
  const std::size_t block = std::bit_ceil(need);
  constexpr std::size_t kNeighbourhood = 8;
  std::size_t best = gpus.size();
  std::ptrdiff_t best_free_around = 0;
  for (std::size_t at = 0; at + need <= gpus.size(); at += block) {
    const auto begin = gpus.begin() + static_cast<std::ptrdiff_t>(at);
    if (!std::all_of(begin, begin + static_cast<std::ptrdiff_t>(need),
                     [&](const GpuView& gpu) { return fits(spec, gpu); })) {
      continue;
    }
    // Free devices in the enclosing blocks, the nearest counting most.
    std::ptrdiff_t free_around = 0;
    for (std::size_t size = block * 2; size <= std::max(kNeighbourhood, block); size *= 2) {
      const std::size_t from = at / size * size;
      const std::size_t to = std::min(from + size, gpus.size());
      free_around =
          free_around * 16 + std::count_if(gpus.begin() + static_cast<std::ptrdiff_t>(from),
                                           gpus.begin() + static_cast<std::ptrdiff_t>(to),
                                           [](const GpuView& gpu) { return gpu.is_free; });
    }
    if (best == gpus.size() || free_around < best_free_around) {
      best = at;
      best_free_around = free_around;
    }
  }
  std::vector<GpuIndex> chosen;
  for (std::size_t i = best; i < gpus.size() && chosen.size() < need; ++i) {
    chosen.push_back(gpus[i].index);
  }
  if (best < gpus.size()) return chosen;
  for (const GpuView& gpu : gpus) {  // No whole block is left: any that fit.
    if (chosen.size() < need && fits(spec, gpu)) chosen.push_back(gpu.index);
  }
  return chosen;
}

}  // namespace mimeo::scheduler
