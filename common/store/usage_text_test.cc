#include "common/store/usage_text.h"

#include <gtest/gtest.h>

namespace mimeo::store {
namespace {

using std::chrono::milliseconds;

TEST(UsageText, GroupsAreNamedInAnyOrder) {
  const auto by = parse_usage_grouping("model,hour,kind");
  ASSERT_TRUE(by.ok()) << by.status();
  EXPECT_EQ(by->step, UsageStep::kHour);
  EXPECT_TRUE(by->by_model);
  EXPECT_TRUE(by->by_kind);
  EXPECT_FALSE(by->by_deployment);
}

TEST(UsageText, SaysWhatIsWrongWithGroups) {
  for (const char* wrong : {"", "week", "day,", "day, model", "hour,day", "day,day"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(parse_usage_grouping(wrong).status())) << wrong;
  }
}

TEST(UsageText, NamesEveryGroup) {
  const std::string message(parse_usage_grouping("week").status().message());
  for (const char* word :
       {"hour", "day", "month", "account", "hardware", "model", "deployment", "kind"}) {
    EXPECT_NE(message.find(word), std::string::npos) << message;
  }
}

TEST(UsageText, SumsStopAtTheHighestNumber) {
  UsageSums sums;
  sums.amount.active = std::numeric_limits<std::int64_t>::max() - 1;
  UsageSums more;
  more.amount = {1, 2, 3};
  more.time.idle = milliseconds{4};
  sums += more;
  sums += more;
  EXPECT_EQ(sums.amount.active, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(sums.amount.total(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(sums.amount.idle, 4);
  EXPECT_EQ(sums.time.total(), milliseconds{8});
}

TEST(UsageText, LinesHaveTheColumnsOfTheHeader) {
  UsageGrouping by;
  by.step = UsageStep::kDay;
  by.by_hardware = by.by_deployment = by.by_kind = true;
  UsageLine line;
  line.begin = WallTime{std::chrono::seconds{1'700'006'400}};
  line.sku = "gpu \"a\", large";
  line.kind = UsageKind::kPublicModel;
  line.time = {milliseconds{1}, milliseconds{2}, milliseconds{3}};
  line.amount = {10, 20, 30};
  line.predictions = 4;
  line.ran = milliseconds{5};
  std::string text = usage_csv_header(by);
  append_usage_csv(text, line, by);
  EXPECT_EQ(
      text,
      "begin,hardware,deployment,kind,setup_ms,idle_ms,active_ms,setup_nanos,idle_nanos,"
      "active_nanos,amount_nanos,predictions,run_ms\r\n"
      "2023-11-15T00:00:00.000000Z,\"gpu \"\"a\"\", large\",,public_model,1,2,3,10,20,30,60,4,"
      "5\r\n");
}

TEST(UsageText, APredictionIsALine) {
  PredictionUsage usage;
  usage.created_at = usage.completed_at = WallTime{std::chrono::seconds{1'700'006'400}};
  usage.model = "acme/hello";
  usage.sku = "cpu";
  usage.ran = milliseconds{120};
  usage.is_charged = true;
  usage.amount = 12'000;
  std::string text;
  append_prediction_csv(text, usage);
  EXPECT_EQ(text, usage.id.str() +
                      ",2023-11-15T00:00:00.000000Z,,2023-11-15T00:00:00.000000Z,succeeded,false,"
                      "acme/hello,,cpu,120,true,12000\r\n");
}

}  // namespace
}  // namespace mimeo::store
