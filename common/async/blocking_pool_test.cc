#include "common/async/blocking_pool.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "common/async/task_group.h"
#include "common/base/status.h"

namespace mimeo {
namespace {

namespace asio = boost::asio;

// Longer than what std::string keeps inside, so that a doubled destruction would be noticed.
const std::string kLong(200, 'x');

struct Seen {
  std::unique_ptr<std::string> moved;
  Result<std::unique_ptr<std::string>> wrapped;
  Status failed;
  std::thread::id worked_on;
  std::thread::id resumed_on;
};

asio::awaitable<void> use_pool(BlockingPool* pool, Seen* seen) {
  auto argument = std::make_unique<std::string>(kLong);
  auto work = [argument = std::move(argument), seen]() mutable {
    seen->worked_on = std::this_thread::get_id();
    return std::move(argument);
  };
  seen->moved = co_await pool->run(std::move(work));
  seen->resumed_on = std::this_thread::get_id();

  auto wrapped = [text = kLong] {
    return Result<std::unique_ptr<std::string>>(std::make_unique<std::string>(text));
  };
  seen->wrapped = co_await pool->run(std::move(wrapped));

  auto failing = [text = kLong] { return Status(absl::InternalError(text)); };
  seen->failed = co_await pool->run(std::move(failing));
}

TEST(BlockingPool, MovesWorkOverAndItsMoveOnlyResultBack) {
  asio::io_context io;
  BlockingPool pool(2);
  TaskGroup group(io.get_executor());
  Seen seen;
  group.spawn("use pool", use_pool(&pool, &seen));
  io.run();  // A coroutine that waits for the pool keeps the context running.
  ASSERT_TRUE(seen.moved);
  EXPECT_EQ(*seen.moved, kLong);
  ASSERT_TRUE(seen.wrapped.ok());
  EXPECT_EQ(**seen.wrapped, kLong);
  EXPECT_EQ(seen.failed, absl::InternalError(kLong));
  EXPECT_EQ(seen.resumed_on, std::this_thread::get_id());
  EXPECT_NE(seen.worked_on, std::this_thread::get_id());
}

asio::awaitable<void> run_one(BlockingPool* pool, int* done) {
  auto work = [text = kLong] { return text; };
  const std::string result = co_await pool->run(std::move(work));
  if (result == kLong) ++*done;
}

TEST(BlockingPool, ManyCallersGetTheirOwnResults) {
  asio::io_context io;
  BlockingPool pool(3);
  TaskGroup group(io.get_executor());
  int done = 0;
  for (int i = 0; i < 500; ++i) group.spawn("one", run_one(&pool, &done));
  io.run();
  EXPECT_EQ(done, 500);
}

struct Watched {
  explicit Watched(std::promise<std::thread::id>& died) : died_on(died) {}
  ~Watched() { died_on.set_value(std::this_thread::get_id()); }
  std::promise<std::thread::id>& died_on;
};

TEST(BlockingPool, WhatItSharesDiesOnItsThread) {
  BlockingPool pool(1);
  std::promise<std::thread::id> works_on, died_on;
  pool.post([&] { works_on.set_value(std::this_thread::get_id()); });
  std::shared_ptr<Watched> shared = pool.share(std::make_unique<Watched>(died_on));
  shared.reset();
  EXPECT_EQ(died_on.get_future().get(), works_on.get_future().get());
}

}  // namespace
}  // namespace mimeo
