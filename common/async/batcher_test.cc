#include "common/async/batcher.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <mutex>
#include <semaphore>
#include <string>
#include <vector>

#include "common/async/task_group.h"

namespace mimeo {
namespace {

namespace asio = boost::asio;

using Item = std::unique_ptr<std::string>;  // The batcher must only move.

// Stands in for a slow commit: each write waits until the test lets it go.
class Gate {
 public:
  Result<std::vector<std::string>> write(std::span<const Item> items) {
    {
      const std::lock_guard lock(mutex_);
      batches_.emplace_back();
      for (const auto& item : items) batches_.back().push_back(*item);
    }
    started_.release();
    go_.acquire();
    if (!failure_.ok()) return failure_;
    std::vector<std::string> answers;
    for (const auto& item : items) answers.push_back("wrote " + *item);
    if (is_short_) answers.pop_back();
    return answers;
  }
  void wait_for_start() { started_.acquire(); }
  void let_go() { go_.release(); }
  std::vector<std::vector<std::string>> batches() {
    const std::lock_guard lock(mutex_);
    return batches_;
  }

  Status failure_;         // Set while no write runs.
  bool is_short_ = false;  // The same.

 private:
  std::mutex mutex_;
  std::vector<std::vector<std::string>> batches_;
  std::counting_semaphore<> started_{0};
  std::counting_semaphore<> go_{0};
};

class BatcherTest : public testing::Test {
 protected:
  using Answers = std::vector<Result<std::string>>;

  void make(BatcherLimits limits) {
    batcher_ = std::make_unique<Batcher<Item, std::string>>(
        io_.get_executor(), pool_,
        [this](std::span<const Item> items) { return gate_.write(items); }, limits);
  }
  static asio::awaitable<void> submit(Batcher<Item, std::string>* batcher, std::string text,
                                      Answers* answers) {
    auto item = std::make_unique<std::string>(std::move(text));
    auto answer = co_await batcher->submit(std::move(item));
    answers->push_back(std::move(answer));
  }
  void spawn(const std::string& text) {
    group_.spawn(text, submit(batcher_.get(), text, &answers_));
    io_.restart();
    io_.poll();
  }
  void run_until_answers(std::size_t count) {
    io_.restart();
    while (answers_.size() < count) io_.run_one();
  }

  asio::io_context io_;
  BlockingPool pool_{2};
  Gate gate_;
  std::unique_ptr<Batcher<Item, std::string>> batcher_;
  Answers answers_;
  TaskGroup group_{io_.get_executor()};
};

TEST_F(BatcherTest, WhatArrivesDuringAWriteFormsTheNextBatch) {
  make({.max_batch = 10, .max_pending = 100, .in_flight = 1});
  spawn("a");
  gate_.wait_for_start();
  spawn("b");
  spawn("c");
  spawn("d");
  EXPECT_EQ(batcher_->pending(), 3U);
  gate_.let_go();
  run_until_answers(1);
  gate_.wait_for_start();
  gate_.let_go();
  run_until_answers(4);
  EXPECT_EQ(gate_.batches(), (std::vector<std::vector<std::string>>{{"a"}, {"b", "c", "d"}}));
  EXPECT_EQ(answers_[0].value(), "wrote a");
  EXPECT_EQ(answers_[3].value(), "wrote d");
}

TEST_F(BatcherTest, AFullBatchLeavesTheRestForTheOneAfter) {
  make({.max_batch = 2, .max_pending = 100, .in_flight = 1});
  spawn("a");
  gate_.wait_for_start();
  for (const char* text : {"b", "c", "d"}) spawn(text);
  for (int i = 0; i < 3; ++i) gate_.let_go();
  run_until_answers(4);
  EXPECT_EQ(gate_.batches(), (std::vector<std::vector<std::string>>{{"a"}, {"b", "c"}, {"d"}}));
}

TEST_F(BatcherTest, TwoMayBeInFlight) {
  make({.max_batch = 10, .max_pending = 100, .in_flight = 2});
  spawn("a");
  spawn("b");
  gate_.wait_for_start();
  gate_.wait_for_start();
  EXPECT_EQ(batcher_->pending(), 0U);
  gate_.let_go();
  gate_.let_go();
  run_until_answers(2);
}

TEST_F(BatcherTest, AnErrorReachesEverybodyInTheBatchAndNobodyElse) {
  make({.max_batch = 10, .max_pending = 100, .in_flight = 1});
  spawn("a");
  gate_.wait_for_start();
  spawn("b");
  spawn("c");
  gate_.let_go();
  run_until_answers(1);
  gate_.wait_for_start();
  gate_.failure_ = absl::UnavailableError("the disk is gone");
  gate_.let_go();
  run_until_answers(3);
  gate_.failure_ = absl::OkStatus();
  spawn("d");
  gate_.wait_for_start();
  gate_.let_go();
  run_until_answers(4);
  EXPECT_TRUE(answers_[0].ok());
  EXPECT_EQ(answers_[1].status(), absl::UnavailableError("the disk is gone"));
  EXPECT_EQ(answers_[2].status(), absl::UnavailableError("the disk is gone"));
  EXPECT_EQ(answers_[3].value(), "wrote d");
}

TEST_F(BatcherTest, TooFewAnswersAreAnErrorOfThoseWithout) {
  make({});
  gate_.is_short_ = true;
  spawn("a");
  gate_.wait_for_start();
  gate_.let_go();
  run_until_answers(1);
  EXPECT_TRUE(absl::IsInternal(answers_[0].status()));
}

TEST_F(BatcherTest, OverflowIsRefusedAtOnceWhileOthersKeepWaiting) {
  make({.max_batch = 10, .max_pending = 2, .in_flight = 1});
  spawn("a");
  gate_.wait_for_start();
  spawn("b");
  spawn("c");
  spawn("too many");
  run_until_answers(1);
  EXPECT_TRUE(absl::IsResourceExhausted(answers_[0].status()));
  gate_.let_go();
  gate_.let_go();
  run_until_answers(4);
  EXPECT_EQ(answers_[3].value(), "wrote c");
}

}  // namespace
}  // namespace mimeo
