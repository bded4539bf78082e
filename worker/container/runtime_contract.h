// What every Runtime promises, as tests. A test program includes this once and instantiates it with
// a way to make its runtime:
//
//   INSTANTIATE_TEST_SUITE_P(Docker, RuntimeContract, ::testing::Values(&make_docker));

#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "common/base/ids.h"
#include "common/base/random.h"
#include "worker/container/runtime.h"
#include "worker/container/test_images.h"
#include "worker/testing/test_loop.h"

namespace mimeo::worker {

struct RuntimeEnvironment {
  boost::asio::any_io_executor executor;
  Random& random;
  WorkerId worker;
  std::filesystem::path folder;  // Of this test.
};
// The runtime, or the reason why there is none on this machine.
using MakeRuntime = Result<std::unique_ptr<Runtime>> (*)(const RuntimeEnvironment&);

// Asks the test model inside of a network namespace, from a thread that enters it.
inline std::map<std::string, std::string> ask_model(std::uint32_t pid) {
  std::string text;
  std::thread([&] {
    const int name_space = ::open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY);
    if (name_space < 0 || ::setns(name_space, CLONE_NEWNET) != 0) return;
    ::close(name_space);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(kServerPort);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      std::string piece(4096, '\0');
      for (ssize_t n = 0; (n = ::recv(fd, piece.data(), piece.size(), 0)) > 0;) {
        text.append(piece, 0, static_cast<std::size_t>(n));
      }
    }
    ::close(fd);
  }).join();
  std::map<std::string, std::string> facts;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) facts[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return facts;
}

class RuntimeContract : public ::testing::TestWithParam<MakeRuntime> {
 protected:
  static void SetUpTestSuite() {
    auto started = TestImages::start();
    if (started.ok()) images_ = std::move(*started);
    why_not_ = std::string(started.status().message());
  }
  static void TearDownTestSuite() { images_.reset(); }

  RuntimeContract() : ids_(clock_, random_) {}

  void SetUp() override {
    if (!images_) GTEST_SKIP() << why_not_;
    worker_ = ids_.next();
    auto runtime =
        GetParam()(RuntimeEnvironment{loop_.executor(), random_, worker_, folder_.path()});
    if (!runtime.ok()) GTEST_SKIP() << runtime.status();
    runtime_ = std::move(*runtime);
  }
  void TearDown() override {
    if (!runtime_) return;
    const auto left = loop_.run(runtime_->list());
    EXPECT_TRUE(left.ok()) << left.status();
    if (left.ok()) {
      for (const auto& container : *left) {
        EXPECT_TRUE(loop_.run(runtime_->remove(container.id)).ok());
      }
    }
    loop_.run(runtime_->stop());
    runtime_.reset();
  }

  ImageName pull(const std::vector<std::string>& arguments) {
    auto image = images_->push(arguments);
    EXPECT_TRUE(image.ok()) << image.status();
    const Status pulled = loop_.run(runtime_->pull(*image, "", {}));
    EXPECT_TRUE(pulled.ok()) << pulled;
    return *image;
  }
  ContainerSpec spec_for(const std::vector<std::string>& arguments) {
    ContainerSpec spec;
    spec.instance = ids_.next();
    spec.image = pull(arguments);
    spec.env = {{"PORT", std::to_string(kServerPort)}};
    spec.resources.memory = 256_MiB;
    return spec;
  }
  std::string create(ContainerSpec spec) {
    const auto id = loop_.run(runtime_->create(std::move(spec)));
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  }
  ContainerInfo start(const std::string& id) {
    const auto info = loop_.run(runtime_->start(id));
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() ? *info : ContainerInfo{};
  }
  ContainerInfo run(ContainerSpec spec) { return start(create(std::move(spec))); }
  ContainerExit wait(const std::string& id) {
    const auto exit = loop_.run(runtime_->wait(id));
    EXPECT_TRUE(exit.ok()) << exit.status();
    return exit.ok() ? *exit : ContainerExit{};
  }
  // What the container has written, once it contains `expected`.
  std::string log_with(const std::string& id, const std::string& expected) {
    std::string text;
    EXPECT_TRUE(loop_.run_until([&] {
      const auto tail = loop_.run(runtime_->log_tail(id, 1000));
      if (tail.ok()) text = *tail;
      return text.find(expected) != std::string::npos;
    })) << text;
    return text;
  }

  static inline std::unique_ptr<TestImages> images_;
  static inline std::string why_not_;
  TestLoop loop_;
  TestFolder folder_;
  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_;
  WorkerId worker_;
  std::unique_ptr<Runtime> runtime_;
};

TEST_P(RuntimeContract, IsReadyToRunContainers) {
  const Status ready = loop_.run(runtime_->ping());
  EXPECT_TRUE(ready.ok()) << ready;
}

TEST_P(RuntimeContract, PulledImagesAreOnTheDiskUntilTheyAreRemoved) {
  const ImageName image = pull({"sleep", "pulled"});
  const auto is_listed = [&] {
    const auto found = loop_.run(runtime_->images());
    EXPECT_TRUE(found.ok()) << found.status();
    for (const auto& local : *found) {
      if (local.name != image) continue;
      EXPECT_GT(local.size.count, 0U);
      return true;
    }
    return false;
  };
  EXPECT_TRUE(is_listed());
  EXPECT_TRUE(loop_.run(runtime_->pull(image, "", {})).ok()) << "pulling it again";
  EXPECT_TRUE(loop_.run(runtime_->remove_image(image)).ok());
  EXPECT_FALSE(is_listed());
  EXPECT_TRUE(loop_.run(runtime_->remove_image(image)).ok()) << "removing it again";
}

TEST_P(RuntimeContract, AnImageThatTheRegistryDoesNotHaveIsNotFound) {
  ImageName image = pull({"sleep"});
  image.digest = "sha256:" + std::string(64, '0');
  EXPECT_TRUE(absl::IsNotFound(loop_.run(runtime_->pull(image, "", {}))));
  ContainerSpec spec = spec_for({"sleep"});
  spec.image = image;
  EXPECT_TRUE(absl::IsNotFound(loop_.run(runtime_->create(spec)).status()));
}

TEST_P(RuntimeContract, AServerIsReachedInANetworkOfItsOwnAndMayDoNothingElse) {
  ContainerSpec spec = spec_for({"serve"});
  spec.env.emplace_back("GIVEN", "by us");
  const ContainerInfo container = run(spec);
  EXPECT_EQ(container.phase, ContainerPhase::kRunning);
  EXPECT_EQ(container.instance, spec.instance);
  ASSERT_NE(container.pid, 0U);
  log_with(container.id, "serving");
  const auto facts = ask_model(container.pid);
  ASSERT_FALSE(facts.empty()) << "it does not answer on its loopback";
  EXPECT_EQ(facts.at("given"), "by us");
  EXPECT_EQ(facts.at("port"), "5000");
  EXPECT_EQ(facts.at("capabilities"), "0000000000000000");
  EXPECT_EQ(facts.at("bounding"), "0000000000000000");
  EXPECT_EQ(facts.at("no_new_privileges"), "1");
  EXPECT_EQ(facts.at("routes"), "0");
  EXPECT_EQ(facts.at("tmp"), "ok");
  EXPECT_EQ(facts.at("root"), "ok");
}

TEST_P(RuntimeContract, WhatOneContainerWritesIsNotInAnother) {
  const ContainerInfo first = run(spec_for({"serve"}));
  log_with(first.id, "serving");
  EXPECT_EQ(ask_model(first.pid).at("root"), "ok");
  ContainerSpec spec = spec_for({"serve"});
  const ContainerInfo second = run(spec);
  EXPECT_NE(first.pid, second.pid);
  log_with(second.id, "serving");
  EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(second.pid) + "/root/x"));
}

TEST_P(RuntimeContract, AnExitIsNoticedWithItsCode) {
  const std::string id = create(spec_for({"exit", "3"}));
  start(id);
  const ContainerExit exit = wait(id);
  EXPECT_EQ(exit.code, 3);
  EXPECT_FALSE(exit.is_out_of_memory);
  EXPECT_EQ(exit.describe({}), "exited with code 3");
  const auto info = loop_.run(runtime_->inspect(id));
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->phase, ContainerPhase::kExited);
}

TEST_P(RuntimeContract, ACrashIsNoticedWithItsSignal) {
  const ContainerInfo container = run(spec_for({"crash"}));
  EXPECT_EQ(wait(container.id).describe({}), "was killed by signal 6 (SIGABRT)");
}

TEST_P(RuntimeContract, AContainerAboveItsMemoryLimitIsKilledForIt) {
  ContainerSpec spec = spec_for({"eat"});
  spec.resources.memory = 64_MiB;
  const ContainerInfo container = run(spec);
  const ContainerExit exit = wait(container.id);
  EXPECT_TRUE(exit.is_out_of_memory);
  EXPECT_EQ(exit.describe(64_MiB), "ran out of memory (limit 64 MiB)");
}

TEST_P(RuntimeContract, AKilledContainerEndsWhoeverWaitsForIt) {
  const ContainerInfo container = run(spec_for({"sleep"}));
  std::optional<Result<ContainerExit>> exit;
  boost::asio::co_spawn(loop_.executor(), runtime_->wait(container.id),
                        [&](std::exception_ptr, Result<ContainerExit> how) { exit = how; });
  EXPECT_TRUE(loop_.run(runtime_->kill(container.id)).ok());
  ASSERT_TRUE(loop_.run_until([&] { return exit.has_value(); }));
  ASSERT_TRUE(exit->ok()) << exit->status();
  EXPECT_EQ((*exit)->code, 137);
  EXPECT_TRUE(loop_.run(runtime_->kill(container.id)).ok()) << "killing it again";
}

TEST_P(RuntimeContract, ItsOutputIsKept) {
  const ContainerInfo container = run(spec_for({"talk"}));
  log_with(container.id, "line 100");
  const auto tail = loop_.run(runtime_->log_tail(container.id, 2));
  ASSERT_TRUE(tail.ok()) << tail.status();
  EXPECT_EQ(*tail, "line 99\nline 100\n");
}

TEST_P(RuntimeContract, OnlyCogServersGetTheArgumentsOfCogServers) {
  ContainerSpec cog = spec_for({"arguments", "-m", "cog.server.http"});
  cog.cog_arguments = {"--x-mode", "train"};
  const ContainerInfo first = run(cog);
  EXPECT_EQ(log_with(first.id, "train"), "-m\ncog.server.http\n--x-mode\ntrain\n");
  ContainerSpec other = spec_for({"arguments", "mine"});
  other.cog_arguments = {"--x-mode", "train"};
  const ContainerInfo second = run(other);
  EXPECT_EQ(log_with(second.id, "mine"), "mine\n");
}

TEST_P(RuntimeContract, ContainersAreFoundAgainByTheirWorker) {
  const ContainerSpec spec = spec_for({"sleep"});
  const ContainerInfo container = run(spec);
  loop_.run(runtime_->stop());
  auto again = GetParam()(RuntimeEnvironment{loop_.executor(), random_, worker_, folder_.path()});
  ASSERT_TRUE(again.ok()) << again.status();
  runtime_ = std::move(*again);
  const auto found = loop_.run(runtime_->list());
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().instance, spec.instance);
  EXPECT_EQ(found->front().id, container.id);
  EXPECT_EQ(found->front().phase, ContainerPhase::kRunning);
  EXPECT_EQ(found->front().pid, container.pid);
  EXPECT_TRUE(loop_.run(runtime_->kill(container.id)).ok());
  EXPECT_EQ(wait(container.id).code, 137);
}

TEST_P(RuntimeContract, ARemovedContainerIsGone) {
  const ContainerInfo container = run(spec_for({"sleep"}));
  EXPECT_TRUE(loop_.run(runtime_->remove(container.id)).ok());
  EXPECT_TRUE(absl::IsNotFound(loop_.run(runtime_->inspect(container.id)).status()));
  EXPECT_TRUE(absl::IsNotFound(loop_.run(runtime_->wait(container.id)).status()));
  EXPECT_TRUE(loop_.run(runtime_->remove(container.id)).ok()) << "removing it again";
  EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(container.pid)));
}

}  // namespace mimeo::worker
