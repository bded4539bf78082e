#include "control-plane/http/content.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

std::string range(std::string_view header, std::uint64_t size) {
  const RangeAnswer answer = parse_range(header, size);
  if (answer.kind == RangeKind::kWhole) return "whole";
  if (answer.kind == RangeKind::kUnsatisfiable) return "416";
  return std::to_string(answer.range.first) + "+" + std::to_string(answer.range.length);
}

TEST(Range, FormsOfTheStandard) {
  EXPECT_EQ(range("bytes=0-9", 100), "0+10");
  EXPECT_EQ(range("bytes=90-", 100), "90+10");
  EXPECT_EQ(range("bytes=90-1000", 100), "90+10");
  EXPECT_EQ(range("bytes=-10", 100), "90+10");
  EXPECT_EQ(range("bytes=-1000", 100), "0+100");
  EXPECT_EQ(range("bytes=99-99", 100), "99+1");
}

TEST(Range, BeyondTheEndIsUnsatisfiable) {
  EXPECT_EQ(range("bytes=100-", 100), "416");
  EXPECT_EQ(range("bytes=0-", 0), "416");
  EXPECT_EQ(range("bytes=-0", 100), "416");
}

TEST(Range, WhatIsMalformedOrManyIsIgnored) {
  for (const char* text : {"", "bytes", "bytes=", "bytes=a-b", "bytes=9-1", "lines=1-2",
                           "bytes=0-1,5-6", "bytes=99999999999999999999-"}) {
    EXPECT_EQ(range(text, 100), "whole") << text;
  }
}

TEST(Tags, WeakOnesCountForWhatAClientLacks) {
  EXPECT_TRUE(names_etag("\"a\", W/\"b\"", "b"));
  EXPECT_FALSE(names_etag("\"a\", W/\"b\"", "b", WeakTags::kDoNotCount));
  EXPECT_TRUE(names_etag("\"a\",\"b\"", "b", WeakTags::kDoNotCount));
  EXPECT_TRUE(names_etag("*", "b", WeakTags::kDoNotCount));
}

TEST(ContentType, IsTheGivenOneElseWhatTheNameSays) {
  EXPECT_EQ(content_type_for("", "out-0.png"), "image/png");
  EXPECT_EQ(content_type_for("audio/x-mine", "out-0.png"), "audio/x-mine");
  EXPECT_EQ(content_type_for("no type", "out-0.png"), "image/png");
  EXPECT_EQ(content_type_for("text/x\r\nSet-Cookie: a=b", "x.bin"), "application/octet-stream");
  EXPECT_EQ(content_type_for("", "x.txt"), "text/plain; charset=utf-8");
  EXPECT_EQ(content_type_for("text/csv", "x"), "text/csv; charset=utf-8");
  EXPECT_EQ(content_type_for("text/csv; charset=latin1", "x"), "text/csv; charset=latin1");
  EXPECT_EQ(content_type_for("", "noext"), "application/octet-stream");
}

}  // namespace
}  // namespace mimeo::control
