// What waits on disk and in memory: events, results, frames; and the config.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "worker/shim/config.h"
#include "worker/shim/event_spool.h"
#include "worker/shim/frames.h"
#include "worker/shim/result_spool.h"

namespace mimeo::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

std::ptrdiff_t entries_of(const std::string& directory) {
  return std::distance(std::filesystem::directory_iterator(directory), {});
}

std::ptrdiff_t open_descriptors() { return entries_of("/proc/self/fd"); }

class SpoolTest : public ::testing::Test {
 protected:
  SpoolTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mimeo-spool-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(directory_ + "/results");
  }
  ~SpoolTest() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::ptrdiff_t files() const { return entries_of(directory_ + "/results"); }
  std::string directory_;
};

TEST_F(SpoolTest, NumbersEventsFromOneAndGivesThemBack) {
  EventSpool spool(directory_ + "/events", 1000);
  EXPECT_EQ(spool.last_seq(), 0U);
  EXPECT_EQ(spool.append(SpooledKind::kStarted, 0, ""), 1U);
  EXPECT_EQ(spool.append(SpooledKind::kOutput, 5, "1"), 2U);
  EXPECT_EQ(spool.read(2)->data, "1");
  EXPECT_EQ(spool.read(2)->since_start_ms, 5U);
  EXPECT_TRUE(absl::IsNotFound(spool.read(3).status()));
}

TEST_F(SpoolTest, JoinsLogsThatNobodyHasReadYet) {
  EventSpool spool(directory_ + "/events", 1000);
  EXPECT_EQ(spool.append(SpooledKind::kLog, 0, "a"), 1U);
  EXPECT_EQ(spool.append(SpooledKind::kLog, 0, "b"), 1U);
  EXPECT_EQ(spool.read(1)->data, "ab");
  EXPECT_EQ(spool.append(SpooledKind::kLog, 0, "c"), 2U) << "what was read may not change";
}

TEST_F(SpoolTest, KeepsOrderAndContentWhenItOverflowsIntoItsFile) {
  EventSpool spool(directory_ + "/events", 100);
  for (int i = 1; i <= 50; ++i) spool.append(SpooledKind::kOutput, 0, std::to_string(i) + "....");
  EXPECT_TRUE(spool.uses_file());
  EXPECT_LE(spool.memory_used(), 100U);
  for (int i = 1; i <= 50; ++i) {
    EXPECT_EQ(spool.read(static_cast<std::uint64_t>(i))->data, std::to_string(i) + "....");
  }
  spool.drop_through(49);
  EXPECT_EQ(spool.first_seq(), 50U);
  EXPECT_EQ(spool.read(50)->data, "50....");
  spool.drop_through(50);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/events"));
  EXPECT_EQ(spool.append(SpooledKind::kOutput, 0, "51"), 51U);
}

TEST_F(SpoolTest, AFullDiskLosesNoEvent) {
  EventSpool spool("/nowhere/at/all", 10);
  for (int i = 0; i < 5; ++i) spool.append(SpooledKind::kOutput, 0, "0123456789");
  EXPECT_EQ(spool.read(5)->data, "0123456789");
}

TEST_F(SpoolTest, HoldsEachResultUntilItIsDropped) {
  const std::string binary("a\0b", 3);
  const std::string large(100'000, 'x');
  {
    ResultSpool results(directory_);
    ASSERT_TRUE(results.put("p1-1", binary).ok());
    ASSERT_TRUE(results.put("p2-1", large).ok());
    EXPECT_THAT(read_results(directory_), UnorderedElementsAre(binary, large));
    results.drop("p2-1");
    results.drop("p2-1");
    EXPECT_THAT(read_results(directory_), ElementsAre(binary));
  }
  EXPECT_THAT(read_results(directory_), ElementsAre(binary)) << "it outlives the shim";
  erase_result(directory_, "p2-1");
  EXPECT_EQ(read_results(directory_).size(), 1U);
  erase_result(directory_, "p1-1");
  EXPECT_TRUE(read_results(directory_).empty());
}

TEST_F(SpoolTest, AFileIsUsedAgainAndShowsNothingOfItsLastResult) {
  ResultSpool results(directory_);
  ASSERT_TRUE(results.put("p1-1", "a rather long result").ok());
  results.drop("p1-1");
  EXPECT_TRUE(read_results(directory_).empty());
  ASSERT_TRUE(results.put("p2-1", "short").ok());
  EXPECT_THAT(read_results(directory_), ElementsAre("short"));
  EXPECT_EQ(files(), 1);
}

TEST_F(SpoolTest, ManyResultsNeedFewDescriptors) {
  ResultSpool results(directory_);
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(results.put(std::to_string(i), "result").ok());
  EXPECT_EQ(read_results(directory_).size(), 400U);
  EXPECT_LT(open_descriptors(), 350);
  for (int i = 0; i < 400; ++i) results.drop(std::to_string(i));
  EXPECT_TRUE(read_results(directory_).empty());
  EXPECT_LE(files(), 64) << "what one burst needed is not kept for ever";
}

TEST_F(SpoolTest, TornResultsAreLeftOut) {
  {
    ResultSpool results(directory_);
    ASSERT_TRUE(results.put("p1-1", "whole").ok());
  }
  std::filesystem::resize_file(directory_ + "/results/0", 20);
  std::ofstream(directory_ + "/results/1") << "x";
  EXPECT_TRUE(read_results(directory_).empty());
  ResultSpool next(directory_);
  ASSERT_TRUE(next.put("p2-1", "new").ok()) << "what is there already is not overwritten";
  EXPECT_THAT(read_results(directory_), ElementsAre("new"));
  EXPECT_EQ(files(), 3);
}

TEST(ResultSpool, SaysWhenTheDiskDoesNotTakeIt) {
  EXPECT_TRUE(read_results("/nowhere").empty());
  ResultSpool results("/nowhere/at/all");
  EXPECT_FALSE(results.put("p1-1", "x").ok());
  EXPECT_EQ(results.size(), 0U);
}

TEST(Frames, ArriveHoweverTheyAreCut) {
  ToShim message;
  message.mutable_shutdown()->set_grace_ms(7);
  std::string bytes;
  append_message_frame(bytes, message);
  append_message_frame(bytes, message);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameSplitter splitter;
    int got = 0;
    for (const std::string& piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
      splitter.feed(piece);
      for (auto frame = splitter.next(); frame->has_value(); frame = splitter.next()) {
        ToShim parsed;
        ASSERT_TRUE(parsed.ParseFromString(**frame));
        EXPECT_EQ(parsed.shutdown().grace_ms(), 7U);
        ++got;
      }
    }
    EXPECT_EQ(got, 2) << cut;
  }
}

TEST(Frames, AnImpossibleLengthIsAnError) {
  FrameSplitter splitter;
  splitter.feed("\xFF\xFF\xFF\xFF");
  EXPECT_TRUE(absl::IsInvalidArgument(splitter.next().status()));
}

TEST(Config, IsReadFromJsonAndFromText) {
  const auto json =
      parse_shim_config(R"({"instanceId":"i","socketPath":"/s","spoolDir":"/d","containerPid":7})");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->container_pid(), 7U);
  EXPECT_EQ(json->container_port(), 5000U);
  const auto text = parse_shim_config(
      "instance_id: 'i' socket_path: '/s' spool_dir: '/d' container_addr: 'localhost:80'");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->unhealthy_limit_ms(), 30'000U);
}

TEST(Config, NamesTheFieldThatIsWrong) {
  const auto message = [](const std::string& text) {
    return std::string(parse_shim_config(text).status().message());
  };
  const std::string most = "instance_id: 'i' socket_path: '/s' spool_dir: '/d' ";
  EXPECT_NE(message("socket_path: '/s'").find("instance_id"), std::string::npos);
  EXPECT_NE(message(most).find("container_pid"), std::string::npos);
  EXPECT_NE(message(most + "container_addr: 'nowhere'").find("container_addr"), std::string::npos);
  EXPECT_NE(message(most + "container_pid: 1 gateway_secret: 'a/b'").find("gateway_secret"),
            std::string::npos);
}

}  // namespace
}  // namespace mimeo::worker
