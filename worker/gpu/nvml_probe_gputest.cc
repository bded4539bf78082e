// Needs an NVIDIA driver; says so and does nothing where there is none.

#include <gtest/gtest.h>

#include <set>

#include "worker/gpu/nvml_probe.h"

namespace mimeo::worker {
namespace {

TEST(NvmlProbe, DescribesEveryGpuOfThisMachine) {
  const auto devices = make_nvml_probe()->devices();
  ASSERT_TRUE(devices.ok()) << devices.status();
  if (devices->empty()) GTEST_SKIP() << "no NVIDIA GPU on this machine";
  std::set<std::string> uuids;
  for (const auto& device : *devices) {
    EXPECT_EQ(device.index, uuids.size());
    EXPECT_FALSE(device.name.empty());
    EXPECT_GT(device.memory.count, Bytes{1_GiB}.count) << device.name;
    EXPECT_TRUE(device.uuid.starts_with("GPU-") || device.uuid.starts_with("MIG-")) << device.uuid;
    EXPECT_TRUE(uuids.insert(device.uuid).second) << device.uuid << " is there twice";
  }
}

}  // namespace
}  // namespace mimeo::worker
