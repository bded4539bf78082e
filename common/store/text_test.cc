#include "common/store/text.h"

#include <gtest/gtest.h>

namespace mimeo::store {
namespace {

TEST(SanitizeText, LeavesGoodTextAlone) {
  for (const std::string text :
       {"", "plain ascii that is longer than a word", "ünï — ☃ 😀", "tab\t and \x01 and \x7F"}) {
    EXPECT_TRUE(is_storable(text));
    EXPECT_EQ(sanitize_text(text), text);
  }
}

TEST(SanitizeText, ReplacesNulAndMalformedBytes) {
  const auto cleaned = [](std::string_view text) {
    EXPECT_FALSE(is_storable(text));
    const std::string out = sanitize_text(text);
    EXPECT_TRUE(is_storable(out));
    return out;
  };
  EXPECT_EQ(cleaned(std::string_view("a\0b", 3)), "a\uFFFDb");
  EXPECT_EQ(cleaned("12345678\xFF"), "12345678\uFFFD");
  EXPECT_EQ(cleaned("\xC0\x80"), "\uFFFD\uFFFD") << "overlong";
  EXPECT_EQ(cleaned("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD") << "surrogate";
  EXPECT_EQ(cleaned("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD") << "above U+10FFFF";
  EXPECT_EQ(cleaned("cut \xE2\x98"), "cut \uFFFD\uFFFD");
}

}  // namespace
}  // namespace mimeo::store
