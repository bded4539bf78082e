#include "common/telemetry/metrics.h"

#include <gtest/gtest.h>

namespace mimeo {
namespace {

TEST(Metrics, TheSameNameAndLabelsGiveTheSameMetric) {
  Metrics metrics;
  metrics.counter("mimeo_test_things_total", "Things.", {{"kind", "a"}}).Increment();
  metrics.counter("mimeo_test_things_total", "Things.", {{"kind", "a"}}).Increment();
  metrics.counter("mimeo_test_things_total", "Things.", {{"kind", "b"}}).Increment();
  const std::string text = metrics.serialize();
  EXPECT_NE(text.find("# HELP mimeo_test_things_total Things."), std::string::npos) << text;
  EXPECT_NE(text.find("mimeo_test_things_total{kind=\"a\"} 2"), std::string::npos) << text;
  EXPECT_NE(text.find("mimeo_test_things_total{kind=\"b\"} 1"), std::string::npos) << text;
}

TEST(Metrics, HistogramsCoverLatenciesByDefaultAndTakeOwnBuckets) {
  Metrics metrics;
  metrics.histogram("mimeo_test_wait_seconds", "Waits.").Observe(0.002);
  metrics.histogram("mimeo_test_batch_items", "Sizes.", {}, {1, 8}).Observe(4);
  const std::string text = metrics.serialize();
  EXPECT_NE(text.find("mimeo_test_wait_seconds_bucket{le=\"0.0025\"} 1"), std::string::npos)
      << text;
  EXPECT_NE(text.find("mimeo_test_batch_items_bucket{le=\"8\"} 1"), std::string::npos) << text;
  EXPECT_NE(text.find("mimeo_test_batch_items_bucket{le=\"1\"} 0"), std::string::npos) << text;
}

}  // namespace
}  // namespace mimeo
