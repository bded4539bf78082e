#include "common/base/file_names.h"

#include <gtest/gtest.h>

namespace mimeo {
namespace {

TEST(FileNames, StayAsTheirOwnersGaveThem) {
  for (const char* name : {"cat.png", "Übersicht März.pdf", "写真 (1).jpg", "a+b & c.txt",
                           "no ending", "what?.txt", "emoji 🐈.gif"}) {
    EXPECT_EQ(harmless_file_name(name), name);
  }
}

TEST(FileNames, LeadNowhereAndHideNothing) {
  EXPECT_EQ(harmless_file_name("../../etc/passwd"), "passwd");
  EXPECT_EQ(harmless_file_name(".hidden"), "hidden");
  EXPECT_EQ(harmless_file_name("..."), "file");
  EXPECT_EQ(harmless_file_name("..", "output"), "output");
  EXPECT_EQ(harmless_file_name("a/"), "file");
  EXPECT_EQ(harmless_file_name(""), "file");
}

TEST(FileNames, HaveNoControlCharactersAndNothingMalformed) {
  EXPECT_EQ(harmless_file_name("a\r\nb\tc\x7F.txt"), "abc.txt");
  EXPECT_EQ(harmless_file_name(std::string_view("a\0b", 3)), "ab");
  EXPECT_EQ(harmless_file_name("a\xC2\x85z"), "az") << "U+0085";
  EXPECT_EQ(harmless_file_name("\x01.x"), "x");
  for (const char* broken :
       {"a\xFFz", "a\xC3z", "a\xC0\xAFz", "a\xED\xA0\x80z", "a\xF5\x80\x80\x80z", "az\xE2\x82"}) {
    EXPECT_EQ(harmless_file_name(broken), "az");
  }
}

TEST(FileNames, AreShortEnoughAndKeepTheirEnding) {
  const std::string plain = harmless_file_name(std::string(300, 'a') + ".webp");
  EXPECT_EQ(plain.size(), kLongestFileName);
  EXPECT_TRUE(plain.ends_with("a.webp"));
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "写";
  const std::string cut = harmless_file_name(wide + ".png");
  EXPECT_EQ(cut.size(), 65 * 3 + 4U) << "no character is cut";
  EXPECT_TRUE(cut.ends_with("写.png"));
}

TEST(FileTypes, GoByTheEndingAndBack) {
  EXPECT_EQ(type_of_file_name("OUT.PNG"), "image/png");
  EXPECT_EQ(type_of_file_name("a.b.JPG"), "image/jpeg");
  EXPECT_EQ(type_of_file_name("archive"), "application/octet-stream");
  EXPECT_EQ(type_of_file_name("weights.safetensors"), "application/octet-stream");
  for (const char* name : {"a.tif", "a.avi", "a.opus", "a.weba", "a.vtt", "a.srt", "a.ply", "a.stl",
                           "a.gltf", "a.glb", "a.heic"}) {
    EXPECT_NE(type_of_file_name(name), "application/octet-stream") << name;
  }
  EXPECT_EQ(ending_of_type("image/jpeg"), ".jpg");
  EXPECT_EQ(ending_of_type("Text/Plain; charset=utf-8"), ".txt");
  EXPECT_EQ(ending_of_type("application/x-nobody-knows"), "");
}

TEST(FileTypes, OnlyWhatIsATypeIsTaken) {
  EXPECT_EQ(checked_content_type("image/png"), "image/png");
  EXPECT_EQ(checked_content_type("Text/HTML; Charset=UTF-8"), "text/html; Charset=UTF-8");
  EXPECT_EQ(checked_content_type("application/vnd.ms-excel"), "application/vnd.ms-excel");
  for (const char* bad : {"", "png", "/", "a/", "/b", "a/b/c", "a b/c", "text/html\r\nX: y",
                          "text/\xC3\xA9", "text/html; \x7F"}) {
    EXPECT_EQ(checked_content_type(bad), "") << bad;
  }
  EXPECT_EQ(checked_content_type("a/" + std::string(300, 'b')), "");
}

}  // namespace
}  // namespace mimeo
