// The order of one prediction's webhooks with several control planes over one store.

#include <map>

#include "control-plane/testing/webhook_fixture.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;
using store::PredictionView;
using store::WebhookEvent;

class WebhookOrderTest : public WebhookTest {
 protected:
  ~WebhookOrderTest() override {
    receiver_.release();
    if (other_sender_) stop(*other_sender_);
    if (!other_) return;
    other_->tasks.cancel();
    loop_.drive([&] { return other_->tasks.size() == 0; });
  }
  void start_both() {
    start();
    other_ = make_plane();
    other_sender_ = make_sender(*other_);
    other_sender_->start();
  }
  // As another control plane learns that it ended: a cancel there, a result reported there.
  void complete_at_the_other(store::Finish finish) {
    bool is_done = false;
    other_->committer.complete(std::move(finish),
                               [&](const Result<store::FinishOutcome>&) { is_done = true; });
    loop_.drive([&] { return is_done; });
  }
  void publish_at_the_other(PredictionId id, std::uint64_t seq, EventKind kind, std::string data) {
    HubEvent event;
    event.attempt = 1;
    event.seq = seq;
    event.kind = kind;
    event.data = std::move(data);
    event.at = clock_.now();
    other_->hub->publish(id, std::move(event));
  }
  static std::string start_id(PredictionId id) { return webhook_id_of(id, WebhookEvent::kStart); }
  static std::string end_id(PredictionId id) { return webhook_id_of(id, WebhookEvent::kCompleted); }

  std::unique_ptr<CorePlane> other_;
  std::unique_ptr<WebhookSender> other_sender_;
};

TEST_F(WebhookOrderTest, OutputWaitsUntilTheStartIsOut) {
  start();
  const PredictionView created = create_hooked(1 | 2);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 0U) << "the start is not written yet";
  plane_->committer.started({created.id, 1, clock_.now()});
  wait_for(2);
  EXPECT_EQ(receiver_.ids().at(0), start_id(created.id));
  EXPECT_EQ(receiver_.bodies().at(1), "processing [1]");
}

TEST_F(WebhookOrderTest, OutputWaitsForAStartThatAnotherSends) {
  start_both();
  const PredictionView created = create_hooked(1 | 2);
  receiver_.hold();
  const store::Started started{created.id, 1, clock_.now()};
  ASSERT_TRUE(store_.mark_started({&started, 1}).ok());
  wait_for(1);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  run_for_a_while();
  EXPECT_EQ(receiver_.ids(), std::vector<std::string>{start_id(created.id)});
  receiver_.release();
  wait_for(2);
  EXPECT_EQ(receiver_.bodies().at(1), "processing [1]");
}

TEST_F(WebhookOrderTest, AnEndElsewhereWaitsForTheOutputUnderWayHere) {
  options_.progress_timeout = 1h;
  options_.hold = 3h;
  start_both();
  const PredictionView created = create_hooked(2 | 8);
  receiver_.hold();
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  complete_at_the_other(finish_of(created.id));
  run_for_a_while();
  EXPECT_EQ(receiver_.bodies(), std::vector<std::string>{"processing [1]"});
  receiver_.release();
  wait_for(2);
  EXPECT_EQ(receiver_.ids().at(1), end_id(created.id));
  publish(created.id, 3, EventKind::kOutput, "2");
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 2U) << "nothing comes after the end";
}

TEST_F(WebhookOrderTest, AKilledControlPlanesHoldEndsWithItsTime) {
  start_both();
  const PredictionView created = create_hooked(2 | 8);
  const ReplicaId killed = ids_.next();
  ASSERT_TRUE(store_.hold_predictions({&created.id, 1}, killed, 15s)->at(0).is_held);
  complete_at_the_other(finish_of(created.id));
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 0U);
  clock_.advance(16s);
  wait_for(1);
  EXPECT_EQ(receiver_.ids(), std::vector<std::string>{end_id(created.id)});
}

// The place comes when another control plane may hold the prediction.
TEST_F(WebhookOrderTest, OutputIsNotSentOnAHoldThatRanOutInTheLine) {
  options_.gate.in_flight_per_host = 1;
  start();
  receiver_.hold();
  complete_and_wait(finish_of(create_hooked(8).id));
  wait_for(1);
  const PredictionView created = create_hooked(2);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  const auto held_by = [&](ReplicaId sender, std::chrono::milliseconds lease) {
    return store_.hold_predictions({&created.id, 1}, sender, lease)->at(0).is_held;
  };
  loop_.drive([&] { return !held_by(ids_.next(), 0ms); });
  loop_.settle();
  clock_.advance(16s);
  ASSERT_TRUE(held_by(ids_.next(), 15s));
  receiver_.release();
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 1U);
  clock_.advance(16s);
  wait_for(2);
  EXPECT_EQ(receiver_.bodies().at(1), "processing [1]");
}

TEST_F(WebhookOrderTest, AStoppedControlPlaneLeavesItsPredictionsToOthers) {
  start_both();
  const PredictionView created = create_hooked(2 | 8);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  stop(*sender_);
  complete_at_the_other(finish_of(created.id));
  wait_for(2);
  EXPECT_EQ(receiver_.ids().at(1), end_id(created.id));
}

TEST_F(WebhookOrderTest, OutputGoesOnWhereTheWorkerPublishesAfterTheHolderWasKilled) {
  start_both();
  const PredictionView created = create_hooked(2);
  const ReplicaId killed = ids_.next();
  ASSERT_TRUE(store_.hold_predictions({&created.id, 1}, killed, 15s)->at(0).is_held);
  publish_at_the_other(created.id, 1, EventKind::kStarted, "");
  publish_at_the_other(created.id, 2, EventKind::kOutput, "1");
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 0U);
  clock_.advance(16s);
  wait_for(1);
  EXPECT_EQ(receiver_.bodies(), std::vector<std::string>{"processing [1]"});
}

TEST_F(WebhookOrderTest, TwoSendersDeliverEachEventOnceAndInOrder) {
  start_both();
  std::vector<PredictionId> ids;
  for (int i = 0; i < 40; ++i) {
    ids.push_back(create_hooked(1 | 8, "https://h" + std::to_string(i % 5) + ".example").id);
    const store::Started started{ids.back(), 1, clock_.now()};
    ASSERT_TRUE(store_.mark_started({&started, 1}).ok());
    if (i % 2 == 0) {
      complete_at_the_other(finish_of(ids.back()));
    } else {
      complete_and_wait(finish_of(ids.back()));
    }
  }
  wait_for(80);
  loop_.drive([&] { return is_outbox_empty(); });
  const std::vector<std::string> got = receiver_.ids();
  EXPECT_EQ(got.size(), 80U);
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(places.emplace(got[i], i).second) << got[i] << " came twice";
  }
  for (const PredictionId id : ids) EXPECT_LT(places.at(start_id(id)), places.at(end_id(id)));
}

}  // namespace
}  // namespace mimeo::control
