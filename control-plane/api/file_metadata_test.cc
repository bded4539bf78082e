#include "control-plane/api/file_metadata.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

TEST(FileMetadata, IsAnEmptyObjectWithoutAnyPart) { EXPECT_EQ(FileMetadata().json(), "{}"); }

TEST(FileMetadata, FieldsAndTextAreMergedAndFieldsWin) {
  FileMetadata metadata;
  EXPECT_EQ(metadata.set_text(R"({"a":1,"b":2})"), absl::OkStatus());
  EXPECT_EQ(metadata.add_field("metadata[b]", "field"), absl::OkStatus());
  EXPECT_EQ(metadata.add_field("metadata[c][d]", "deep"), absl::OkStatus());
  EXPECT_EQ(metadata.json(), R"({"a":1,"b":"field","c":{"d":"deep"}})");
}

TEST(FileMetadata, NullAndBlanksAreNoMetadata) {
  FileMetadata metadata;
  EXPECT_EQ(metadata.set_text("null"), absl::OkStatus());
  EXPECT_EQ(metadata.set_text(" \r\n"), absl::OkStatus());
  EXPECT_EQ(metadata.json(), "{}");
}

TEST(FileMetadata, WhatIsNoObjectIsRefused) {
  FileMetadata metadata;
  EXPECT_TRUE(absl::IsInvalidArgument(metadata.set_text("[1]")));
  EXPECT_TRUE(absl::IsInvalidArgument(metadata.set_text("{")));
}

// A part's name may be thousands of brackets long; no database takes JSON as deep as that.
TEST(FileMetadata, DoesNotNestWithoutEnd) {
  std::string name = "metadata";
  for (int i = 0; i < 127; ++i) name += "[a]";
  FileMetadata metadata;
  EXPECT_EQ(metadata.add_field(name, "x"), absl::OkStatus());
  EXPECT_TRUE(absl::IsInvalidArgument(metadata.add_field(name + "[a]", "x")));
}

}  // namespace
}  // namespace mimeo::control
