#include "worker/hub_client.h"

#include <gtest/gtest.h>

#include "worker/testing/fake_hub.h"
#include "worker/testing/test_loop.h"

namespace mimeo::worker {
namespace {

class HubClientTest : public ::testing::Test {
 protected:
  HubClientTest() : ids_(clock_, random_) {
    HubOptions options;
    options.worker_id = "w-1";
    options.token = "join";
    options.coalesce = std::chrono::milliseconds{30};
    options.answer_limit = std::chrono::milliseconds{200};
    HubCallbacks callbacks;
    callbacks.on_completed = [this](AttemptKey key, v1::CompleteReply::Result result) {
      completed_.emplace_back(key, result);
    };
    callbacks.on_replay_wanted = [this](AttemptKey key, std::uint64_t after) {
      replays_.emplace_back(key, after);
    };
    client_ = std::make_unique<HubClient>(loop_.executor(), clock_, random_, std::move(options),
                                          std::move(callbacks));
    key_ = AttemptKey{ids_.next(), 1};
  }
  ~HubClientTest() override {
    loop_.run(client_->stop());
    client_.reset();
    for (auto* hub : {&first_, &second_}) {
      hub->stop();
      EXPECT_TRUE(
          loop_.run_until([&] { return hub->closed >= static_cast<int>(hub->streams.size()); }));
    }
  }

  void open(std::vector<std::string> hubs, std::chrono::milliseconds progress = {}) {
    HubRoute route;
    route.hubs = std::move(hubs);
    route.progress = progress;
    client_->open(key_, std::move(route));
  }
  void publish(std::uint64_t seq, v1::Event::Kind kind) {
    v1::Event event;
    *event.mutable_id() = key_.proto();
    event.set_seq(seq);
    event.set_kind(kind);
    event.set_data("x");
    client_->publish(std::move(event));
  }
  void complete() {
    v1::Complete result;
    *result.mutable_id() = key_.proto();
    result.set_outcome(v1::OUTCOME_SUCCEEDED);
    client_->complete(std::move(result), clock_.steady());
  }
  using Seqs = std::vector<std::uint64_t>;

  TestLoop loop_;
  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_;
  FakeHub first_{loop_.executor()};
  FakeHub second_{loop_.executor()};
  std::unique_ptr<HubClient> client_;
  AttemptKey key_;
  std::vector<std::pair<AttemptKey, v1::CompleteReply::Result>> completed_;
  std::vector<std::pair<AttemptKey, std::uint64_t>> replays_;
};

TEST_F(HubClientTest, SaysWhoItIsBeforeAnythingElse) {
  open({first_.address()});
  complete();
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() == 1; }));
  ASSERT_TRUE(first_.messages.front().has_hello());
  EXPECT_EQ(first_.messages.front().hello().worker_id(), "w-1");
  EXPECT_EQ(first_.messages.front().hello().token(), "join");
  EXPECT_TRUE(first_.has_token);
}

TEST_F(HubClientTest, AResultIsReportedAsStoredWhenAControlPlaneAnswers) {
  open({first_.address()});
  complete();
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() == 1; }));
  EXPECT_EQ(client_->waiting_results(), 1U);
  first_.answer(key_.proto(), v1::CompleteReply::RESULT_SUPERSEDED);
  ASSERT_TRUE(loop_.run_until([&] { return completed_.size() == 1; }));
  EXPECT_EQ(completed_[0].second, v1::CompleteReply::RESULT_SUPERSEDED);
  EXPECT_EQ(client_->waiting_results(), 0U);
}

TEST_F(HubClientTest, TheResultNeverOvertakesAnEvent) {
  open({first_.address()});
  publish(1, v1::Event::KIND_STARTED);
  publish(2, v1::Event::KIND_OUTPUT);
  complete();
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() == 1; }));
  EXPECT_EQ(first_.seqs(), (Seqs{1, 2}));
  EXPECT_TRUE(first_.messages.back().has_complete());
}

TEST_F(HubClientTest, AShortPredictionSendsNothingButItsResult) {
  open({first_.address()});
  publish(1, v1::Event::KIND_STARTED);
  complete();
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() == 1; }));
  EXPECT_EQ(first_.seqs(), Seqs{});
}

TEST_F(HubClientTest, EventsWaitForOthersUntilSomebodyReads) {
  open({first_.address()});
  publish(1, v1::Event::KIND_STARTED);
  publish(2, v1::Event::KIND_LOG);
  EXPECT_EQ(first_.seqs(), Seqs{});
  ASSERT_TRUE(loop_.run_until([&] { return first_.seqs() == Seqs{1, 2}; }));
}

TEST_F(HubClientTest, WhereSomebodyWantsProgressTheStartIsToldAtOnce) {
  open({first_.address()}, std::chrono::seconds{10});
  publish(1, v1::Event::KIND_STARTED);
  ASSERT_TRUE(loop_.run_until([&] { return first_.seqs() == Seqs{1}; }));
}

TEST_F(HubClientTest, AReaderWhoComesLateGetsTheRestReplayed) {
  open({first_.address()}, std::chrono::seconds{10});
  publish(1, v1::Event::KIND_STARTED);
  publish(2, v1::Event::KIND_OUTPUT);
  ASSERT_TRUE(loop_.run_until([&] { return first_.seqs() == Seqs{1, 2}; }));
  first_.set_live(key_.proto(), 1);
  ASSERT_TRUE(loop_.run_until([&] { return replays_.size() == 1; }));
  EXPECT_EQ(replays_[0].second, 1U);
  publish(3, v1::Event::KIND_OUTPUT);  // Comes again in the replay.
  publish(2, v1::Event::KIND_OUTPUT);
  publish(3, v1::Event::KIND_OUTPUT);
  ASSERT_TRUE(loop_.run_until([&] { return first_.seqs() == Seqs({1, 2, 2, 3}); }));
}

TEST_F(HubClientTest, WhenAControlPlaneDiesTheNextOneGetsEverythingFromTheBeginning) {
  client_->set_members({first_.address(), second_.address()});
  open({first_.address()}, std::chrono::milliseconds{1});
  publish(1, v1::Event::KIND_STARTED);
  publish(2, v1::Event::KIND_OUTPUT);
  ASSERT_TRUE(loop_.run_until([&] { return first_.seqs() == Seqs({1, 2}); }));
  first_.stop();
  ASSERT_TRUE(loop_.run_until([&] { return !replays_.empty(); }));
  EXPECT_EQ(replays_[0].second, 0U);
  publish(1, v1::Event::KIND_STARTED);
  publish(2, v1::Event::KIND_OUTPUT);
  publish(3, v1::Event::KIND_OUTPUT);
  complete();
  ASSERT_TRUE(loop_.run_until([&] { return second_.results() == 1; }));
  EXPECT_EQ(second_.seqs(), (Seqs{1, 2, 3}));
}

TEST_F(HubClientTest, AnUnansweredResultGoesToAnotherControlPlane) {
  client_->set_members({first_.address(), second_.address()});
  open({first_.address()});
  complete();
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() == 1; }));
  ASSERT_TRUE(loop_.run_until([&] { return second_.results() >= 1; }));
}

TEST_F(HubClientTest, AResultThatIsWorkedOnStaysWithItsControlPlane) {
  client_->set_members({first_.address(), second_.address()});
  open({first_.address()});
  complete();
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() == 1; }));
  const SteadyTime until = clock_.steady() + std::chrono::milliseconds{500};
  SteadyTime next{};
  ASSERT_TRUE(loop_.run_until([&] {  // More than twice the limit for an answer.
    const SteadyTime now = clock_.steady();
    if (now >= next) {
      first_.answer(key_.proto(), v1::CompleteReply::RESULT_IN_PROGRESS);
      next = now + std::chrono::milliseconds{20};
    }
    return now > until;
  }));
  EXPECT_EQ(second_.results(), 0);
  EXPECT_TRUE(completed_.empty()) << "it is no answer";
  first_.answer(key_.proto(), v1::CompleteReply::RESULT_COMMITTED);
  EXPECT_TRUE(loop_.run_until([&] { return completed_.size() == 1; }));
}

TEST_F(HubClientTest, AResultWithoutAnyControlPlaneWaitsForOne) {
  open({});
  complete();
  client_->set_members({first_.address()});
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() >= 1; }));
}

TEST_F(HubClientTest, AResultIsSentAgainAfterTheStreamBroke) {
  open({first_.address()});
  complete();
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() == 1; }));
  first_.streams.back()->close();
  ASSERT_TRUE(loop_.run_until([&] { return first_.results() >= 2; }));
}

}  // namespace
}  // namespace mimeo::worker
