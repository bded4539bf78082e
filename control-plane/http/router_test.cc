#include "control-plane/http/router.h"

#include <gtest/gtest.h>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

std::vector<std::string> segments(std::string_view path) {
  std::vector<std::string> out;
  for (const std::string_view piece : split(path.substr(1), "/")) out.emplace_back(piece);
  return out;
}

Route route(std::string method, std::string pattern) {
  Route r;
  r.method = std::move(method);
  r.pattern = std::move(pattern);
  r.handler = CallHandler();
  return r;
}

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    router_.add(route("GET", "/predictions"));
    router_.add(route("POST", "/predictions"));
    router_.add(route("GET", "/predictions/{id}"));
    router_.add(route("POST", "/predictions/{id}/cancel"));
    router_.add(route("QUERY", "/models"));
    router_.add(route("GET", "/models/{owner}/{name}"));
    router_.add(route("GET", "/files/{token:5}"));
    router_.add(route("GET", "/files/{id}"));
    router_.add(route("DELETE", "/files/{id}"));
  }
  // "pattern|param|param", or "404", or "405 <allow>".
  std::string find(std::string_view method, std::string_view path) {
    const Match match = router_.find(method, segments(path));
    if (match.route == nullptr) return match.allow.empty() ? "404" : "405 " + match.allow;
    std::string out = match.route->method + " " + match.route->pattern;
    for (const std::string& param : match.params) out += "|" + param;
    return out;
  }
  Router router_;
};

TEST_F(RouterTest, FindsByMethodAndPathAndGivesTheParameters) {
  EXPECT_EQ(find("GET", "/v1/predictions"), "GET /predictions");
  EXPECT_EQ(find("POST", "/v1/predictions"), "POST /predictions");
  EXPECT_EQ(find("POST", "/v1/predictions/abc/cancel"), "POST /predictions/{id}/cancel|abc");
  EXPECT_EQ(find("GET", "/v1/models/acme/hello"), "GET /models/{owner}/{name}|acme|hello");
  EXPECT_EQ(find("QUERY", "/v1/models"), "QUERY /models");
}

TEST_F(RouterTest, TheApiIsThereUnderItsAliases) {
  for (const char* path : {"/v1/predictions", "/predictions", "/v1/v1/predictions",
                           "/v1/predictions/", "//predictions"}) {
    EXPECT_EQ(find("GET", path), "GET /predictions") << path;
  }
}

TEST_F(RouterTest, AnAbsoluteUrlBehindTheBaseIsRoutedToItsPath) {
  EXPECT_EQ(find("GET", "/v1/https://api.example/v1/predictions"), "GET /predictions");
  EXPECT_EQ(find("GET", "/v1/http:/127.0.0.1:80/predictions/abc"), "GET /predictions/{id}|abc");
  EXPECT_EQ(find("GET", "/v1/https:"), "404");
}

TEST_F(RouterTest, HeadIsServedByGet) {
  EXPECT_EQ(find("HEAD", "/v1/predictions/abc"), "GET /predictions/{id}|abc");
}

TEST_F(RouterTest, AnUnknownMethodNamesTheKnownOnes) {
  EXPECT_EQ(find("PUT", "/v1/predictions"), "405 GET, HEAD, POST");
  EXPECT_EQ(find("GET", "/v1/predictions/abc/cancel"), "405 POST");
}

TEST_F(RouterTest, AnUnknownPathIsNotFound) {
  EXPECT_EQ(find("GET", "/v1/nothing"), "404");
  EXPECT_EQ(find("GET", "/v1"), "404");
  EXPECT_EQ(find("GET", "/v1/predictions/a/b/c/d/e"), "404");
  EXPECT_EQ(find("GET", "/v2/predictions"), "404");
}

TEST_F(RouterTest, TheLengthOfASegmentMayChooseTheRoute) {
  EXPECT_EQ(find("GET", "/v1/files/12345"), "GET /files/{token:5}|12345");
  EXPECT_EQ(find("GET", "/v1/files/123456"), "GET /files/{id}|123456");
  EXPECT_EQ(find("DELETE", "/v1/files/12345"), "DELETE /files/{id}|12345");
}

}  // namespace
}  // namespace mimeo::control
