#include "worker/files/data_url.h"

#include <gtest/gtest.h>

namespace mimeo::worker {
namespace {

TEST(DataUrl, DecodesBase64AndPlainText) {
  const auto base64 = parse_data_url("data:image/png;base64,aGVsbG8=");
  ASSERT_TRUE(base64);
  EXPECT_EQ(base64->content_type, "image/png");
  EXPECT_EQ(base64->content, "hello");

  const auto plain = parse_data_url("data:,a%20b");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->content_type, "text/plain");
  EXPECT_EQ(plain->content, "a b");

  const auto parameters = parse_data_url("DATA:text/plain;charset=utf-8;base64,aGk%3D");
  ASSERT_TRUE(parameters);
  EXPECT_EQ(parameters->content_type, "text/plain");
  EXPECT_EQ(parameters->content, "hi");
}

TEST(DataUrl, RefusesWhatIsNone) {
  EXPECT_FALSE(parse_data_url("https://example.com/a.png"));
  EXPECT_FALSE(parse_data_url("data:image/png;base64"));
  EXPECT_FALSE(parse_data_url("data:image/png;base64,***"));
}

TEST(DataUrl, IsTheReverseOfItself) {
  const auto again = parse_data_url(make_data_url("audio/wav", std::string("\0\1\2", 3)));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->content, std::string("\0\1\2", 3));
}

TEST(Filenames, ComeFromThePathOfAUrl) {
  EXPECT_EQ(filename_of_url("https://example.com/a/cat%20one.png?sig=x/y#z"), "cat one.png");
  EXPECT_EQ(filename_of_url("https://example.com/%C3%BCber.png"), "über.png");
  EXPECT_EQ(filename_of_url("https://example.com/..%2F..%2Fetc%2Fpasswd"), "passwd");
  EXPECT_EQ(filename_of_url("https://example.com/100%.txt"), "100%.txt");
  EXPECT_EQ(filename_of_url("https://example.com"), "file");
  EXPECT_EQ(filename_of_url("https://example.com/"), "file");
}

}  // namespace
}  // namespace mimeo::worker
