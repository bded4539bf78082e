#include "control-plane/http/problem.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

std::string type_of(const http::Response& response) {
  return std::string(response.headers.get("Content-Type"));
}

TEST(Problem, AMissingTokenAndABadOneReadAsClientsKnowThem) {
  EXPECT_EQ(
      problem::no_token().body,
      R"({"title":"Unauthenticated","detail":"You did not pass an authentication token","status":401})");
  EXPECT_EQ(
      problem::bad_token().body,
      R"({"title":"Unauthenticated","detail":"You did not pass a valid authentication token","status":401})");
  EXPECT_EQ(problem::bad_token().status, 401);
  EXPECT_EQ(type_of(problem::bad_token()), "application/problem+json");
}

TEST(Problem, NotFoundHasNoTitle) {
  EXPECT_EQ(problem::not_found().body,
            R"({"detail":"The requested resource could not be found.","status":404})");
  EXPECT_EQ(problem::file_not_found().body, R"({"detail":"File not found"})");
  EXPECT_EQ(problem::destination_not_found().body,
            R"({"detail":"The specified training destination does not exist","status":404})");
}

TEST(Problem, InputProblemsAreListedTwice) {
  const http::Response response = problem::input_invalid(
      {{"required", "input", "prompt is required"},
       {"number_lte", "input.num_inference_steps", "Must be less than or equal to 4"}});
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(
      response.body,
      R"({"detail":"- input: prompt is required\n- input.num_inference_steps: Must be less than or equal to 4\n","status":422,"title":"Input validation failed","invalid_fields":[{"type":"required","field":"input","description":"prompt is required"},{"type":"number_lte","field":"input.num_inference_steps","description":"Must be less than or equal to 4"}]})");
}

TEST(Problem, AtTheRootOfTheBodyThePrefixIsDropped) {
  const http::Response response = problem::input_invalid(
      {{"required", "", "version is required"},
       {"additional_property_not_allowed", "", "Additional property model is not allowed"}});
  EXPECT_NE(
      response.body.find(
          R"("detail":"- version is required\n- Additional property model is not allowed\n")"),
      std::string::npos)
      << response.body;
}

TEST(Problem, FieldProblemsCarryPointers) {
  EXPECT_EQ(
      problem::validation_failed({{"/hardware", "gpu-t4 is not a valid hardware SKU."}}).body,
      R"({"status":400,"title":"Validation failed","detail":"The following errors occurred:\n- hardware: gpu-t4 is not a valid hardware SKU.","errors":[{"pointer":"/hardware","detail":"gpu-t4 is not a valid hardware SKU."}]})");
}

TEST(Problem, ADuplicateModelSaysTheKnownSentenceTwice) {
  const http::Response response = problem::model_exists();
  EXPECT_EQ(response.status, 409);
  const std::string sentence = "A model with that name and owner already exists.";
  const auto first = response.body.find(sentence);
  ASSERT_NE(first, std::string::npos);
  EXPECT_NE(response.body.find(sentence, first + 1), std::string::npos);
}

TEST(Problem, ThrottlingSaysWhenToComeBack) {
  const http::Response response = problem::throttled(30);
  EXPECT_EQ(
      response.body,
      R"({"detail":"Request was throttled. Your rate limit resets in ~30s.","status":429,"retry_after":30})");
  EXPECT_EQ(response.headers.get("Retry-After"), "30");
}

TEST(Problem, OtherLimitsSayItToo) {
  const http::Response response = problem::from_status(absl::ResourceExhaustedError("full"), "r1");
  EXPECT_EQ(response.body,
            R"({"title":"Too many requests","detail":"full","status":429,"retry_after":1})");
  EXPECT_EQ(response.headers.get("Retry-After"), "1");
}

TEST(Problem, OtherBodiesOfTheReference) {
  EXPECT_EQ(problem::search_without_query().body,
            R"({"detail":"Query parameter \"query\" is required"})");
  EXPECT_EQ(problem::file_too_large(100'000'000).body,
            R"({"detail":"Files must be less than 100MB in size"})");
  EXPECT_EQ(
      problem::invalid_version().body,
      R"x({"title":"Invalid version or not permitted","detail":"The specified version does not exist (or perhaps you don't have permission to use it?)","status":422})x");
}

TEST(Problem, StatusCodesOfOursBecomeHttp) {
  const auto code = [](const Status& status) { return problem::from_status(status, "r1").status; };
  EXPECT_EQ(code(absl::InvalidArgumentError("x")), 400);
  EXPECT_EQ(code(absl::OutOfRangeError("x")), 400);
  EXPECT_EQ(code(absl::UnauthenticatedError("x")), 401);
  EXPECT_EQ(code(absl::PermissionDeniedError("x")), 403);
  EXPECT_EQ(code(absl::NotFoundError("x")), 404);
  EXPECT_EQ(code(absl::AlreadyExistsError("x")), 409);
  EXPECT_EQ(code(absl::FailedPreconditionError("x")), 409);
  EXPECT_EQ(code(absl::AbortedError("x")), 409);
  EXPECT_EQ(code(absl::ResourceExhaustedError("x")), 429);
  EXPECT_EQ(code(absl::UnavailableError("x")), 503);
  EXPECT_EQ(code(absl::DeadlineExceededError("x")), 503);
  EXPECT_EQ(code(absl::InternalError("x")), 500);
}

TEST(Problem, OurOwnFaultsTellNothingButTheRequestId) {
  const http::Response response =
      problem::from_status(absl::InternalError("password is hunter2"), "req-7");
  EXPECT_EQ(response.body.find("hunter2"), std::string::npos);
  EXPECT_NE(response.body.find("req-7"), std::string::npos);
  EXPECT_TRUE(problem::is_our_fault(absl::InternalError("x")));
  EXPECT_FALSE(problem::is_our_fault(absl::NotFoundError("x")));
}

}  // namespace
}  // namespace mimeo::control
