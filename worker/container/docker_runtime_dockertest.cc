// docker_runtime.h against a real Docker Engine and a real registry.

#include <gtest/gtest.h>

#include "tests/support/private_docker.h"
#include "worker/container/docker_runtime.h"
#include "worker/container/runtime_contract.h"

namespace mimeo::worker {
namespace {

// One Engine for all tests of this program.
class Engine final : public ::testing::Environment {
 public:
  void SetUp() override {
    auto found = PrivateDocker::find_or_start();
    if (found.ok()) {
      docker() = std::move(*found);
    } else {
      why_not() = std::string(found.status().message());
    }
  }
  void TearDown() override { docker().reset(); }

  static std::unique_ptr<PrivateDocker>& docker() {
    static std::unique_ptr<PrivateDocker> docker;
    return docker;
  }
  static std::string& why_not() {
    static std::string why_not;
    return why_not;
  }
};
const ::testing::Environment* const kEngine = ::testing::AddGlobalTestEnvironment(new Engine);

Result<std::unique_ptr<Runtime>> make_docker(const RuntimeEnvironment& environment) {
  if (!Engine::docker()) return absl::NotFoundError(Engine::why_not());
  DockerOptions options;
  options.socket_path = Engine::docker()->socket_path();
  options.policy.worker = environment.worker;
  return make_docker_runtime(environment.executor, environment.random, std::move(options));
}

INSTANTIATE_TEST_SUITE_P(Docker, RuntimeContract, ::testing::Values(&make_docker));

class DockerRuntimeTest : public RuntimeContract {};
INSTANTIATE_TEST_SUITE_P(Docker, DockerRuntimeTest, ::testing::Values(&make_docker));

TEST_P(DockerRuntimeTest, EndsAreNoticedAlsoWhenTheEngineWasAwayMeanwhile) {
  if (!Engine::docker()->is_private())
    GTEST_SKIP() << "this machine's own Engine is not ours to end";
  const ContainerInfo container = run(spec_for({"sleep"}));
  std::optional<Result<ContainerExit>> exit;
  boost::asio::co_spawn(loop_.executor(), runtime_->wait(container.id),
                        [&](std::exception_ptr, Result<ContainerExit> how) { exit = how; });
  Engine::docker()->kill();
  ::kill(static_cast<pid_t>(container.pid), SIGKILL);
  EXPECT_FALSE(loop_.run(runtime_->ping()).ok());
  ASSERT_TRUE(Engine::docker()->start().ok());
  ASSERT_TRUE(loop_.run_until([&] { return exit.has_value(); }));
  EXPECT_TRUE(exit->ok()) << exit->status();
}

TEST_P(DockerRuntimeTest, AContainerWithEgressHasANetworkBesidesItsLoopback) {
  ContainerSpec spec = spec_for({"serve"});
  spec.network = NetworkAccess::kEgress;
  const ContainerInfo container = run(spec);
  log_with(container.id, "serving");
  EXPECT_NE(ask_model(container.pid).at("routes"), "0");
}

TEST_P(DockerRuntimeTest, APublishedServerIsReachedOnLoopback) {
  ContainerSpec spec = spec_for({"serve"});
  spec.reach = ServerReach::kPublishedPort;
  const ContainerInfo container = run(spec);
  EXPECT_TRUE(container.server_address.starts_with("127.0.0.1:")) << container.server_address;
  EXPECT_GT(container.server_address.size(), std::string("127.0.0.1:").size());
}

}  // namespace
}  // namespace mimeo::worker
