#include "control-plane/api/catalog_reader.h"

#include <gtest/gtest.h>

#include <future>

#include "common/store/memory/memory_discovery.h"
#include "control-plane/testing/test_loop.h"

namespace mimeo::control {
namespace {

class CatalogReaderTest : public testing::Test {
 protected:
  CatalogReaderTest() {
    store::Account account;
    account.username = "acme";
    account_ = *store_.create_account(account);
    store::Model model;
    model.owner_id = account_.id;
    model.name = "hello";
    model = *store_.create_model(model);
    store::Version version;
    version.id = *VersionId::parse(std::string(64, 'a'));
    version.model = model.id;
    EXPECT_TRUE(store_.put_version(version).ok());
    store::Deployment deployment;
    deployment.owner_id = account_.id;
    deployment.name = "private";
    deployment.model = model.id;
    deployment.current.version = version.id;
    EXPECT_TRUE(store_.create_deployment(deployment).ok());
  }

  TestLoop loop_;
  FakeClock clock_;
  store::MemoryStore store_{clock_};
  store::MemoryDiscovery discovery_{store_};
  BlockingPool pool_{1};
  CatalogReader reader_{store_, discovery_, pool_, clock_};
  store::Account account_;
};

// What is remembered is answered without the store: that would tell strangers that it exists.
TEST_F(CatalogReaderTest, ADeploymentIsRememberedForItsOwnerOnly) {
  ASSERT_TRUE(loop_.run(reader_.deployment("acme", "private", account_.id)).ok());
  std::promise<void> gate;
  pool_.post([opened = gate.get_future().share()] { opened.wait(); });
  auto owner = loop_.start(reader_.deployment("acme", "private", account_.id));
  auto stranger = loop_.start(reader_.deployment("acme", "private", account_.id + 1));
  auto missing = loop_.start(reader_.deployment("acme", "missing", account_.id + 1));
  loop_.settle();
  EXPECT_TRUE(TestLoop::is_ready(owner));
  EXPECT_FALSE(TestLoop::is_ready(stranger)) << "it waits for the store";
  EXPECT_FALSE(TestLoop::is_ready(missing));
  gate.set_value();
  EXPECT_TRUE(loop_.finish(owner).ok());
  EXPECT_EQ(loop_.finish(stranger).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(loop_.finish(missing).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace mimeo::control
