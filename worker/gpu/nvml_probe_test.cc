#include "worker/gpu/nvml_probe.h"

#include <gtest/gtest.h>

namespace mimeo::worker {
namespace {

TEST(NvmlProbe, AMachineWithoutTheDriversLibraryHasNoGpus) {
  const auto probe = make_nvml_probe("libmimeo-there-is-no-such-library.so.1");
  const auto devices = probe->devices();
  ASSERT_TRUE(devices.ok()) << devices.status();
  EXPECT_TRUE(devices->empty());
}

TEST(NvmlProbe, ALibraryThatIsNotNvmlIsAnError) {
  const auto probe = make_nvml_probe("libc.so.6");
  EXPECT_FALSE(probe->devices().ok());
}

}  // namespace
}  // namespace mimeo::worker
