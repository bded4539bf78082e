#include "worker/launch/cgroups.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "worker/local_file.h"
#include "worker/testing/test_loop.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;

// Folders that look like the kernel's, for what machines here do not have. Files of a group come
// into being when it does, which a plain folder does not do: a test makes them first.
class FakeHierarchy {
 public:
  explicit FakeHierarchy(std::string controllers) {
    std::ofstream(folder_.path() / "cgroup.controllers") << controllers << "\n";
    std::ofstream(folder_.path() / "cgroup.subtree_control") << "\n";
  }
  void prepare(const std::string& group, const std::vector<std::string>& files) const {
    fs::create_directories(folder_.path() / group);
    for (fs::path at = folder_.path() / group; at != folder_.path(); at = at.parent_path()) {
      std::ofstream(at / "cgroup.subtree_control") << "\n";
    }
    for (const auto& file : files) std::ofstream(folder_.path() / group / file) << "";
  }
  [[nodiscard]] std::string text(const std::string& file) const {
    const auto text = read_file(folder_.path() / file);
    return text.ok() ? *text : "none";
  }
  void write(const std::string& file, const std::string& text) const {
    std::ofstream(folder_.path() / file) << text;
  }
  [[nodiscard]] std::string mount(const std::string& type, const std::string& options) const {
    return "31 23 0:28 / " + folder_.path().string() + " rw,nosuid shared:9 - " + type + " " +
           type + " " + options + "\n";
  }

 private:
  TestFolder folder_;
};

TEST(Cgroups, VersionTwoIsLimitedByItsOwnFiles) {
  const FakeHierarchy fake("cpuset cpu io memory pids");
  fake.prepare("mimeo/w/c", {"memory.max", "memory.swap.max", "cpu.max", "pids.max"});
  const auto cgroups = Cgroups::find_in("1 2 0:3 / / rw - ext4 /dev/a rw\n" +
                                        fake.mount("cgroup2", "rw,nsdelegate"));
  ASSERT_TRUE(cgroups.ok()) << cgroups.status();
  const Status made = cgroups->make("mimeo/w/c", {64_MiB, 1500, 100});
  ASSERT_TRUE(made.ok()) << made;
  EXPECT_EQ(fake.text("mimeo/w/c/memory.max"), "67108864");
  EXPECT_EQ(fake.text("mimeo/w/c/memory.swap.max"), "0");
  EXPECT_EQ(fake.text("mimeo/w/c/cpu.max"), "150000 100000");
  EXPECT_EQ(fake.text("mimeo/w/c/pids.max"), "100");
  EXPECT_EQ(fake.text("cgroup.subtree_control").substr(0, 1), "+");
  EXPECT_EQ(fake.text("mimeo/w/cgroup.subtree_control").substr(0, 1), "+");
  EXPECT_EQ(fake.text("mimeo/w/c/cgroup.subtree_control"), "\n") << "processes live in it";
  EXPECT_FALSE(cgroups->was_out_of_memory("mimeo/w/c"));
  fake.write("mimeo/w/c/memory.events", "low 0\noom 1\noom_kill 1\n");
  EXPECT_TRUE(cgroups->was_out_of_memory("mimeo/w/c"));
}

TEST(Cgroups, VersionOneCountsSwapWithMemory) {
  const FakeHierarchy memory("");
  const FakeHierarchy rest("");
  memory.prepare("mimeo/c", {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"});
  rest.prepare("mimeo/c", {"cpu.cfs_period_us", "cpu.cfs_quota_us", "pids.max"});
  const auto cgroups = Cgroups::find_in(memory.mount("cgroup", "rw,memory") +
                                        rest.mount("cgroup", "rw,cpu,cpuacct,pids"));
  ASSERT_TRUE(cgroups.ok()) << cgroups.status();
  const Status made = cgroups->make("mimeo/c", {64_MiB, 500, 0});
  ASSERT_TRUE(made.ok()) << made;
  EXPECT_EQ(memory.text("mimeo/c/memory.limit_in_bytes"), "67108864");
  EXPECT_EQ(memory.text("mimeo/c/memory.memsw.limit_in_bytes"), "67108864");
  EXPECT_EQ(rest.text("mimeo/c/cpu.cfs_quota_us"), "50000");
  EXPECT_EQ(rest.text("mimeo/c/pids.max"), "");
  memory.write("mimeo/c/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  EXPECT_TRUE(cgroups->was_out_of_memory("mimeo/c"));
}

TEST(Cgroups, AMachineWithBothHasEachControllerOnce) {
  const FakeHierarchy unified("memory");
  const FakeHierarchy one("");
  const std::string both = one.mount("cgroup", "rw,cpu") + one.mount("cgroup", "rw,pids") +
                           unified.mount("cgroup2", "rw");
  EXPECT_TRUE(Cgroups::find_in(both).ok());
  const Status without = Cgroups::find_in(one.mount("cgroup", "rw,cpu")).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(without));
  EXPECT_NE(without.message().find("memory, pids"), std::string::npos) << without;
}

// The machine's own, as root.
TEST(Cgroups, ARemovedGroupTakesItsProcessesWithIt) {
  const auto cgroups = Cgroups::find();
  if (!cgroups.ok()) GTEST_SKIP() << cgroups.status();
  const std::string parent = "mimeo-test-" + std::to_string(::getpid());
  const std::string group = parent + "/one";
  if (const Status made = cgroups->make(group, {64_MiB, 1000, 16}); !made.ok()) {
    GTEST_SKIP() << made;
  }
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  EXPECT_TRUE(cgroups->add(group, pid).ok());
  EXPECT_EQ(cgroups->children(parent), std::vector<std::string>{group});
  const Status removed = cgroups->remove(group);
  EXPECT_TRUE(removed.ok()) << removed;
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_TRUE(cgroups->children(parent).empty());
  EXPECT_TRUE(cgroups->remove(group).ok()) << "removing it again";
}

}  // namespace
}  // namespace mimeo::worker
