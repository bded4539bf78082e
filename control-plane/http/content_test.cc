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

TEST(ContentType, GoesByTheExtension) {
  EXPECT_EQ(content_type_of("out-0.png"), "image/png");
  EXPECT_EQ(content_type_of("a.b.JPG"), "image/jpeg");
  EXPECT_EQ(content_type_of("x.txt"), "text/plain; charset=utf-8");
  EXPECT_EQ(content_type_of("weights.safetensors"), "application/octet-stream");
  EXPECT_EQ(content_type_of("noext"), "application/octet-stream");
}

}  // namespace
}  // namespace mimeo::control
