#include "scheduler/core/placement.h"

#include <gtest/gtest.h>

namespace mimeo::scheduler {
namespace {

WorkerId worker_id(int number) {
  std::array<std::uint8_t, 16> bytes{};
  bytes[15] = static_cast<std::uint8_t>(number);
  return Uuid(bytes);
}
VersionId version_id(int number) {
  std::string raw(32, 'v');
  raw[0] = static_cast<char>(number);
  return *VersionId::from_bytes(raw);
}

WorkerView cpu_worker(int number, std::uint32_t cpu_milli = 4000) {
  WorkerView w;
  w.id = worker_id(number);
  w.is_ready = true;
  w.skus = {"cpu"};
  w.total.cpu_milli = cpu_milli;
  w.total.memory = 16_GiB;
  return w;
}
// free: one character a device, '1' free, '0' taken.
WorkerView gpu_worker(int number, const std::string& free, Bytes memory = 80_GiB) {
  WorkerView w = cpu_worker(number);
  w.skus = {"gpu"};
  for (std::size_t i = 0; i < free.size(); ++i) {
    w.gpus.push_back(
        {.index = static_cast<GpuIndex>(i), .memory = memory, .is_free = free[i] == '1'});
  }
  return w;
}
InstanceSpec cpu_spec(std::uint32_t cpu_milli = 1000) {
  InstanceSpec spec;
  spec.target = 1;
  spec.version = version_id(1);
  spec.sku = "cpu";
  spec.resources.cpu_milli = cpu_milli;
  return spec;
}
InstanceSpec gpu_spec(std::uint32_t gpus, Bytes memory = {}) {
  InstanceSpec spec = cpu_spec();
  spec.sku = "gpu";
  spec.resources.gpus = gpus;
  spec.resources.gpu_memory = memory;
  return spec;
}

TEST(Placement, RefusesWithTheFirstRuleThatIsBroken) {
  WorkerView w = cpu_worker(1);
  EXPECT_EQ(why_refused(cpu_spec(), w), std::nullopt);
  EXPECT_EQ(why_refused(cpu_spec(5000), w), Refusal::kHostCapacity);
  EXPECT_EQ(why_refused(gpu_spec(1), w), Refusal::kWrongHardware);
  EXPECT_EQ(why_refused(gpu_spec(2), gpu_worker(1, "01")), Refusal::kGpusBusy);
  EXPECT_EQ(why_refused(gpu_spec(1, 100_GiB), gpu_worker(1, "11")), Refusal::kGpuMemory);
  w.is_ready = false;
  EXPECT_EQ(why_refused(gpu_spec(1), w), Refusal::kNotReady);
}

TEST(Placement, ZeroMeansNoLimit) {
  WorkerView w = cpu_worker(1, 0);
  w.total.memory = {};
  EXPECT_EQ(why_refused(cpu_spec(1'000'000), w), std::nullopt);
}

TEST(Placement, CountsWhatIsBooked) {
  WorkerView w = cpu_worker(1, 2000);
  book(w, cpu_spec(1500), {});
  EXPECT_EQ(why_refused(cpu_spec(1000), w), Refusal::kHostCapacity);
  unbook(w, cpu_spec(1500), {});
  EXPECT_EQ(why_refused(cpu_spec(1000), w), std::nullopt);
}

TEST(Placement, PrefersAWorkerThatAlreadyHasTheImage) {
  const std::set<VersionId> images{version_id(1)};
  std::vector<WorkerView> workers{cpu_worker(1), cpu_worker(2)};
  workers[1].images = &images;
  EXPECT_EQ(place(cpu_spec(), workers).placement->worker, worker_id(2));
}

TEST(Placement, PrefersFullerWorkersSoThatWholeMachinesStayFree) {
  std::vector<WorkerView> workers{cpu_worker(1), cpu_worker(2)};
  InstanceSpec other = cpu_spec(2000);
  other.target = 9;
  book(workers[1], other, {});
  EXPECT_EQ(place(cpu_spec(), workers).placement->worker, worker_id(2));
}

TEST(Placement, SpreadsInstancesOfOneTargetBetweenEquals) {
  std::vector<WorkerView> workers{cpu_worker(1, 0), cpu_worker(2, 0)};
  workers[0].total.memory = workers[1].total.memory = {};
  book(workers[0], cpu_spec(), {});
  EXPECT_EQ(place(cpu_spec(), workers).placement->worker, worker_id(2));
}

TEST(Placement, TiesGoToTheLowestWorker) {
  const std::vector<WorkerView> workers{cpu_worker(2), cpu_worker(1), cpu_worker(3)};
  EXPECT_EQ(place(cpu_spec(), workers).placement->worker, worker_id(1));
}

TEST(Placement, CountsEveryRefusalAndExplainsTheOneClosestToSuccess) {
  std::vector<WorkerView> workers{cpu_worker(1), gpu_worker(2, "00"), gpu_worker(3, "0")};
  const PlacementResult result = place(gpu_spec(1), workers);
  EXPECT_FALSE(result.placement.has_value());
  EXPECT_EQ(result.refusals.at(Refusal::kWrongHardware), 1U);
  EXPECT_EQ(result.refusals.at(Refusal::kGpusBusy), 2U);
  EXPECT_EQ(explain(result.refusals), "all GPUs of this hardware are in use");
  EXPECT_EQ(explain({}), "no machine has joined");
}

//  free devices   wanted   chosen                why
//  11111111       1        0                     nothing to protect
//  01111111       1        1                     the neighbour of the broken pair, not a whole pair
//  00111111       1        2                     the fuller half keeps the other half whole
//  10111111       2        2 3                   an aligned pair; 0 has lost its neighbour
//  00111111       4        4 5 6 7               an aligned block of four
TEST(Placement, ChoosesGpusSoThatLargeBlocksStayWhole) {
  const auto chosen = [](const std::string& free, std::uint32_t count) {
    return choose_gpus(gpu_spec(count), gpu_worker(1, free));
  };
  EXPECT_EQ(chosen("11111111", 1), (std::vector<GpuIndex>{0}));
  EXPECT_EQ(chosen("01111111", 1), (std::vector<GpuIndex>{1}));
  EXPECT_EQ(chosen("00111111", 1), (std::vector<GpuIndex>{2}));
  EXPECT_EQ(chosen("10111111", 2), (std::vector<GpuIndex>{2, 3}));
  EXPECT_EQ(chosen("00111111", 4), (std::vector<GpuIndex>{4, 5, 6, 7}));
}

TEST(Placement, TakesScatteredGpusWhenNoBlockIsLeft) {
  EXPECT_EQ(choose_gpus(gpu_spec(2), gpu_worker(1, "01101011")), (std::vector<GpuIndex>{6, 7}));
  EXPECT_EQ(choose_gpus(gpu_spec(2), gpu_worker(1, "01100100")), (std::vector<GpuIndex>{1, 2}));
}

TEST(Placement, IgnoresGpusWithTooLittleMemory) {
  WorkerView w = gpu_worker(1, "1111", 16_GiB);
  w.gpus[2].memory = w.gpus[3].memory = 80_GiB;
  EXPECT_EQ(choose_gpus(gpu_spec(2, 40_GiB), w), (std::vector<GpuIndex>{2, 3}));
}

}  // namespace
}  // namespace mimeo::scheduler
