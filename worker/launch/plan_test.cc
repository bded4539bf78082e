#include "worker/launch/plan.h"

#include <gtest/gtest.h>

namespace mimeo::worker {
namespace {

TEST(LaunchPlan, SurvivesItsFile) {
  LaunchPlan plan;
  plan.instance = *Uuid::parse("01hzyyyyyyyyyyyyyyyyyyyyyy");
  plan.image = {"127.0.0.1:5000", "alice/hello", "sha256:" + std::string(64, 'a')};
  plan.command = {"/model", "--say", "a \"b\"\n"};
  plan.env = {"A=1", "B="};
  plan.root = RootFilesystem::kReadOnly;
  plan.memory = 2_GiB;
  const auto again = parse_plan(to_json(plan));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->instance, plan.instance);
  EXPECT_EQ(again->image, plan.image);
  EXPECT_EQ(again->command, plan.command);
  EXPECT_EQ(again->env, plan.env);
  EXPECT_EQ(again->root, plan.root);
  EXPECT_EQ(again->memory, plan.memory);
  EXPECT_TRUE(absl::IsInvalidArgument(parse_plan("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(parse_plan(R"({"instance":7})").status()));
}

TEST(LaunchPlan, AnEndSurvivesItsFile) {
  ContainerExit exit;
  exit.code = 137;
  exit.is_out_of_memory = true;
  exit.engine_error = "bytes that are no text: \xff";
  const auto again = parse_exit(to_json(exit));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->code, 137);
  EXPECT_TRUE(again->is_out_of_memory);
  EXPECT_EQ(parse_exit(to_json(ContainerExit{}))->code, std::nullopt);
}

TEST(LaunchPlan, AStatusSurvivesAPipe) {
  EXPECT_TRUE(parse_status(to_text(absl::OkStatus())).ok());
  const Status status = absl::InvalidArgumentError("no such file: /model");
  EXPECT_EQ(parse_status(to_text(status)), status);
  EXPECT_TRUE(absl::IsInternal(parse_status("half of")));
}

}  // namespace
}  // namespace mimeo::worker
