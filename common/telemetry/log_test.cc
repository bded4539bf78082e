#include "common/telemetry/log.h"

#include <gtest/gtest.h>

#include "common/telemetry/log_format.h"

namespace mimeo::log {
namespace {

LogLine line(std::string_view message) {
  return {"2026-03-01T12:00:00.000000Z", "info", "worker", message};
}

TEST(LogFormat, TextIsOneLinePerEventWhateverIsLogged) {
  EXPECT_EQ(format_text(line("pulled image=\"a\nb\x1b[31m\"")),
            "2026-03-01T12:00:00.000000Z info worker pulled image=\"a\\nb\\u001b[31m\"\n");
}

TEST(LogFormat, JsonTurnsTrailingPairsIntoMembers) {
  EXPECT_EQ(format_json(line("instance is ready instance=0f3 detail=\"took 3 s\"")),
            R"({"time":"2026-03-01T12:00:00.000000Z","level":"info","component":"worker",)"
            R"("message":"instance is ready","instance":"0f3","detail":"took 3 s"})"
            "\n");
}

TEST(LogFormat, JsonKeepsAMessageWithoutPairsWhole) {
  EXPECT_EQ(format_json(line("1 + 1 = 2, said \"he\"")),
            R"({"time":"2026-03-01T12:00:00.000000Z","level":"info","component":"worker",)"
            R"("message":"1 + 1 = 2, said \"he\""})"
            "\n");
}

TEST(LogFormat, JsonStaysValidWithBrokenUtf8AndReservedKeys) {
  EXPECT_EQ(format_json(line("bad \xff\xc3\xa4 level=high")),
            R"({"time":"2026-03-01T12:00:00.000000Z","level":"info","component":"worker",)"
            "\"message\":\"bad \\ufffd\xc3\xa4\",\"level_\":\"high\"}\n");
}

TEST(LogInit, NamesTheBadOption) {
  LogOptions options;
  options.level = "loud";
  EXPECT_EQ(init(options).message(), "log level \"loud\": use debug, info, warning or error");
  options.level = "info";
  options.format = "xml";
  EXPECT_EQ(init(options).message(), "log format \"xml\": use text or json");
}

TEST(LogInit, WritesToStderrFromTheGivenLevelOn) {
  LogOptions options;
  options.level = "warning";
  options.component = "scheduler";
  testing::internal::CaptureStderr();
  ASSERT_TRUE(init(options).ok());
  info("not shown");
  warn("cell is slow cell={}", 3);
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_EQ(out.find("not shown"), std::string::npos);
  EXPECT_NE(out.find(" warning scheduler cell is slow cell=3\n"), std::string::npos) << out;
}

}  // namespace
}  // namespace mimeo::log
