#include "common/async/task_group.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <optional>
#include <stdexcept>
#include <thread>

#include "common/async/signal_event.h"

namespace mimeo {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

asio::awaitable<void> sleep_until_cancelled(bool* was_cancelled) {
  *was_cancelled = !co_await sleep_for(1h);
}
asio::awaitable<void> loop_until_cancelled(int* rounds) {
  int& count = *rounds;  // GCC 12: a co_await in a condition needs a variable in this block.
  while (co_await sleep_for(0ms)) ++count;
}
asio::awaitable<void> fail() {
  co_await sleep_for(0ms);
  throw std::runtime_error("out of paper");
}
asio::awaitable<void> wait_event(SignalEvent* event, std::chrono::milliseconds limit,
                                 std::optional<bool>* result) {
  *result = co_await event->wait_for(limit);
}
asio::awaitable<void> wait_group(TaskGroup* group, std::chrono::milliseconds limit,
                                 std::optional<Status>* result) {
  *result = co_await group->wait(limit);
}

class TaskGroupTest : public testing::Test {
 protected:
  asio::io_context io_;
  TaskGroup group_{io_.get_executor()};
  TaskGroup waiters_{io_.get_executor()};
};

TEST_F(TaskGroupTest, CancelEndsEveryTaskAndWaitSeesIt) {
  bool first = false;
  bool second = false;
  std::optional<Status> waited;
  group_.spawn("first", sleep_until_cancelled(&first));
  group_.spawn("second", sleep_until_cancelled(&second));
  waiters_.spawn("wait", wait_group(&group_, 1h, &waited));
  io_.poll();
  EXPECT_EQ(group_.size(), 2U);
  EXPECT_FALSE(waited);

  std::thread(&TaskGroup::cancel, &group_).join();
  io_.run();
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  ASSERT_TRUE(waited);
  EXPECT_TRUE(waited->ok());
  EXPECT_EQ(group_.size(), 0U);
}

TEST_F(TaskGroupTest, NothingStartsAfterCancel) {
  group_.cancel();
  io_.run();
  bool was_cancelled = false;
  group_.spawn("late", sleep_until_cancelled(&was_cancelled));
  EXPECT_EQ(group_.size(), 0U);
}

TEST_F(TaskGroupTest, AnExceptionEndsOnlyItsTaskAndIsLogged) {
  bool other = false;
  group_.spawn("printer", fail());
  group_.spawn("other", sleep_until_cancelled(&other));
  testing::internal::CaptureStdout();
  while (group_.size() == 2) io_.run_one();
  const std::string logged = testing::internal::GetCapturedStdout();
  EXPECT_NE(logged.find("task=printer error=\"out of paper\""), std::string::npos) << logged;
  EXPECT_EQ(group_.size(), 1U);
  group_.cancel();
  io_.run();
}

TEST_F(TaskGroupTest, WaitNamesWhatStillRunsWhenItsLimitIsOver) {
  bool was_cancelled = false;
  std::optional<Status> waited;
  group_.spawn("sleeper", sleep_until_cancelled(&was_cancelled));
  waiters_.spawn("wait", wait_group(&group_, 1ms, &waited));
  while (!waited) io_.run_one();
  EXPECT_EQ(*waited, absl::DeadlineExceededError("still running: sleeper"));
  group_.cancel();
  io_.run();
}

TEST_F(TaskGroupTest, ALoopOfSleepsEndsQuietlyWhenTheGroupIsDestroyed) {
  int rounds = 0;
  {
    TaskGroup short_lived(io_.get_executor());
    short_lived.spawn("loop", loop_until_cancelled(&rounds));
    while (rounds < 3) io_.run_one();
  }
  testing::internal::CaptureStdout();
  io_.run();  // Returns: nothing is left.
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST_F(TaskGroupTest, AnEventWakesEverybodyEvenWhenItIsResetAtOnce) {
  SignalEvent event(io_.get_executor());
  std::optional<bool> first;
  std::optional<bool> second;
  waiters_.spawn("a", wait_event(&event, 1h, &first));
  waiters_.spawn("b", wait_event(&event, 1h, &second));
  io_.poll();
  event.set();
  event.reset();
  io_.run();
  EXPECT_EQ(first, true);
  EXPECT_EQ(second, true);
}

TEST_F(TaskGroupTest, AnEventThatIsSetLetsPassAndOneThatIsNotTimesOut) {
  SignalEvent event(io_.get_executor());
  std::optional<bool> timed_out;
  waiters_.spawn("a", wait_event(&event, 1ms, &timed_out));
  io_.run();
  EXPECT_EQ(timed_out, false);
  event.set();
  std::optional<bool> passed;
  waiters_.spawn("b", wait_event(&event, 1h, &passed));
  io_.restart();
  io_.run();
  EXPECT_EQ(passed, true);
}

TEST_F(TaskGroupTest, AWaiterOfADestroyedEventIsTold) {
  std::optional<bool> result;
  {
    SignalEvent event(io_.get_executor());
    waiters_.spawn("a", wait_event(&event, 1h, &result));
    io_.poll();
  }
  io_.run();
  EXPECT_EQ(result, false);
}

}  // namespace
}  // namespace mimeo
