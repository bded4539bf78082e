#include "common/store/search_words.h"

#include <gtest/gtest.h>

namespace mimeo::store {
namespace {

using Words = std::vector<std::string>;

TEST(SearchWords, AreLowerCaseWithoutPunctuation) {
  EXPECT_EQ(search_words("Stable-Diffusion_XL v1.5, 100%!", 12),
            (Words{"stable", "diffusion", "xl", "v1", "5", "100"}));
  EXPECT_EQ(search_words("'a' & (b | !c:*)\\", 12), (Words{"a", "b", "c"}));
  EXPECT_EQ(search_words(" \t%%% ", 12), Words{});
}

TEST(SearchWords, KeepOtherAlphabets) {
  EXPECT_EQ(search_words("Čau 猫", 12), (Words{"Čau", "猫"}));
}

TEST(SearchWords, AreBounded) {
  EXPECT_EQ(search_words("a b c d", 2), (Words{"a", "b"}));
  EXPECT_EQ(search_words(std::string(1000, 'x'), 12), Words{std::string(60, 'x')});
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "猫";  // 3 bytes each.
  const Words cut = search_words("a" + wide, 12);
  ASSERT_EQ(cut.size(), 1U);
  EXPECT_EQ(cut[0].size(), 58U) << "whole characters";
}

}  // namespace
}  // namespace mimeo::store
