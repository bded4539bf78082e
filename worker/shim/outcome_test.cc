#include "worker/shim/outcome.h"

#include <gtest/gtest.h>

namespace mimeo::worker {
namespace {

using cog::RunEnd;
using cog::RunStatus;
using std::chrono::milliseconds;

constexpr milliseconds kLimit{1500};

RunEnd finished(RunStatus status, std::string error = "") {
  RunEnd end;
  end.status = status;
  end.error = std::move(error);
  return end;
}
RunEnd lost() {
  RunEnd end;
  end.kind = RunEnd::Kind::kLost;
  return end;
}
ContainerEnd container(ContainerEnd::Kind kind, std::string reason = "") {
  return {kind, std::move(reason), ""};
}

TEST(Outcome, AModelsErrorIsItsOwn) {
  const Ending ending =
      ending_of(finished(RunStatus::kFailed, "E: x"), CancelReason::kNone, kLimit, std::nullopt);
  EXPECT_EQ(ending.outcome, v1::OUTCOME_FAILED);
  EXPECT_EQ(ending.cause, v1::FAILURE_CAUSE_MODEL);
  EXPECT_EQ(ending.error, "E: x");
}

TEST(Outcome, SuccessBeatsACancelThatCameTooLate) {
  for (const auto reason : {CancelReason::kUser, CancelReason::kRunLimit}) {
    EXPECT_EQ(ending_of(finished(RunStatus::kSucceeded), reason, kLimit, std::nullopt).outcome,
              v1::OUTCOME_SUCCEEDED);
  }
}

TEST(Outcome, ACancelIsACancelAlsoWhenItTookAKill) {
  EXPECT_EQ(ending_of(finished(RunStatus::kCanceled), CancelReason::kUser, kLimit, {}).outcome,
            v1::OUTCOME_CANCELED);
  EXPECT_EQ(ending_of(lost(), CancelReason::kUser, kLimit,
                      container(ContainerEnd::Kind::kExited, "killed"))
                .outcome,
            v1::OUTCOME_CANCELED);
}

TEST(Outcome, ADeadlineIsACancel) {
  for (const auto& [end, gone] :
       {std::pair(finished(RunStatus::kCanceled), std::optional<ContainerEnd>()),
        std::pair(lost(), std::optional(container(ContainerEnd::Kind::kExited)))}) {
    const Ending ending = ending_of(end, CancelReason::kDeadline, kLimit, gone);
    EXPECT_EQ(ending.outcome, v1::OUTCOME_CANCELED);
    EXPECT_EQ(ending.error, "");
  }
}

TEST(Outcome, TheRunLimitIsNamedAlsoWhenItTookAKill) {
  for (const auto& [end, gone] :
       {std::pair(finished(RunStatus::kCanceled), std::optional<ContainerEnd>()),
        std::pair(lost(), std::optional(container(ContainerEnd::Kind::kExited)))}) {
    const Ending ending = ending_of(end, CancelReason::kRunLimit, kLimit, gone);
    EXPECT_EQ(ending.cause, v1::FAILURE_CAUSE_RUN_LIMIT);
    EXPECT_EQ(ending.error, "the prediction ran longer than its limit of 1.5 s");
  }
}

TEST(Outcome, AFailureOfTheModelStaysOneWhenACancelWasUnderWay) {
  EXPECT_EQ(ending_of(finished(RunStatus::kFailed, "E"), CancelReason::kUser, kLimit, {}).cause,
            v1::FAILURE_CAUSE_MODEL);
}

TEST(Outcome, ALostContainerSaysWhatIsKnown) {
  const auto of = [](const ContainerEnd& gone) {
    return ending_of(lost(), CancelReason::kNone, kLimit, gone);
  };
  const Ending exited = of(container(ContainerEnd::Kind::kExited, "out of memory"));
  EXPECT_EQ(exited.cause, v1::FAILURE_CAUSE_CONTAINER_EXIT);
  EXPECT_EQ(exited.error, "out of memory");
  EXPECT_EQ(of(container(ContainerEnd::Kind::kUnreachable)).cause,
            v1::FAILURE_CAUSE_CONTAINER_EXIT);
  EXPECT_EQ(of(container(ContainerEnd::Kind::kAlive)).cause, v1::FAILURE_CAUSE_UNHEALTHY);
}

}  // namespace
}  // namespace mimeo::worker
