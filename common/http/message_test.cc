#include "common/http/message.h"

#include <gtest/gtest.h>

namespace mimeo::http {
namespace {

TEST(Headers, CompareNamesWithoutCaseAndKeepRepeats) {
  Headers headers;
  headers.add("Set-Cookie", "a");
  headers.add("X", "1");
  headers.add("set-cookie", "b");
  EXPECT_EQ(headers.get("SET-COOKIE"), "a");
  EXPECT_EQ(headers.fields().size(), 3U);
  headers.set("set-Cookie", "c");
  EXPECT_EQ(headers.fields().size(), 2U);
  EXPECT_EQ(headers.get("Set-Cookie"), "c");
  headers.remove("set-cookie");
  EXPECT_FALSE(headers.find("Set-Cookie"));
  headers.set("New", "n");
  EXPECT_EQ(headers.get("new"), "n");
}

TEST(Percent, DecodesWhatItEncoded) {
  const std::string all = "a b/c?d=e&f+g%\n\xc3\xbc~._-";
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
  EXPECT_EQ(percent_encode("a b~/"), "a%20b~%2F");
  EXPECT_EQ(percent_decode("a+b"), "a+b");
}

TEST(Percent, RefusesMalformedEscapes) {
  for (const char* text : {"%", "%4", "%zz", "a%4g"}) EXPECT_FALSE(percent_decode(text)) << text;
}

TEST(HttpDate, IsInEnglishAndUtc) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace mimeo::http
