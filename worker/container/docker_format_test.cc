#include "worker/container/docker_format.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mimeo::worker {
namespace {

using nlohmann::json;

const json kImage{
    {"Config",
     {{"Entrypoint", {"/sbin/tini", "--"}}, {"Cmd", {"python", "-m", "cog.server.http"}}}}};

ContainerSpec spec() {
  ContainerSpec spec;
  spec.instance = *Uuid::parse("01hzyyyyyyyyyyyyyyyyyyyyyy");
  spec.image = {"127.0.0.1:5000", "alice/hello", "sha256:" + std::string(64, 'a')};
  spec.env = {{"PORT", "5000"}};
  spec.cog_arguments = {"--x-mode", "train"};
  spec.resources.cpu_milli = 1500;
  spec.resources.memory = 1_GiB;
  return spec;
}

TEST(DockerFormat, AContainerIsLockedDown) {
  const json body = create_body(spec(), kImage, {});
  const json& host = body["HostConfig"];
  EXPECT_EQ(body["Image"], spec().image.reference());
  EXPECT_EQ(body["Labels"]["mimeo.instance"], spec().instance.str());
  EXPECT_EQ(host["NetworkMode"], "none");
  EXPECT_EQ(host["CapDrop"], json({"ALL"}));
  EXPECT_EQ(host["SecurityOpt"], json({"no-new-privileges:true"}));
  EXPECT_EQ(host["Memory"], host["MemorySwap"]);
  EXPECT_EQ(host["NanoCpus"], 1'500'000'000);
  EXPECT_EQ(host["PidsLimit"], 512);
  EXPECT_EQ(host["Init"], true);
  EXPECT_EQ(host["Tmpfs"]["/tmp"], "rw,exec,nosuid,nodev,mode=1777,size=1073741824");
  EXPECT_FALSE(host.contains("PortBindings"));
  EXPECT_FALSE(host.contains("Binds"));
}

TEST(DockerFormat, OnlyACogServerGetsItsArguments) {
  EXPECT_EQ(create_body(spec(), kImage, {})["Cmd"],
            json({"python", "-m", "cog.server.http", "--x-mode", "train"}));
  const json other{{"Config", {{"Cmd", {"/server"}}}}};
  EXPECT_FALSE(create_body(spec(), other, {}).contains("Cmd"));
}

TEST(DockerFormat, ReadsWhatIsRunningAndHowItEnded) {
  json container{{"Id", "abc"},
                 {"LogPath", "/l"},
                 {"Config", {{"Labels", {{"mimeo.instance", spec().instance.str()}}}}},
                 {"State", {{"Status", "running"}, {"Pid", 42}}}};
  const auto running = parse_inspect(container);
  ASSERT_TRUE(running.ok());
  EXPECT_EQ(running->phase, ContainerPhase::kRunning);
  EXPECT_EQ(running->pid, 42U);
  EXPECT_EQ(running->instance, spec().instance);
  EXPECT_EQ(running->log_path, "/l");
  container["State"] = {{"Status", "exited"}, {"ExitCode", 137}, {"OOMKilled", true}};
  const auto ended = parse_inspect(container);
  ASSERT_TRUE(ended.ok() && ended->exit);
  EXPECT_EQ(ended->exit->describe(2_GiB), "ran out of memory (limit 2 GiB)");
  EXPECT_FALSE(parse_inspect(json::object()).ok());
}

TEST(DockerFormat, TellsImagesOfARegistryFromOthers) {
  const auto images = parse_images(json::parse(R"([
    {"Size":5,"RepoDigests":["127.0.0.1:5000/a/b@sha256:1","python@sha256:2"]},
    {"Size":6,"RepoDigests":null}])"));
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images[0].name, (ImageName{"127.0.0.1:5000", "a/b", "sha256:1"}));
  EXPECT_EQ(images[0].size, Bytes{5});
}

TEST(DockerFormat, TakesTheFramesOffLogs) {
  const std::string framed =
      std::string("\1\0\0\0\0\0\0\3ab\n", 11) + std::string("\2\0\0\0\0\0\0\2c\n", 10);
  EXPECT_EQ(unframe_logs(framed), "ab\nc\n");
  EXPECT_EQ(unframe_logs(std::string("\1\0\0\0\0\0\0\7ab", 10)), "ab");
}

TEST(PullTracker, AddsUpTheLayers) {
  PullTracker tracker;
  EXPECT_TRUE(tracker.feed(R"({"status":"Pulling from a/b","id":"sha256:1"})").ok());
  EXPECT_TRUE(tracker.feed(R"({"status":"Pulling fs layer","progressDetail":{},"id":"l1"})").ok());
  EXPECT_TRUE(tracker.feed(R"({"status":"Already exists","progressDetail":{},"id":"l2"})").ok());
  EXPECT_TRUE(
      tracker
          .feed(R"({"status":"Downloading","progressDetail":{"current":40,"total":100},"id":"l1"})")
          .ok());
  EXPECT_EQ(tracker.progress().done_bytes, 40U);
  EXPECT_EQ(tracker.progress().total_bytes, 100U);
  EXPECT_FALSE(tracker.progress().is_extracting);
  EXPECT_TRUE(tracker.feed(R"({"status":"Download complete","progressDetail":{},"id":"l1"})").ok());
  EXPECT_TRUE(tracker.progress().is_extracting);
}

TEST(PullTracker, FindsErrorsInTheStream) {
  PullTracker tracker;
  EXPECT_TRUE(tracker.feed("").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(tracker.feed(R"({"error":"unauthorized: no"})")));
  EXPECT_TRUE(absl::IsNotFound(tracker.feed(R"({"error":"manifest unknown"})")));
}

TEST(LastLines, EndAtTheLastLine) {
  EXPECT_EQ(last_lines("a\nb\nc\n", 2), "b\nc\n");
  EXPECT_EQ(last_lines("a\nb", 5), "a\nb");
  EXPECT_EQ(last_lines("", 5), "");
}

}  // namespace
}  // namespace mimeo::worker
