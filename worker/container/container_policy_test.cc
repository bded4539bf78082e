#include "worker/container/container_policy.h"

#include <gtest/gtest.h>

namespace mimeo::worker {
namespace {

TEST(ContainerPolicy, SharedMemoryIsNeverMoreThanTheMemory) {
  Resources limits;
  EXPECT_EQ(shm_size(limits), 6_GiB);
  limits.memory = 1_GiB;
  EXPECT_EQ(shm_size(limits), 1_GiB);
  limits.memory = 32_GiB;
  EXPECT_EQ(shm_size(limits), 6_GiB);
}

TEST(ContainerPolicy, OnlyCogServersGetTheArgumentsOfCogServers) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(arguments_for({"tini", "--"}, {"python", "-m", "cog.server.http"}, {"--x"}),
            (Words{"python", "-m", "cog.server.http", "--x"}));
  EXPECT_EQ(arguments_for({"python", "-m", "cog.server.http"}, {}, {"--x"}), Words{"--x"});
  EXPECT_EQ(arguments_for({"/server"}, {"serve"}, {"--x"}), Words{"serve"});
}

}  // namespace
}  // namespace mimeo::worker
