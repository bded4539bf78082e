#include "control-plane/http/front_page.h"

#include <gtest/gtest.h>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

http::RequestHead head(const std::string& method, const std::string& path) {
  http::RequestHead head;
  head.method = method;
  head.path = path;
  const std::string_view behind_the_slash = std::string_view(path).substr(1);
  for (const std::string_view piece : split(behind_the_slash, "/"))
    head.segments.emplace_back(piece);
  return head;
}

constexpr const char* kId = "01hwst0bb05rgp0cf0p29mzk2a";

class Pages : public testing::Test {
 protected:
  Pages() {
    for (const char* pattern : {"/predictions/{id}", "/files/{id}/download", "/openapi.json"}) {
      Route route;
      route.method = "GET";
      route.pattern = pattern;
      router_.add(std::move(route));
    }
  }
  // Empty where there is none.
  std::string page(const std::string& method, const std::string& path) {
    const auto page = page_for(head(method, path), urls_, router_);
    if (!page) return "";
    EXPECT_EQ(page->status, 200);
    EXPECT_EQ(page->headers.get("Content-Type"), "text/html; charset=utf-8");
    EXPECT_EQ(page->headers.get("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(page->headers.get("Content-Security-Policy"),
              "default-src 'none'; frame-ancestors 'none'");
    return page->body;
  }
  Router router_;
  Urls urls_{"https://models.example/?a=<b>"};
};

TEST(FrontPage, IsOnlyTheRoot) {
  EXPECT_TRUE(is_front_page(head("GET", "/")));
  EXPECT_TRUE(is_front_page(head("HEAD", "/")));
  EXPECT_FALSE(is_front_page(head("POST", "/")));
  EXPECT_FALSE(is_front_page(head("GET", "/v1")));
}

TEST(FrontPage, SaysWhereTheApiIs) {
  const http::Response page = front_page(Urls("https://models.example/?a=<b>"));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.get("Content-Type"), "text/html; charset=utf-8");
  EXPECT_NE(page.body.find("https://models.example/?a=&lt;b&gt;/v1/models"), std::string::npos);
  EXPECT_NE(page.body.find("The public models"), std::string::npos) << "the list has no others";
  EXPECT_EQ(page.body.find("<b>"), std::string::npos) << "not escaped";
}

TEST_F(Pages, APredictionsAddressSaysHowToReadIt) {
  const std::string body = page("GET", std::string("/p/") + kId);
  EXPECT_NE(body.find(std::string("?a=&lt;b&gt;/v1/predictions/") + kId + "'"), std::string::npos)
      << body;
  EXPECT_EQ(body.find("<b>"), std::string::npos) << "not escaped";
  EXPECT_EQ(page("HEAD", std::string("/p/") + kId), body);
}

TEST_F(Pages, AModelsAddressSaysHowToRunIt) {
  const std::string body = page("GET", "/acme/hello.v2");
  EXPECT_NE(body.find("<h1>acme/hello.v2</h1>"), std::string::npos) << body;
  EXPECT_NE(body.find("?a=&lt;b&gt;/v1/models/acme/hello.v2'"), std::string::npos) << body;
  EXPECT_NE(body.find("/v1/models/acme/hello.v2/predictions'"), std::string::npos) << body;
  EXPECT_EQ(body.find("<b>"), std::string::npos) << "not escaped";
  EXPECT_NE(page("GET", "/p/hello"), "") << "an account may have that name";
}

TEST_F(Pages, ACallWithATokenIsNoVisit) {
  http::RequestHead call = head("GET", "/acme/hello");
  EXPECT_TRUE(page_for(call, urls_, router_));
  call.headers.add("Authorization", "Bearer r8_x");
  EXPECT_FALSE(page_for(call, urls_, router_));
}

TEST_F(Pages, NothingElseHasOne) {
  for (const char* path :
       {"/", "/acme", "/acme/hello/versions", "/acme/<b>", "/Acme/hello", "/acme/-", "/v1/hello",
        "/v2/hello", "/predictions/hello", "/files/hello", "/openapi.json/x", "/registry/token",
        "/registry/other", "/cog/v1", "/metrics/x", "/p/NO"}) {
    EXPECT_EQ(page("GET", path), "") << path;
  }
  EXPECT_EQ(page("POST", "/acme/hello"), "");
  EXPECT_EQ(page("OPTIONS", std::string("/p/") + kId), "");
}

}  // namespace
}  // namespace mimeo::control
