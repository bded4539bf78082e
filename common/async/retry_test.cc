#include "common/async/retry.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <optional>

#include "common/async/task_group.h"

namespace mimeo {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

asio::awaitable<Status> next(std::deque<Status>* script) {
  Status status = script->front();
  if (script->size() > 1) script->pop_front();
  co_return status;
}
asio::awaitable<void> run(RetryPolicyOptions options, Random* random, std::deque<Status>* script,
                          std::optional<Status>* result) {
  std::function<asio::awaitable<Status>()> operation = [script] { return next(script); };
  *result = co_await retry(options, random, std::move(operation));
}

class RetryTest : public testing::Test {
 protected:
  Status run_script(std::deque<Status> script, std::chrono::milliseconds total) {
    std::optional<Status> result;
    RetryPolicyOptions options;
    options.first = 1ms;
    options.longest = 2ms;
    options.total = total;
    group_.spawn("retry", run(options, &random_, &script, &result));
    io_.run();
    return *result;
  }
  SeededRandom random_{7};
  asio::io_context io_;
  TaskGroup group_{io_.get_executor()};
};

TEST_F(RetryTest, TriesAgainWhenUnavailableOrAborted) {
  EXPECT_TRUE(
      run_script({absl::UnavailableError(""), absl::AbortedError(""), absl::OkStatus()}, 1h).ok());
}

TEST_F(RetryTest, GivesOtherErrorsBackAtOnce) {
  EXPECT_EQ(
      run_script({absl::UnavailableError(""), absl::InternalError("bug"), absl::OkStatus()}, 1h),
      absl::InternalError("bug"));
}

TEST_F(RetryTest, EndsWithTheLastStatusWhenTheTimeIsOver) {
  EXPECT_EQ(run_script({absl::UnavailableError("still down")}, 20ms),
            absl::UnavailableError("still down"));
}

asio::awaitable<void> run_waiting(RetryPolicyOptions options, Random* random,
                                  std::deque<Status>* script, std::optional<Status>* result) {
  std::function<asio::awaitable<Status>()> operation = [script] { return next(script); };
  std::function<std::chrono::milliseconds()> waited = [] { return std::chrono::hours{1}; };
  *result = co_await retry(options, random, std::move(operation), std::move(waited));
}

TEST_F(RetryTest, WaitingForItsTurnDoesNotCount) {
  std::deque<Status> script{absl::UnavailableError(""), absl::UnavailableError(""),
                            absl::OkStatus()};
  std::optional<Status> result;
  RetryPolicyOptions options;
  options.first = options.longest = 1ms;
  options.total = 0ms;
  group_.spawn("retry", run_waiting(options, &random_, &script, &result));
  io_.run();
  EXPECT_TRUE(result->ok()) << *result;
}

TEST(Backoff, GrowsToItsLongestAndNeverBeyond) {
  SeededRandom random(3);
  RetryPolicyOptions options;
  std::chrono::milliseconds highest_first{0};
  std::chrono::milliseconds highest_late{0};
  for (int i = 0; i < 2000; ++i) {
    highest_first = std::max(highest_first, backoff(options, 0, random));
    highest_late = std::max(highest_late, backoff(options, 1000, random));
  }
  EXPECT_LE(highest_first, 50ms);
  EXPECT_GT(highest_first, 40ms);
  EXPECT_LE(highest_late, 2000ms);
  EXPECT_GT(highest_late, 1900ms);
}

}  // namespace
}  // namespace mimeo
