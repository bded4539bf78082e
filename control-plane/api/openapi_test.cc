// The API's description as it is served, and that it describes the routes: no more and no less.
// Every other test of this folder holds each response against it (testing/api_fixture.h).

#include <set>

#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using Operations = std::set<std::string>;

// "GET /files/{}": names of parameters are not compared, and two routes that differ only in a
// parameter's length are one operation.
std::string operation(std::string method, std::string_view pattern) {
  std::string out = std::move(method) + " ";
  bool is_inside = false;
  for (const char c : pattern) {
    if (c == '}') is_inside = false;
    if (!is_inside) out.push_back(c);
    if (c == '{') is_inside = true;
  }
  return out;
}

class OpenApiTest : public ApiTest {};

TEST_F(OpenApiTest, DescribesExactlyTheRoutes) {
  Operations served;
  for (const Route& route : router_->routes())
    served.insert(operation(route.method, route.pattern));
  Operations described;
  const nlohmann::json paths = get("/v1/openapi.json").json()["paths"];
  for (const auto& [path, item] : paths.items()) {
    for (const auto& [key, value] : item.items()) {
      if (key == "parameters") continue;
      std::string method = key == "x-query" ? "query" : key;
      std::transform(method.begin(), method.end(), method.begin(), ::toupper);
      described.insert(operation(std::move(method), path));
    }
  }
  EXPECT_EQ(described, served);
}

TEST_F(OpenApiTest, IsServedToAnybodyBelowTheRootAndTheVersion) {
  const Reply reply = call("GET", "/openapi.json", "", {{"Authorization", ""}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Content-Type"), "application/json");
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(reply.header("ratelimit-remaining"), "");
  EXPECT_EQ(reply.json()["servers"][0]["url"], "https://mimeo.example/v1");
  EXPECT_EQ(get("/v1/openapi.json").body, reply.body);
}

TEST_F(OpenApiTest, IsNotSentToWhoHasIt) {
  const std::string etag = get("/openapi.json").header("ETag");
  const Reply reply = call("GET", "/openapi.json", "", {{"If-None-Match", etag}});
  EXPECT_EQ(reply.status, 304);
  EXPECT_EQ(reply.header("ETag"), etag);
  EXPECT_EQ(reply.body, "");
}

// The check of every response must itself be able to find something.
class ResponseCheckerTest : public ::testing::Test {
 protected:
  static std::vector<std::string> problems(int status, std::string type, std::string body) {
    const Result<OpenApiDocument> document = openapi_document("https://x");
    ResponseChecker checker(nlohmann::json::parse(document->text));
    http::Response response;
    response.status = status;
    response.headers.add("X-Request-Id", "r");
    if (!type.empty()) response.headers.add("Content-Type", std::move(type));
    response.body = std::move(body);
    return checker.check("GET", "/v1/hardware?x=y", response);
  }
};

TEST_F(ResponseCheckerTest, AcceptsWhatIsDescribed) {
  EXPECT_EQ(problems(200, "application/json", R"([{"sku":"cpu","name":"CPU"}])").size(), 0U);
}

TEST_F(ResponseCheckerTest, FindsAStatusThatIsNotDescribed) {
  const auto found = problems(418, "application/json", "{}");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(
      found[0],
      "GET /v1/hardware?x=y 418: #/paths/~1hardware/get/responses: this status is not described");
}

TEST_F(ResponseCheckerTest, FindsABodyOfAnotherShape) {
  EXPECT_EQ(problems(200, "application/json", R"([{"sku":"cpu"}])").size(), 1U);
  EXPECT_EQ(problems(200, "application/json", R"([{"sku":"cpu","name":"CPU","more":1}])").size(),
            1U);
  EXPECT_EQ(problems(200, "application/json", R"([{"sku":1,"name":"CPU"}])").size(), 1U);
  EXPECT_EQ(problems(200, "text/plain", "[]").size(), 1U);
  EXPECT_EQ(problems(200, "application/json", "[").size(), 1U);
}

TEST_F(ResponseCheckerTest, FindsAHeaderThatIsMissing) {
  // 401 must say how to authenticate.
  const auto found =
      problems(401, "application/problem+json", R"({"title":"x","detail":"y","status":401})");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].find("WWW-Authenticate: it is missing"), std::string::npos) << found[0];
}

}  // namespace
}  // namespace mimeo::control
