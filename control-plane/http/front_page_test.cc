#include "control-plane/http/front_page.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

http::RequestHead head(const std::string& method, const std::string& path) {
  http::RequestHead head;
  head.method = method;
  head.path = path;
  return head;
}

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
  EXPECT_EQ(page.body.find("<b>"), std::string::npos) << "not escaped";
}

}  // namespace
}  // namespace mimeo::control
