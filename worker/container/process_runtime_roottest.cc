// process_runtime.h with a real mimeo-launch and a real registry. Needs root, namespaces and
// cgroups that can be written.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>

#include "worker/container/process_runtime.h"
#include "worker/container/runtime_contract.h"
#include "worker/launch/container_folder.h"
#include "worker/launch/launcher.h"
#include "worker/local_file.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;

ProcessOptions options_for(const RuntimeEnvironment& environment) {
  ProcessOptions options;
  options.policy.worker = environment.worker;
  options.state = environment.folder;
  options.launcher = MIMEO_LAUNCH_PROGRAM;
  return options;
}

Result<std::unique_ptr<Runtime>> make_process(const RuntimeEnvironment& environment) {
  MIMEO_RETURN_IF_ERROR(check_machine(environment.folder));
  return make_process_runtime(environment.executor, environment.random, options_for(environment));
}

INSTANTIATE_TEST_SUITE_P(Process, RuntimeContract, ::testing::Values(&make_process));

std::string text_of(const fs::path& file) {
  const auto text = read_file(file);
  return text.ok() ? *text : "";
}

class ProcessRuntimeTest : public RuntimeContract {
 protected:
  [[nodiscard]] ContainerFolder folder_of(const std::string& id) const {
    return ContainerFolder::of(folder_.path(), id);
  }
  RuntimeEnvironment environment() {
    return RuntimeEnvironment{loop_.executor(), random_, worker_, folder_.path()};
  }
  // As if the daemon had been killed: nothing is stopped or removed.
  void lose_daemon() { runtime_.reset(); }
  void restart(ProcessOptions options) {
    lose_daemon();
    runtime_ = make_process_runtime(loop_.executor(), random_, std::move(options));
  }
  void restart() { restart(options_for(environment())); }
  ContainerSpec spec_with(const TestImageConfig& config,
                          const std::vector<std::string>& arguments) {
    ContainerSpec spec = spec_for({"sleep"});
    auto image = images_->push(arguments, config);
    EXPECT_TRUE(image.ok()) << image.status();
    spec.image = *image;
    EXPECT_TRUE(loop_.run(runtime_->pull(spec.image, "", {})).ok());
    return spec;
  }
  std::map<std::string, std::string> facts_of(const ContainerInfo& container) {
    log_with(container.id, "serving");
    auto facts = ask_model(container.pid);
    EXPECT_FALSE(facts.empty()) << "it does not answer";
    return facts;
  }
  [[nodiscard]] std::vector<std::string> cgroups() const {
    return Cgroups::find()->children("mimeo/" + worker_.str());
  }
};
INSTANTIATE_TEST_SUITE_P(Process, ProcessRuntimeTest, ::testing::Values(&make_process));

// A process by descriptor, whose end can be waited for whoever its parent is.
class WatchedProcess {
 public:
  explicit WatchedProcess(std::uint32_t pid)
      : fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  [[nodiscard]] bool has_ended() const {
    pollfd ended{fd_.get(), POLLIN, 0};
    return ::poll(&ended, 1, 20'000) == 1;
  }

 private:
  Descriptor fd_;
};

// --- What it keeps from the machine ---

TEST_P(ProcessRuntimeTest, NothingOfTheMachineIsSeenInside) {
  const auto facts = facts_of(run(spec_for({"serve"})));
  EXPECT_EQ(facts.at("entries"), "dev etc model proc sys tmp");
  EXPECT_EQ(facts.at("devices"),
            "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero");
  EXPECT_EQ(facts.at("hostname"), "model");
  EXPECT_EQ(facts.at("init"), "init");
  EXPECT_EQ(facts.at("parent_of_orphan"), "1");
  EXPECT_LT(std::stoi(facts.at("pid")), 10);
}

TEST_P(ProcessRuntimeTest, WaysOutAreRefused) {
  const auto facts = facts_of(run(spec_for({"serve"})));
  const std::string refused = std::to_string(EPERM);
  EXPECT_EQ(facts.at("mount"), refused);
  EXPECT_EQ(facts.at("unshare"), refused);
  EXPECT_EQ(facts.at("chroot"), refused);
  EXPECT_EQ(facts.at("bpf"), refused);
  EXPECT_EQ(facts.at("keyctl"), refused);
  EXPECT_EQ(facts.at("mknod"), refused);
  EXPECT_EQ(facts.at("exe_of_init"), std::to_string(EACCES)) << "our own program's file";
}

TEST_P(ProcessRuntimeTest, TheMachinesSettingsCannotBeWritten) {
  const auto facts = facts_of(run(spec_for({"serve"})));
  EXPECT_EQ(facts.at("core_pattern"), "refused");
  EXPECT_EQ(facts.at("sysrq"), "refused");
  EXPECT_EQ(facts.at("sys"), "refused");
}

TEST_P(ProcessRuntimeTest, AReadOnlyRootLeavesOnlyTmp) {
  ProcessOptions options = options_for(environment());
  options.policy.root = RootFilesystem::kReadOnly;
  restart(std::move(options));
  const auto facts = facts_of(run(spec_for({"serve"})));
  EXPECT_EQ(facts.at("root"), "refused");
  EXPECT_EQ(facts.at("tmp"), "ok");
}

TEST_P(ProcessRuntimeTest, TheImagesUserAndFolderAreObeyed) {
  TestImageConfig config;
  config.user = "1234:567";
  config.working_dir = "/srv/app";
  const ContainerInfo container = run(spec_with(config, {"serve"}));
  const auto facts = facts_of(container);
  EXPECT_EQ(facts.at("uid"), "1234");
  EXPECT_EQ(facts.at("gid"), "567");
  EXPECT_EQ(facts.at("cwd"), "/srv/app");
  EXPECT_EQ(facts.at("home"), "/");
  EXPECT_EQ(facts.at("capabilities"), "0000000000000000");
  EXPECT_EQ(facts.at("root"), "refused") << "the root folder is root's";
  EXPECT_TRUE(loop_.run(runtime_->kill(container.id)).ok());
  EXPECT_EQ(wait(container.id).code, 137);
}

TEST_P(ProcessRuntimeTest, WhatItCannotGiveIsRefusedWithTheWayOut) {
  ContainerSpec egress = spec_for({"sleep"});
  egress.network = NetworkAccess::kEgress;
  ContainerSpec gpu = spec_for({"sleep"});
  gpu.gpus = {"0"};
  ContainerSpec port = spec_for({"sleep"});
  port.reach = ServerReach::kPublishedPort;
  for (const auto& spec : {egress, gpu, port}) {
    const Status refused = loop_.run(runtime_->create(spec)).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_NE(refused.message().find("--runtime docker"), std::string::npos) << refused;
  }
}

// --- Starting ---

TEST_P(ProcessRuntimeTest, AnImageThatCannotBeRunSaysWhy) {
  TestImageConfig config;
  config.entrypoint = {"/missing"};
  const std::string id = create(spec_with(config, {}));
  const Status started = loop_.run(runtime_->start(id)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(started)) << started;
  EXPECT_NE(started.message().find("/missing"), std::string::npos) << started;
  const auto info = loop_.run(runtime_->inspect(id));
  ASSERT_TRUE(info.ok() && info->exit) << info.status();
  EXPECT_NE(info->exit->describe({}).find("could not be run: running /missing"), std::string::npos);
  EXPECT_TRUE(cgroups().empty());
}

TEST_P(ProcessRuntimeTest, AContainerIsStartedOnce) {
  const ContainerInfo container = run(spec_for({"sleep"}));
  EXPECT_TRUE(absl::IsFailedPrecondition(loop_.run(runtime_->start(container.id)).status()));
  EXPECT_EQ(loop_.run(runtime_->inspect(container.id))->phase, ContainerPhase::kRunning);
}

TEST_P(ProcessRuntimeTest, WhereNoOverlayIsPossibleTheImageIsCopied) {
  // An overlay cannot be the upper layer of another one.
  const fs::path state = folder_.path() / "state";
  for (const char* name : {"a", "b", "c", "state"}) fs::create_directory(folder_.path() / name);
  const std::string base = folder_.path().string();
  const std::string layers =
      "lowerdir=" + base + "/a,upperdir=" + base + "/b,workdir=" + base + "/c";
  if (::mount("overlay", state.c_str(), "overlay", 0, layers.c_str()) != 0) {
    GTEST_SKIP() << "this machine has no overlay at all";
  }
  ProcessOptions options = options_for(environment());
  options.state = state;
  restart(std::move(options));
  const ContainerInfo container = run(spec_for({"serve"}));
  const auto facts = facts_of(container);
  EXPECT_EQ(facts.at("root"), "ok");
  EXPECT_EQ(facts.at("entries"), "dev etc model proc sys tmp");
  const ContainerInfo second = run(spec_for({"serve"}));
  log_with(second.id, "serving");
  EXPECT_FALSE(fs::exists("/proc/" + std::to_string(second.pid) + "/root/x"));
  for (const auto& id : {container.id, second.id}) {
    EXPECT_TRUE(loop_.run(runtime_->remove(id)).ok());
  }
  restart();
  EXPECT_EQ(::umount2(state.c_str(), 0), 0) << "something still lies in it";
}

// --- Its end, and what outlives it ---

TEST_P(ProcessRuntimeTest, ARemovedContainerLeavesNothing) {
  const ContainerInfo container = run(spec_for({"serve"}));
  facts_of(container);
  const std::string id = container.id;
  EXPECT_NE(text_of("/proc/" + std::to_string(container.pid) + "/cgroup").find(id),
            std::string::npos);
  EXPECT_EQ(cgroups().size(), 1U);
  EXPECT_TRUE(loop_.run(runtime_->remove(id)).ok());
  EXPECT_TRUE(cgroups().empty());
  EXPECT_TRUE(fs::is_empty(folder_.path() / "containers"));
  EXPECT_EQ(text_of("/proc/self/mountinfo").find(id), std::string::npos);
}

TEST_P(ProcessRuntimeTest, AContainerWhoseLauncherIsKilledEndsWithIt) {
  const ContainerInfo container = run(spec_for({"sleep"}));
  const WatchedProcess first(container.pid);
  const auto record = folder_of(container.id).read();
  ASSERT_TRUE(record.ok());
  ::kill(record->launcher, SIGKILL);
  const ContainerExit exit = wait(container.id);
  EXPECT_EQ(exit.code, std::nullopt) << "nobody knows";
  EXPECT_TRUE(first.has_ended());
  EXPECT_TRUE(cgroups().empty());
  EXPECT_EQ(loop_.run(runtime_->inspect(container.id))->phase, ContainerPhase::kExited);
  EXPECT_TRUE(loop_.run(runtime_->remove(container.id)).ok());
}

TEST_P(ProcessRuntimeTest, ADaemonThatWasAwayLearnsHowItEnded) {
  const ContainerInfo container = run(spec_for({"term"}));
  log_with(container.id, "waiting");
  const WatchedProcess first(container.pid);
  const auto record = folder_of(container.id).read();
  ASSERT_TRUE(record.ok()) << record.status();
  lose_daemon();
  ::kill(record->launcher, SIGTERM);  // Handed on to the first process, and by it to the model.
  ASSERT_TRUE(first.has_ended());
  restart();
  EXPECT_EQ(wait(container.id).code, 3);
  const auto found = loop_.run(runtime_->list());
  ASSERT_TRUE(found.ok() && found->size() == 1U) << found.status();
  EXPECT_EQ(found->front().phase, ContainerPhase::kExited);
  EXPECT_EQ(found->front().exit->code, 3);
}

TEST_P(ProcessRuntimeTest, ADaemonThatWasAwayFindsALauncherThatWasKilled) {
  const ContainerInfo container = run(spec_for({"sleep"}));
  const auto record = folder_of(container.id).read();
  ASSERT_TRUE(record.ok());
  const WatchedProcess first(container.pid);
  lose_daemon();
  ::kill(record->launcher, SIGKILL);
  ASSERT_TRUE(first.has_ended());
  restart();
  const auto found = loop_.run(runtime_->list());
  ASSERT_TRUE(found.ok() && found->size() == 1U) << found.status();
  EXPECT_EQ(found->front().phase, ContainerPhase::kExited);
  EXPECT_TRUE(loop_.run(runtime_->remove(container.id)).ok());
  EXPECT_TRUE(cgroups().empty());
}

TEST_P(ProcessRuntimeTest, APidThatBelongsToAnotherProcessNowIsNotTaken) {
  const std::string id = create(spec_for({"sleep"}));
  ASSERT_TRUE(folder_of(id).write_launcher(::getpid()).ok());
  const auto info = loop_.run(runtime_->inspect(id));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->phase, ContainerPhase::kExited);
  EXPECT_TRUE(loop_.run(runtime_->remove(id)).ok());
}

TEST_P(ProcessRuntimeTest, WhatAnEarlierDaemonLeftUnfinishedIsCleared) {
  const fs::path image = folder_.path() / "images" / (std::string(kUnfinished) + "abc");
  const fs::path container = folder_.path() / "containers" / (std::string(kUnfinished) + "def");
  fs::create_directories(image / "rootfs");
  fs::create_directories(container / "upper");
  const auto machine = Cgroups::find();
  ASSERT_TRUE(machine.ok() && machine->make("mimeo/" + worker_.str() + "/lost", {}).ok());
  restart();
  EXPECT_FALSE(fs::exists(image));
  EXPECT_FALSE(fs::exists(container));
  EXPECT_TRUE(cgroups().empty());
}

TEST_P(ProcessRuntimeTest, AllContainersOfAWorkerCanBeRemovedWithoutIt) {
  const ContainerInfo container = run(spec_for({"sleep"}));
  const WatchedProcess first(container.pid);
  create(spec_for({"sleep"}));
  lose_daemon();
  const Status removed = remove_containers(folder_.path());
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_TRUE(first.has_ended());
  EXPECT_TRUE(cgroups().empty());
  EXPECT_TRUE(ContainerFolder::all(folder_.path()).empty());
}

// --- Images ---

TEST_P(ProcessRuntimeTest, AnImageThatAContainerUsesStays) {
  const ContainerSpec spec = spec_for({"sleep"});
  const std::string id = create(spec);
  const Status refused = loop_.run(runtime_->remove_image(spec.image));
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_TRUE(loop_.run(runtime_->remove(id)).ok());
  EXPECT_TRUE(loop_.run(runtime_->remove_image(spec.image)).ok());
  EXPECT_TRUE(absl::IsNotFound(loop_.run(runtime_->create(spec)).status()));
}

TEST_P(ProcessRuntimeTest, AnImageOfTwoNamesStaysUntilBothAreRemoved) {
  const ImageName one = pull({"sleep", "two names"});
  ImageName other = one;
  other.registry.replace(0, other.registry.find(':'), "localhost");
  EXPECT_TRUE(loop_.run(runtime_->pull(other, "", {})).ok());
  EXPECT_EQ(loop_.run(runtime_->images())->size(), 2U);
  EXPECT_TRUE(loop_.run(runtime_->remove_image(one)).ok());
  const auto left = loop_.run(runtime_->images());
  ASSERT_TRUE(left.ok() && left->size() == 1U);
  EXPECT_EQ(left->front().name, other);
  EXPECT_TRUE(loop_.run(runtime_->remove_image(other)).ok());
  EXPECT_TRUE(fs::is_empty(folder_.path() / "images"));
}

TEST_P(ProcessRuntimeTest, APullTellsHowFarItIs) {
  auto image = images_->push({"sleep", "progress"});
  ASSERT_TRUE(image.ok()) << image.status();
  PullProgress last;
  const auto observer = [&last](const PullProgress& now) { last = now; };
  EXPECT_TRUE(loop_.run(runtime_->pull(*image, "", observer)).ok());
  EXPECT_GT(last.total_bytes, 0U);
  EXPECT_EQ(last.done_bytes, last.total_bytes);
  EXPECT_TRUE(last.is_extracting);
}

TEST_P(ProcessRuntimeTest, APullThatFailsLeavesNothing) {
  ImageName image = pull({"sleep"});
  EXPECT_TRUE(loop_.run(runtime_->remove_image(image)).ok());
  image.digest = "sha256:" + std::string(64, '0');
  EXPECT_TRUE(absl::IsNotFound(loop_.run(runtime_->pull(image, "", {}))));
  image.registry = "127.0.0.1:1";
  EXPECT_TRUE(absl::IsUnavailable(loop_.run(runtime_->pull(image, "", {}))));
  EXPECT_TRUE(fs::is_empty(folder_.path() / "images"));
}

}  // namespace
}  // namespace mimeo::worker
