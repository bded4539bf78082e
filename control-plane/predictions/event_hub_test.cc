#include "control-plane/predictions/event_hub.h"

#include <gtest/gtest.h>

#include "common/base/random.h"
#include "control-plane/testing/test_loop.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

class EventHubTest : public testing::Test {
 protected:
  void make(EventHubLimits limits = {}) { hub_ = make_event_hub(loop_.executor(), clock_, limits); }
  std::uint64_t publish(PredictionId id, std::uint64_t seq, std::string data,
                        EventKind kind = EventKind::kOutput, std::uint32_t attempt = 1) {
    HubEvent event;
    event.attempt = attempt;
    event.seq = seq;
    event.kind = kind;
    event.data = std::move(data);
    event.at = clock_.now();
    return hub_->publish(id, std::move(event));
  }
  // "1:a 2:b done:succeeded", "-" when nothing came, "gone".
  std::string read(EventHub::Subscription& reader) {
    const auto events = loop_.run(reader.next(0ms));
    if (!events) return "gone";
    if (events->empty()) return "-";
    return describe(*events);
  }
  static std::string describe(const std::vector<HubEvent>& events) {
    std::string text;
    for (const HubEvent& event : events) {
      if (!text.empty()) text += ' ';
      text += event.kind == EventKind::kDone ? "done" : std::to_string(event.seq);
      text += ':' + event.data;
    }
    return text;
  }

  TestLoop loop_;
  FakeClock clock_;
  SeededRandom random_{3};
  IdGenerator ids_{clock_, random_};
  PredictionId id_ = ids_.next();
  std::unique_ptr<EventHub> hub_;
};

TEST_F(EventHubTest, ALateReaderGetsEverythingFromTheFirstEvent) {
  make();
  publish(id_, 1, "\"a\"");
  publish(id_, 2, "log", EventKind::kLog);
  publish(id_, 3, "\"b\"");
  const auto reader = hub_->subscribe(id_, 0, 0);
  EXPECT_EQ(read(*reader), "1:\"a\" 2:log 3:\"b\"");
  EXPECT_EQ(read(*reader), "-");
}

TEST_F(EventHubTest, AReaderThatComesBackResumesBehindWhatItHas) {
  make();
  for (std::uint64_t seq = 1; seq <= 4; ++seq) publish(id_, seq, "x");
  const auto reader = hub_->subscribe(id_, 1, 3);
  EXPECT_EQ(read(*reader), "4:x");
}

TEST_F(EventHubTest, AWaitingReaderIsWokenByAnEvent) {
  make();
  const auto reader = hub_->subscribe(id_, 0, 0);
  auto waiting = loop_.start(reader->next(1h));
  loop_.settle();
  EXPECT_FALSE(TestLoop::is_ready(waiting));
  publish(id_, 1, "now");
  EXPECT_EQ(describe(*loop_.finish(waiting)), "1:now");
}

TEST_F(EventHubTest, RepeatedEventsAndThoseOfOlderAttemptsAreDropped) {
  make();
  EXPECT_EQ(publish(id_, 1, "a"), 1U);
  EXPECT_EQ(publish(id_, 1, "a"), 1U);
  EXPECT_EQ(publish(id_, 1, "new", EventKind::kOutput, 2), 1U);
  publish(id_, 2, "old", EventKind::kOutput, 1);
  const auto reader = hub_->subscribe(id_, 0, 0);
  EXPECT_EQ(read(*reader), "1:new");
  EXPECT_EQ(hub_->state(id_)->attempt, 2U);
}

TEST_F(EventHubTest, AfterAGapTheAnswerSaysWhereToResume) {
  make();
  publish(id_, 1, "a");
  EXPECT_EQ(publish(id_, 4, "d"), 1U);
  EXPECT_EQ(publish(id_, 2, "b"), 2U);
  const auto reader = hub_->subscribe(id_, 0, 0);
  EXPECT_EQ(read(*reader), "1:a 2:b");
}

TEST_F(EventHubTest, ANewAttemptStartsTheStreamAnew) {
  make();
  publish(id_, 1, "a");
  publish(id_, 2, "b");
  const auto reader = hub_->subscribe(id_, 0, 0);
  EXPECT_EQ(read(*reader), "1:a 2:b");
  publish(id_, 1, "again", EventKind::kOutput, 2);
  EXPECT_EQ(read(*reader), "1:again");
}

TEST_F(EventHubTest, DoneComesLastAndOnlyAfterTheCommit) {
  make();
  publish(id_, 1, "a");
  const auto reader = hub_->subscribe(id_, 0, 0);
  EXPECT_EQ(read(*reader), "1:a");
  EXPECT_FALSE(hub_->state(id_)->is_done);
  hub_->finish(id_, PredictionStatus::kSucceeded);
  EXPECT_EQ(read(*reader), "done:succeeded");
  EXPECT_EQ(read(*reader), "gone");
  EXPECT_TRUE(hub_->state(id_)->is_done);
}

TEST_F(EventHubTest, AReaderThatComesAfterAnEndWithoutEventsIsToldAtOnce) {
  make();
  hub_->finish(id_, PredictionStatus::kFailed);
  EXPECT_FALSE(hub_->state(id_).has_value());
  const auto reader = hub_->subscribe(id_, 0, 0);
  EXPECT_EQ(read(*reader), "done:failed");
}

TEST_F(EventHubTest, AReaderOfAQueuedPredictionWaitsForItsEvents) {
  make();
  const auto reader = hub_->subscribe(id_, 0, 0);
  EXPECT_EQ(read(*reader), "-");
  publish(id_, 1, "", EventKind::kStarted);
  publish(id_, 2, "a");
  EXPECT_EQ(read(*reader), "1: 2:a");
  EXPECT_EQ(hub_->state(id_)->started_at, clock_.now());
}

TEST_F(EventHubTest, StateHasOutputsInOrderAndTheLogSoFar) {
  make();
  publish(id_, 1, "one\n", EventKind::kLog);
  publish(id_, 2, "\"a\"");
  publish(id_, 3, "two\n", EventKind::kLog);
  publish(id_, 4, "\"b\"");
  const LiveState state = *hub_->state(id_);
  EXPECT_EQ(state.outputs, (std::vector<std::string>{"\"a\"", "\"b\""}));
  EXPECT_EQ(state.logs, "one\ntwo\n");
  EXPECT_EQ(state.last_seq, 4U);
}

TEST_F(EventHubTest, AboveTheLimitOldLogLinesLeaveButNoOutput) {
  EventHubLimits limits;
  limits.ring_events = 3;
  make(limits);
  publish(id_, 1, "\"first\"");
  for (std::uint64_t seq = 2; seq <= 7; ++seq) publish(id_, seq, "l\n", EventKind::kLog);
  const auto reader = hub_->subscribe(id_, 0, 0);
  EXPECT_EQ(read(*reader), "1:\"first\" 5:l\n 6:l\n 7:l\n");
  EXPECT_EQ(hub_->state(id_)->logs, "[earlier log lines are in the final log]\nl\nl\nl\n");
}

TEST_F(EventHubTest, ASlowReaderHoldsUpNobodyAndMissesNoOutput) {
  make();
  const auto slow = hub_->subscribe(id_, 0, 0);
  const auto fast = hub_->subscribe(id_, 0, 0);
  for (std::uint64_t seq = 1; seq <= 1000; ++seq) {
    publish(id_, seq, std::to_string(seq));
    ASSERT_EQ(read(*fast), std::to_string(seq) + ":" + std::to_string(seq));
  }
  std::size_t got = 0;
  while (got < 1000) {
    const auto events = loop_.run(slow->next(0ms));
    ASSERT_TRUE(events && !events->empty()) << "after " << got;
    got += events->size();
    EXPECT_EQ(events->back().data, std::to_string(got));
  }
}

TEST_F(EventHubTest, TheLeastRecentlyUsedRingGoesFirstAndItsReaderIsTold) {
  EventHubLimits limits;
  limits.total_bytes = 4000;
  make(limits);
  const PredictionId other = ids_.next();
  publish(id_, 1, std::string(1000, 'a'));
  const auto reader = hub_->subscribe(id_, 1, 1);
  auto waiting = loop_.start(reader->next(1h));
  loop_.settle();
  publish(other, 1, std::string(1000, 'b'));
  publish(other, 2, std::string(1500, 'b'));
  EXPECT_FALSE(loop_.finish(waiting).has_value());
  EXPECT_FALSE(hub_->state(id_).has_value());
  EXPECT_TRUE(hub_->state(other).has_value());
}

TEST_F(EventHubTest, AFinishedRingIsKeptForAWhileOnly) {
  make();
  publish(id_, 1, "a");
  hub_->finish(id_, PredictionStatus::kSucceeded);
  clock_.advance(299s);
  hub_->finish(ids_.next(), PredictionStatus::kSucceeded);
  EXPECT_TRUE(hub_->state(id_).has_value());
  clock_.advance(2s);
  hub_->finish(ids_.next(), PredictionStatus::kSucceeded);
  EXPECT_FALSE(hub_->state(id_).has_value());
}

TEST_F(EventHubTest, InterestIsToldWhenTheFirstReaderComesAndTheLastLeaves) {
  make();
  std::vector<Interest> told;
  hub_->on_interest([&](PredictionId, Interest interest) { told.push_back(interest); });
  auto peer = hub_->subscribe(id_, 0, 0, Reader::kPeer);
  auto client = hub_->subscribe(id_, 0, 0);
  auto another = hub_->subscribe(id_, 0, 0);
  another.reset();
  client.reset();
  peer.reset();
  EXPECT_EQ(told, (std::vector<Interest>{Interest::kPeersOnly, Interest::kClients,
                                         Interest::kPeersOnly, Interest::kNone}));
  EXPECT_EQ(hub_->interest(id_), Interest::kNone);
}

TEST_F(EventHubTest, WhatHasEndedIsForgottenWhenItsDataIsRemoved) {
  make();
  publish(id_, 1, "a");
  hub_->forget(id_);
  EXPECT_TRUE(hub_->state(id_).has_value()) << "it runs";
  hub_->finish(id_, PredictionStatus::kSucceeded);
  hub_->forget(id_);
  EXPECT_FALSE(hub_->state(id_).has_value());
  hub_->forget(id_);
}

TEST_F(EventHubTest, TheFirstDeliveredOutputIsToldOncePerAttempt) {
  make();
  int told = 0;
  hub_->on_output_delivered([&](PredictionId) { ++told; });
  publish(id_, 1, "line", EventKind::kLog);
  const auto reader = hub_->subscribe(id_, 0, 0);
  read(*reader);
  EXPECT_EQ(told, 0);
  publish(id_, 2, "a");
  publish(id_, 3, "b");
  EXPECT_EQ(told, 0);
  read(*reader);
  publish(id_, 4, "c");
  read(*reader);
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace mimeo::control
