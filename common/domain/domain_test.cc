#include <gtest/gtest.h>

#include "common/domain/names.h"
#include "common/domain/prediction.h"

namespace mimeo {
namespace {

TEST(Names, FollowTheRulesOfAnImageRepository) {
  for (const char* good : {"a", "hello-world", "a.b_c-1", "0"})
    EXPECT_TRUE(check_name(good).ok()) << good;
  for (const char* bad : {"", "A", "-a", "a-", "a--b", "a..b", "a/b", "a b", "../x", "é"}) {
    EXPECT_FALSE(check_name(bad).ok()) << bad;
  }
  EXPECT_FALSE(check_name(std::string(129, 'a')).ok());
  EXPECT_TRUE(split_model_name("acme/hello").ok());
  EXPECT_FALSE(split_model_name("acme").ok());
  EXPECT_FALSE(split_model_name("acme/hello/x").ok());
}

TEST(PredictionStatus, NeverRegressesAfterARetry) {
  EXPECT_EQ(public_status(ActiveState::kQueued, false), PredictionStatus::kStarting);
  EXPECT_EQ(public_status(ActiveState::kQueued, true), PredictionStatus::kProcessing);
  EXPECT_EQ(public_status(ActiveState::kProcessing, false), PredictionStatus::kProcessing);
}

TEST(PredictionStatus, WordsReadBack) {
  for (int i = 1; i <= 6; ++i) {
    const auto status = static_cast<PredictionStatus>(i);
    EXPECT_EQ(parse_prediction_status(to_string(status)).value(), status);
  }
  EXPECT_FALSE(parse_prediction_status("").ok());
}

}  // namespace
}  // namespace mimeo
