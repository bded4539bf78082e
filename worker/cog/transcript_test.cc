#include "worker/cog/transcript.h"

#include <gtest/gtest.h>

namespace mimeo::worker::cog {
namespace {

class RecordedEvents final : public RunEvents {
 public:
  void on_started(std::chrono::microseconds /*ago*/) override { started += 1; }
  void on_output(std::string item_json) override { outputs += item_json + " "; }
  void on_log(std::string text) override { logs += text; }
  void on_metric(std::string object_json) override { metrics += object_json + " "; }
  void on_too_large() override { too_large += 1; }

  int started = 0;
  int too_large = 0;
  std::string outputs;
  std::string logs;
  std::string metrics;
};

class TranscriptTest : public ::testing::Test {
 protected:
  Transcript make(OutputShape shape, TranscriptLimits limits = {}) {
    return Transcript(shape, limits, {}, events_);
  }
  static Json json(const char* text) { return Json::parse(text); }
  RecordedEvents events_;
};

TEST_F(TranscriptTest, SnapshotsInAnyOrderGiveEveryItemAndLineOnce) {
  Transcript transcript = make(OutputShape::kIterator);
  transcript.snapshot(json(R"({"logs":"a\nb\n","output":[1,2]})"));
  transcript.snapshot(json(R"({"logs":"a\n","output":[1]})"));
  transcript.snapshot(json(R"({"logs":"a\nb\n","output":[1,2]})"));
  const RunEnd end =
      transcript.finish(json(R"({"status":"succeeded","logs":"a\nb\nc\n","output":[1,2,3]})"));
  EXPECT_EQ(events_.outputs, "1 2 3 ");
  EXPECT_EQ(events_.logs, "a\nb\nc\n");
  EXPECT_EQ(end.output, "[1,2,3]");
  EXPECT_EQ(end.logs, "a\nb\nc\n");
}

TEST_F(TranscriptTest, AScalarModelsListOfOneIsNoOutputYet) {
  Transcript transcript = make(OutputShape::kValue);
  transcript.snapshot(json(R"({"output":["draft"]})"));
  const RunEnd end = transcript.finish(json(R"({"status":"succeeded","output":"draft"})"));
  EXPECT_EQ(events_.outputs, "");
  EXPECT_EQ(end.output, R"("draft")");
}

TEST_F(TranscriptTest, AReplayedStreamRepeatsNothing) {
  Transcript transcript = make(OutputShape::kIterator);
  transcript.item(0, "a");
  transcript.log("one\n");
  transcript.metric("tokens", 1, "increment");
  transcript.rewind();
  transcript.item(0, "a");
  transcript.log("one\ntwo\n");
  transcript.metric("tokens", 1, "increment");
  transcript.item(1, "b");
  EXPECT_EQ(events_.outputs, R"("a" "b" )");
  EXPECT_EQ(events_.logs, "one\ntwo\n");
  EXPECT_EQ(events_.metrics, R"({"tokens":1} {"tokens":1} )");
}

TEST_F(TranscriptTest, MetricsAddUpAsTheServerCountsThem) {
  Transcript transcript = make(OutputShape::kValue);
  transcript.metric("tokens", 2, "increment");
  transcript.metric("tokens", 3, "increment");
  transcript.metric("timing.load", 0.5, "replace");
  transcript.metric("steps", "x", "append");
  EXPECT_EQ(events_.metrics,
            R"({"tokens":2} {"tokens":5} {"timing":{"load":0.5}} {"steps":["x"]} )");
}

TEST_F(TranscriptTest, AFailureKeepsTheItemsThatArrived) {
  Transcript transcript = make(OutputShape::kIterator);
  transcript.item(0, "a");
  const RunEnd end = transcript.finish(
      json(R"({"status":"failed","error":"Prediction failed: Prediction failed: E: x"})"));
  EXPECT_EQ(end.status, RunStatus::kFailed);
  EXPECT_EQ(end.output, R"(["a"])");
  EXPECT_EQ(end.error, "E: x");
}

TEST_F(TranscriptTest, TooMuchOutputFailsTheRunAndSaysSoOnce) {
  TranscriptLimits limits;
  limits.output_bytes = 1000;
  Transcript transcript = make(OutputShape::kIterator, limits);
  transcript.item(0, std::string(600, 'x'));
  transcript.item(1, std::string(600, 'x'));
  transcript.item(2, std::string(600, 'x'));
  EXPECT_EQ(events_.too_large, 1);
  const RunEnd end = transcript.finish(json(R"({"status":"canceled"})"));
  EXPECT_EQ(end.status, RunStatus::kFailed);
  EXPECT_TRUE(end.error.starts_with("output too large")) << end.error;
  EXPECT_EQ(end.output, "");
}

TEST_F(TranscriptTest, ALongLogKeepsItsHeadAndItsTail) {
  TranscriptLimits limits;
  limits.log_bytes = 20;
  Transcript transcript = make(OutputShape::kValue, limits);
  transcript.log("0123456789");
  transcript.log(std::string(100, '-'));
  transcript.log("abcdefghij");
  const RunEnd end = transcript.finish(json(R"({"status":"succeeded"})"));
  EXPECT_EQ(end.logs, "0123456789\n[... 100 bytes of log left out ...]\nabcdefghij");
  EXPECT_EQ(events_.logs, end.logs) << "whoever follows sees the same";
}

TEST_F(TranscriptTest, AnotherSourcesLogAddsOnlyWhatIsNew) {
  Transcript transcript = make(OutputShape::kValue);
  transcript.log("  step 1\n\n");
  transcript.log_again("step 1\nstep 2\n");
  EXPECT_EQ(events_.logs, "  step 1\n\nstep 2\n");
}

// What three steps of a progress bar look like; then lines of a program from elsewhere.
constexpr std::string_view kBars =
    "before\n\r  0%|    | 0/2\r 50%|##  | 1/2\r100%|####| 2/2\n\nwin\r\nold\r\r\n\r\nend\r";
constexpr std::string_view kLines =
    "before\n  0%|    | 0/2\n 50%|##  | 1/2\n100%|####| 2/2\n\nwin\nold\n\nend\n";

TEST_F(TranscriptTest, EachStepOfAProgressBarIsALineHoweverTheLogIsCut) {
  for (std::size_t first = 0; first <= kBars.size(); ++first) {
    for (std::size_t second = first; second <= kBars.size(); ++second) {
      events_ = RecordedEvents();
      Transcript transcript = make(OutputShape::kValue);
      transcript.log(kBars.substr(0, first));
      transcript.log(kBars.substr(first, second - first));
      transcript.log(kBars.substr(second));
      const RunEnd end = transcript.finish(json(R"({"status":"succeeded"})"));
      ASSERT_EQ(end.logs, kLines) << first << " " << second;
      ASSERT_EQ(events_.logs, end.logs) << "whoever follows sees the same";
    }
  }
}

TEST_F(TranscriptTest, RepeatsAreCountedAsTheServerWroteThem) {
  for (std::size_t cut = 0; cut <= kBars.size(); ++cut) {
    events_ = RecordedEvents();
    Transcript transcript = make(OutputShape::kValue);
    transcript.log(kBars.substr(0, cut));
    transcript.rewind();
    transcript.log(kBars);
    Json whole = Json::object();
    whole["logs"] = std::string(kBars) + "more\r";
    transcript.snapshot(whole);
    ASSERT_EQ(events_.logs, std::string(kLines) + "more\n") << cut;
  }
}

TEST_F(TranscriptTest, BytesThatAreNoTextDoNoHarm) {
  Transcript transcript = make(OutputShape::kValue);
  const RunEnd end = transcript.finish(json(R"({"status":"succeeded","output":"\u00e9"})"));
  EXPECT_EQ(end.output, "\"\xC3\xA9\"");
  EXPECT_EQ(to_valid_utf8("a\xFF\xC3"), "a\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(utf8_prefix("\xC3\xA9", 1), "");
  EXPECT_EQ(utf8_suffix("a\xC3\xA9", 1), "");
}

TEST(CleanError, LeavesTheModelsOwnWords) {
  EXPECT_EQ(clean_error("Prediction failed: Prediction failed: ValueError: boom"),
            "ValueError: boom");
  EXPECT_EQ(clean_error("Prediction failed: Async prediction failed: x"), "x");
  EXPECT_EQ(clean_error("Training failed: x"), "x");
  EXPECT_EQ(clean_error("Prediction failed: Generator iteration error: ValueError: boom"),
            "ValueError: boom");
  EXPECT_EQ(clean_error("Prediction failed: "), "Prediction failed: ");
  EXPECT_EQ(clean_error("plain"), "plain");
}

TEST(RejectionText, ReadsEveryServersWayToRefuse) {
  EXPECT_EQ(rejection_text(422, R"({"detail":[{"loc":["body","input","n"],"msg":"too large"},)"
                                R"({"loc":["body","input","__root__"],"msg":"odd"}]})"),
            "n: too large; odd");
  EXPECT_EQ(rejection_text(500, R"({"detail":"1 validation error"})"), "1 validation error");
  EXPECT_EQ(rejection_text(503, R"({"error":"not yet","status":"failed"})"), "not yet");
  EXPECT_EQ(rejection_text(400, "bad JSON\n"), "the model server answered 400: bad JSON");
  EXPECT_EQ(rejection_text(413, ""), "the model server answered 413");
}

}  // namespace
}  // namespace mimeo::worker::cog
