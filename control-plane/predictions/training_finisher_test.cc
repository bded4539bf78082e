#include "control-plane/predictions/training_finisher.h"

#include <atomic>
#include <optional>

#include "control-plane/testing/core_fixture.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;
using store::FinishOutcome;

class TrainingFinisherTest : public CoreTest {
 protected:
  TrainingFinisherTest() {
    committer_options_.retry = {1ms, 2ms, 500ms};
    restart_plane();
    store::Model model;
    model.owner_id = account_.id;
    model.name = "trained";
    model.sku = "cpu";
    destination_ = *store_.create_model(model);
    target_ = *store_.ensure_training_pool(version_.id, "cpu", 1);
    options_.retry = {1ms, 2ms, 20'000ms};
    options_.report_every = 5ms;
    make_ = [this](const store::PredictionView& view, std::uint32_t,
                   const std::string&) -> Result<TrainedVersion> {
      ++calls_;
      TrainedVersion made;
      made.version = version_;
      made.version.id = trained_id();
      made.version.model = destination_.id;
      made.output = R"({"version":")" + view.destination + ":" + trained_id().hex() + R"("})";
      return made;
    };
    start();
  }
  ~TrainingFinisherTest() override { stop(); }

  void start() {
    finisher_.emplace(
        loop_.executor(), pool_, plane_->predictions, store_, plane_->committer,
        [this](const store::PredictionView& view, std::uint32_t attempt,
               const std::string& output) { return make_(view, attempt, output); },
        random_, plane_->metrics, options_);
  }
  void stop() {
    if (!finisher_) return;
    EXPECT_TRUE(loop_.run(finisher_->stop(5s)).ok());
    finisher_.reset();
  }
  static VersionId trained_id() { return *VersionId::parse(std::string(64, 'd')); }
  store::PredictionView create_training() {
    plane_->scheduler.grant = grant_;
    IntakeRequest wanted = request();
    wanted.is_training = true;
    wanted.destination = "acme/trained";
    return *loop_.run(plane_->intake->create(std::move(wanted)));
  }
  void offer(store::Finish finish) {
    finisher_->complete(
        std::move(finish),
        [this](Result<FinishOutcome> outcome) { completed_.push_back(std::move(outcome)); },
        [this] { ++progress_; });
  }
  FinishOutcome offer_and_wait(PredictionId id) {
    const std::size_t before = completed_.size();
    offer(finish_of(id, R"("https://mimeo.example/delivery/x/w")"));
    loop_.drive([&] { return completed_.size() > before; });
    return completed_.back().value_or(FinishOutcome::kUnknown);
  }
  bool has_version() { return store_.get_version(trained_id(), 0).ok(); }

  store::Model destination_;
  BlockingPool pool_{2};
  TrainingFinisherOptions options_;
  TrainingFinisher::MakeVersion make_;
  std::atomic<int> calls_ = 0;
  int progress_ = 0;
  std::optional<TrainingFinisher> finisher_;
};

TEST_F(TrainingFinisherTest, ATrainingSucceedsWithItsVersion) {
  const PredictionId id = create_training().id;
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kCommitted);
  EXPECT_EQ(stored(id).status, PredictionStatus::kSucceeded);
  EXPECT_EQ(stored(id).output, R"({"version":"acme/trained:)" + trained_id().hex() + R"("})");
  EXPECT_EQ(store_.get_model_by_id(destination_.id)->latest_version, trained_id());
  EXPECT_GE(progress_, 1) << "the worker hears at once that it may wait";
}

TEST_F(TrainingFinisherTest, AResultOfferedAgainLaterIsTheSame) {
  const PredictionId id = create_training().id;
  ASSERT_EQ(offer_and_wait(id), FinishOutcome::kCommitted);
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kAlreadySame);
  EXPECT_EQ(calls_, 1) << "the version was made once";
}

TEST_F(TrainingFinisherTest, AnotherProcessThatIsOfferedItAgainShowsWhatWasCommitted) {
  const PredictionId id = create_training().id;  // Known to this process from here on.
  auto other = make_plane();
  store::Finish committed = finish_of(id, R"({"version":"acme/trained:ddd"})");
  ASSERT_EQ(loop_.run(other->committer.finish(committed)).value(), FinishOutcome::kCommitted);
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kAlreadySame);
  EXPECT_EQ(calls_, 0);
  const auto shown = loop_.run(plane_->intake->view(id, account_.id));
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_EQ(shown->output, committed.output) << "not what the trainer returned";
  other->tasks.cancel();
  loop_.drive([&] { return other->tasks.size() == 0; });
}

TEST_F(TrainingFinisherTest, AResultOfferedAgainMeanwhileJoinsTheFirst) {
  const PredictionId id = create_training().id;
  offer(finish_of(id, "\"w\""));
  offer(finish_of(id, "\"w\""));
  loop_.drive([&] { return completed_.size() == 2; });
  EXPECT_EQ(completed_[0].value(), FinishOutcome::kCommitted);
  EXPECT_EQ(completed_[1].value(), FinishOutcome::kCommitted);
  EXPECT_EQ(calls_, 1);
}

TEST_F(TrainingFinisherTest, NoVersionMeansAFailedTrainingThatSaysWhy) {
  make_ = [](const store::PredictionView&, std::uint32_t,
             const std::string&) -> Result<TrainedVersion> {
    return absl::InvalidArgumentError("the trainer returned no weights");
  };
  const PredictionId id = create_training().id;
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kCommitted);
  EXPECT_EQ(stored(id).status, PredictionStatus::kFailed);
  EXPECT_NE(stored(id).error.find("the trainer returned no weights"), std::string::npos);
  EXPECT_FALSE(has_version());
}

TEST_F(TrainingFinisherTest, ARegistryThatIsAwayIsTriedAgain) {
  const auto make = make_;
  make_ = [this, make](const store::PredictionView& view, std::uint32_t attempt,
                       const std::string& output) -> Result<TrainedVersion> {
    if (++calls_ < 4) return absl::UnauthenticatedError("the registry knows our key no more");
    return make(view, attempt, output);
  };
  const PredictionId id = create_training().id;
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kCommitted);
  EXPECT_EQ(stored(id).status, PredictionStatus::kSucceeded);
}

TEST_F(TrainingFinisherTest, OnlyWhatAnotherTryCannotChangeIsFinal) {
  const auto make = make_;
  make_ = [this, make](const store::PredictionView& view, std::uint32_t attempt,
                       const std::string& output) -> Result<TrainedVersion> {
    switch (++calls_) {
      case 1:
        return absl::NotFoundError("the registry answered 404: blob upload unknown");
      case 2:
        return absl::InternalError("the registry answered 400");
      case 3:
        return absl::DataLossError("the disk failed");
      case 4:
        return absl::ResourceExhaustedError("the disk is full");
      default:
        return make(view, attempt, output);
    }
  };
  const PredictionId id = create_training().id;
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kCommitted);
  EXPECT_EQ(stored(id).status, PredictionStatus::kSucceeded);
}

TEST_F(TrainingFinisherTest, ACancelWhileTheVersionIsMadeLeavesNone) {
  const PredictionId id = create_training().id;
  const auto make = make_;
  make_ = [this, make, id](const store::PredictionView& view, std::uint32_t attempt,
                           const std::string& output) -> Result<TrainedVersion> {
    store::Finish canceled;
    canceled.id = id;
    canceled.status = PredictionStatus::kCanceled;
    canceled.completed_at = clock_.now();
    EXPECT_EQ(store_.finish(std::span(&canceled, 1))->front(), FinishOutcome::kCommitted);
    return make(view, attempt, output);
  };
  bool was_told = false;
  finisher_->on_version([&](const std::string&) { was_told = true; });
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kSuperseded);
  EXPECT_EQ(stored(id).status, PredictionStatus::kCanceled);
  EXPECT_FALSE(has_version());
  EXPECT_FALSE(was_told);
  EXPECT_NE(plane_->metrics.serialize().find(
                "mimeo_control_plane_trained_versions_total{outcome=\"made\"} 0"),
            std::string::npos);
}

TEST_F(TrainingFinisherTest, ACanceledTrainingMakesNoVersion) {
  const PredictionId id = create_training().id;
  store::Finish canceled = finish_of(id, "");
  canceled.status = PredictionStatus::kCanceled;
  ASSERT_EQ(store_.finish(std::span(&canceled, 1))->front(), FinishOutcome::kCommitted);
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kSuperseded);
  EXPECT_EQ(calls_, 0);
}

TEST_F(TrainingFinisherTest, ADestinationThatWentAwayFailsTheTraining) {
  const auto make = make_;
  make_ = [this, make](const store::PredictionView& view, std::uint32_t attempt,
                       const std::string& output) -> Result<TrainedVersion> {
    EXPECT_TRUE(store_.delete_model(destination_.id).ok());
    return make(view, attempt, output);
  };
  const PredictionId id = create_training().id;
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kCommitted);
  EXPECT_EQ(stored(id).status, PredictionStatus::kFailed);
}

TEST_F(TrainingFinisherTest, APredictionIsCommittedAsItIs) {
  const PredictionId id = create_assigned().id;
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kCommitted);
  EXPECT_EQ(stored(id).output, R"("https://mimeo.example/delivery/x/w")");
  EXPECT_EQ(calls_, 0);
}

TEST_F(TrainingFinisherTest, AnUnknownTrainingIsUnknown) {
  EXPECT_EQ(offer_and_wait(ids_.next()), FinishOutcome::kUnknown);
}

TEST_F(TrainingFinisherTest, AProcessThatStopsAnswersNothingAndTheNextOneFinishes) {
  std::atomic<bool> is_asked = false;
  const auto make = make_;
  make_ = [&](const store::PredictionView&, std::uint32_t,
              const std::string&) -> Result<TrainedVersion> {
    is_asked = true;
    return absl::UnavailableError("the registry is away");
  };
  const PredictionId id = create_training().id;
  offer(finish_of(id, "\"w\""));
  loop_.drive([&] { return is_asked.load(); });
  stop();
  EXPECT_TRUE(completed_.empty());
  EXPECT_FALSE(is_terminal(stored(id).status));
  make_ = make;
  start();
  EXPECT_EQ(offer_and_wait(id), FinishOutcome::kCommitted);
  EXPECT_TRUE(has_version());
}

TEST_F(TrainingFinisherTest, TellsAgainAndAgainThatItWorks) {
  std::atomic<bool> may_end = false;
  const auto make = make_;
  make_ = [&, make](const store::PredictionView& view, std::uint32_t attempt,
                    const std::string& output) -> Result<TrainedVersion> {
    if (!may_end) return absl::UnavailableError("not yet");
    return make(view, attempt, output);
  };
  const PredictionId id = create_training().id;
  offer(finish_of(id, "\"w\""));
  loop_.drive([&] { return progress_ >= 3; });
  may_end = true;
  loop_.drive([&] { return completed_.size() == 1; });
  EXPECT_EQ(completed_[0].value(), FinishOutcome::kCommitted);
}

}  // namespace
}  // namespace mimeo::control
