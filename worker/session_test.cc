#include "worker/session.h"

#include <gtest/gtest.h>

#include "worker/testing/fake_scheduler.h"
#include "worker/testing/test_loop.h"

namespace mimeo::worker {
namespace {

class RecordingUser final : public SessionUser {
 public:
  void fill_hello(v1::Hello& hello) override { hello.add_instances()->set_instance_id("i-1"); }
  void fill_heartbeat(v1::Heartbeat& heartbeat) override { heartbeat.set_running(3); }
  void on_message(v1::SchedulerMessage message) override { messages.push_back(std::move(message)); }

  [[nodiscard]] std::size_t stops() const {
    std::size_t count = 0;
    for (const auto& message : messages) count += message.has_stop() ? 1 : 0;
    return count;
  }
  std::vector<v1::SchedulerMessage> messages;
};

v1::SchedulerMessage stop_message() {
  v1::SchedulerMessage message;
  message.mutable_stop()->set_instance_id("i-1");
  return message;
}

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() : ids_(clock_, random_), state_(*StateDir::open(folder_.path() / "w", ids_)) {}
  ~SessionTest() override {
    if (session_) loop_.run(session_->stop());
    // Streams that end now still post to the loop.
    scheduler_.stop();
    (void)loop_.run_until(
        [&] { return scheduler_.closed >= static_cast<int>(scheduler_.streams.size()); });
  }

  void start(std::vector<std::string> schedulers = {}) {
    SessionOptions options;
    options.schedulers = std::move(schedulers);
    if (options.schedulers.empty()) options.schedulers.push_back(scheduler_.address());
    options.token = "join";
    options.heartbeat = std::chrono::milliseconds{50};
    session_ = std::make_unique<Session>(loop_.executor(), pool_, clock_, random_, *state_,
                                         std::move(options), user_);
    session_->start();
  }
  void wait_for_hello(std::size_t count) {
    ASSERT_TRUE(loop_.run_until([&] { return scheduler_.hellos.size() >= count; }));
  }

  TestLoop loop_;
  TestFolder folder_;
  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_;
  std::unique_ptr<StateDir> state_;
  BlockingPool pool_{2};
  FakeScheduler scheduler_{loop_.executor()};
  RecordingUser user_;
  std::unique_ptr<Session> session_;
};

TEST_F(SessionTest, SaysHelloWithTheFullStateToTheOwnerOfItsCell) {
  start();
  wait_for_hello(1);
  const v1::Hello& hello = scheduler_.hellos.front();
  EXPECT_EQ(hello.worker_id(), state_->worker().str());
  EXPECT_EQ(hello.token(), "join");
  EXPECT_EQ(hello.incarnation(), 1U);
  ASSERT_EQ(hello.instances_size(), 1);
  EXPECT_EQ(hello.instances(0).instance_id(), "i-1");
  EXPECT_TRUE(scheduler_.messages.front().has_hello());
}

TEST_F(SessionTest, BeatsWhenItIsWelcomeAndHasALease) {
  start();
  wait_for_hello(1);
  EXPECT_FALSE(session_->has_lease());
  scheduler_.welcome();
  ASSERT_TRUE(loop_.run_until([&] { return scheduler_.heartbeats() >= 2; }));
  EXPECT_TRUE(session_->has_lease());
  EXPECT_TRUE(session_->is_connected());
}

TEST_F(SessionTest, SaysHelloAgainAfterTheStreamBroke) {
  start();
  wait_for_hello(1);
  scheduler_.welcome();
  ASSERT_TRUE(loop_.run_until([&] { return session_->is_connected(); }));
  scheduler_.streams.back()->close();
  wait_for_hello(2);
}

TEST_F(SessionTest, GivesUpAStreamThatIsSilent) {
  start();
  wait_for_hello(1);
  scheduler_.welcome();
  // No LeaseAck follows: the worker dials again.
  wait_for_hello(2);
}

TEST_F(SessionTest, IgnoresASchedulerOfAnOlderEpochAlsoAfterARestart) {
  start();
  wait_for_hello(1);
  scheduler_.welcome();
  scheduler_.say(stop_message());
  ASSERT_TRUE(loop_.run_until([&] { return user_.stops() == 1; }));
  EXPECT_EQ(state_->epoch(7), 5U);

  loop_.run(session_->stop());
  session_.reset();
  state_.reset();
  state_ = *StateDir::open(folder_.path() / "w", ids_);
  EXPECT_EQ(state_->epoch(7), 5U);
  const std::size_t hellos = scheduler_.hellos.size();
  start();
  wait_for_hello(hellos + 1);
  EXPECT_EQ(scheduler_.hellos.back().max_epoch_seen(), 5U);
  scheduler_.epoch = 4;
  scheduler_.welcome();
  scheduler_.say(stop_message());
  wait_for_hello(hellos + 2);  // It looks for the real owner instead of obeying.
  EXPECT_EQ(user_.stops(), 1U);
}

TEST_F(SessionTest, FollowsARedirect) {
  FakeScheduler other(loop_.executor());
  start();
  wait_for_hello(1);
  scheduler_.epoch = 0;  // Whoever redirects owns nothing.
  v1::SchedulerMessage message;
  message.mutable_redirect()->set_scheduler_addr(other.address());
  scheduler_.say(std::move(message));
  ASSERT_TRUE(loop_.run_until([&] { return !other.hellos.empty(); }));
  loop_.run(session_->stop());
  session_.reset();
  other.stop();
  ASSERT_TRUE(
      loop_.run_until([&] { return other.closed >= static_cast<int>(other.streams.size()); }));
}

TEST_F(SessionTest, RemembersANewIncarnation) {
  start();
  wait_for_hello(1);
  scheduler_.welcome();
  v1::SchedulerMessage message;
  message.mutable_new_incarnation()->set_incarnation(9);
  scheduler_.say(std::move(message));
  ASSERT_TRUE(loop_.run_until([&] { return state_->incarnation() == 9; }));
  scheduler_.streams.back()->close();
  wait_for_hello(2);
  EXPECT_EQ(scheduler_.hellos.back().incarnation(), 9U);
}

TEST_F(SessionTest, AsksTheNextSchedulerWhenOneIsGone) {
  start({"127.0.0.1:1", scheduler_.address()});
  wait_for_hello(1);
}

TEST(Lease, IsFreshForItsLengthAfterEachRenewal) {
  Lease lease;
  const SteadyTime start{};
  EXPECT_FALSE(lease.is_fresh(start));
  lease.set_length(std::chrono::seconds{8});
  lease.renew(start);
  EXPECT_TRUE(lease.is_fresh(start + std::chrono::milliseconds{7'999}));
  EXPECT_FALSE(lease.is_fresh(start + std::chrono::milliseconds{8'000}));
}

}  // namespace
}  // namespace mimeo::worker
