#include "worker/attempts/attempt_state.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace mimeo::worker {
namespace {

using Steps = std::vector<AttemptStep>;

// An attempt, driven by events; keeps the last actions with content.
struct Driver {
  AttemptLife life;
  std::optional<AttemptAction> result;
  std::optional<AttemptAction> rejected;

  Steps note(const std::vector<AttemptAction>& actions) {
    Steps out;
    for (const auto& action : actions) {
      out.push_back(action.step);
      if (action.step == AttemptStep::kMakeResult) result = action;
      if (action.step == AttemptStep::kReportRejected) rejected = action;
    }
    return out;
  }
  Steps begin() { return note(life.begin()); }
  Steps feed(const AttemptEvent& event) { return note(life.resume(event)); }
  void start() {
    begin();
    feed(InputsReady{});
    feed(ModelStarted{});
  }
};

TEST(AttemptLife, RunsFromInputsToTheAnswerOfAControlPlane) {
  Driver driver;
  EXPECT_EQ(driver.begin(), Steps{AttemptStep::kFetchInputs});
  EXPECT_TRUE(driver.life.is_running());
  EXPECT_EQ(driver.feed(InputsReady{}), (Steps{AttemptStep::kStart, AttemptStep::kArmRunLimit}));
  EXPECT_EQ(driver.feed(ModelStarted{}), Steps{AttemptStep::kReportStarted});
  EXPECT_EQ(driver.feed(ResultArrived{}),
            (Steps{AttemptStep::kFreeSlot, AttemptStep::kReportEnded, AttemptStep::kStoreFiles}));
  EXPECT_FALSE(driver.life.is_running());
  EXPECT_EQ(driver.feed(FilesStored{}), Steps{AttemptStep::kOffer});
  EXPECT_EQ(driver.feed(Acknowledged{}), (Steps{AttemptStep::kDropResult, AttemptStep::kForget}));
  EXPECT_TRUE(driver.life.is_done());
}

TEST(AttemptLife, InputsThatCannotBeFetchedFailTheAttempt) {
  Driver driver;
  driver.begin();
  EXPECT_EQ(driver.feed(InputsFailed{"404"}),
            (Steps{AttemptStep::kFreeSlot, AttemptStep::kMakeResult, AttemptStep::kReportEnded,
                   AttemptStep::kOffer}));
  EXPECT_EQ(driver.result->fault, AttemptFault::kInputFetch);
  EXPECT_EQ(driver.result->text, "404");
}

TEST(AttemptLife, WhatNeverStartedIsGivenBackWhenItsContainerDies) {
  Driver fetching;
  fetching.begin();
  EXPECT_EQ(fetching.feed(ContainerGone{"exit"}),
            (Steps{AttemptStep::kFreeSlot, AttemptStep::kReportRejected, AttemptStep::kForget}));
  EXPECT_EQ(fetching.rejected->reject, RejectReason::kInstanceGone);

  Driver sent;
  sent.begin();
  sent.feed(InputsReady{});
  EXPECT_EQ(sent.feed(ContainerGone{"exit"}),
            (Steps{AttemptStep::kFreeSlot, AttemptStep::kReportRejected, AttemptStep::kForget}));
}

TEST(AttemptLife, WhatStartedFailsWhenItsContainerDies) {
  Driver driver;
  driver.start();
  EXPECT_EQ(driver.feed(ContainerGone{"the container ran out of memory"}),
            (Steps{AttemptStep::kFreeSlot, AttemptStep::kMakeResult, AttemptStep::kReportEnded,
                   AttemptStep::kOffer}));
  EXPECT_EQ(driver.result->fault, AttemptFault::kContainerExit);
  EXPECT_EQ(driver.result->text, "the container ran out of memory");
}

TEST(AttemptLife, ABusyServerGivesTheAttemptBack) {
  Driver driver;
  driver.begin();
  driver.feed(InputsReady{});
  EXPECT_EQ(driver.feed(Refused{"409"}),
            (Steps{AttemptStep::kFreeSlot, AttemptStep::kReportRejected, AttemptStep::kForget}));
  EXPECT_EQ(driver.rejected->reject, RejectReason::kBusy);
}

TEST(AttemptLife, CancelBeforeTheStartNeedsNoContainer) {
  Driver driver;
  driver.begin();
  EXPECT_EQ(driver.feed(CancelAsked{}), (Steps{AttemptStep::kFreeSlot, AttemptStep::kMakeResult,
                                               AttemptStep::kReportEnded, AttemptStep::kOffer}));
  EXPECT_EQ(driver.result->outcome, AttemptOutcome::kCanceled);
  EXPECT_EQ(driver.feed(InputsReady{}), Steps{});
}

TEST(AttemptLife, CancelAsksTheServerAndKillsTheContainerAfterItsGrace) {
  Driver driver;
  driver.start();
  EXPECT_EQ(driver.feed(CancelAsked{}), (Steps{AttemptStep::kCancel, AttemptStep::kArmGrace}));
  EXPECT_EQ(driver.feed(CancelAsked{}), Steps{});
  EXPECT_EQ(driver.feed(GracePassed{}), Steps{AttemptStep::kKillContainer});
  driver.feed(ContainerGone{"killed"});
  EXPECT_EQ(driver.result->outcome, AttemptOutcome::kCanceled);
}

TEST(AttemptLife, GraceMeansNothingOnceTheResultIsThere) {
  Driver driver;
  driver.start();
  driver.feed(CancelAsked{});
  driver.feed(ResultArrived{});
  EXPECT_EQ(driver.feed(GracePassed{}), Steps{});
}

TEST(AttemptLife, AModelThatIgnoresItsRunLimitIsKilledAndFailsWithIt) {
  Driver driver;
  driver.start();
  EXPECT_EQ(driver.feed(RunLimitPassed{}), Steps{AttemptStep::kKillContainer});
  driver.feed(ContainerGone{"killed"});
  EXPECT_EQ(driver.result->outcome, AttemptOutcome::kFailed);
  EXPECT_EQ(driver.result->fault, AttemptFault::kRunLimit);
}

TEST(AttemptLife, AModelThatIgnoresItsDeadlineIsKilledAndCanceled) {
  Driver driver;
  driver.start();
  EXPECT_EQ(driver.feed(RunLimitPassed{.is_deadline = true}), Steps{AttemptStep::kKillContainer});
  driver.feed(ContainerGone{"killed"});
  EXPECT_EQ(driver.result->outcome, AttemptOutcome::kCanceled);
}

TEST(AttemptLife, AForgottenAttemptKeepsItsSlotUntilTheContainerIsFreeOfIt) {
  Driver driver;
  driver.start();
  EXPECT_EQ(driver.feed(ForgetAsked{}), (Steps{AttemptStep::kCancel, AttemptStep::kArmGrace}));
  EXPECT_TRUE(driver.life.is_running());
  EXPECT_EQ(driver.feed(ResultArrived{}), (Steps{AttemptStep::kFreeSlot, AttemptStep::kReportEnded,
                                                 AttemptStep::kDropResult, AttemptStep::kForget}));
  EXPECT_TRUE(driver.life.is_done());
}

TEST(AttemptLife, AForgottenResultIsNotOffered) {
  Driver driver;
  driver.start();
  driver.feed(ResultArrived{});
  EXPECT_EQ(driver.feed(ForgetAsked{}), (Steps{AttemptStep::kDropResult, AttemptStep::kForget}));
  EXPECT_EQ(driver.feed(FilesStored{}), Steps{});
}

TEST(AttemptLife, OutputsThatCannotBeStoredFailTheAttempt) {
  Driver driver;
  driver.start();
  driver.feed(ResultArrived{});
  EXPECT_EQ(driver.feed(FilesFailed{"no control plane"}),
            (Steps{AttemptStep::kMakeResult, AttemptStep::kOffer}));
  EXPECT_EQ(driver.result->fault, AttemptFault::kOutputStore);
}

TEST(AttemptLife, AResultFasterThanTheNewsOfItsStartEndsTheAttempt) {
  Driver driver;
  driver.begin();
  driver.feed(InputsReady{});
  EXPECT_EQ(driver.feed(ResultArrived{}),
            (Steps{AttemptStep::kFreeSlot, AttemptStep::kReportEnded, AttemptStep::kStoreFiles}));
  EXPECT_EQ(driver.feed(ModelStarted{}), Steps{});
}

TEST(AttemptLife, AnAdoptedAttemptEndsWithItsResult) {
  Driver driver;
  EXPECT_EQ(driver.note(driver.life.adopt(true)), Steps{});
  EXPECT_TRUE(driver.life.is_running());
  EXPECT_TRUE(driver.life.is_started());
  driver.feed(ResultArrived{});
  EXPECT_EQ(driver.feed(FilesStored{}), Steps{AttemptStep::kOffer});
}

}  // namespace
}  // namespace mimeo::worker
