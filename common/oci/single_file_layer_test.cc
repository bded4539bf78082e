#include "common/oci/single_file_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <string>

#include "common/oci/manifest.h"

namespace mimeo::oci {
namespace {

SingleFileLayer layer_of(const std::string& path, const std::string& content) {
  auto read = [content](std::uint64_t offset, std::span<char> buffer) -> Result<std::size_t> {
    return content.copy(buffer.data(), buffer.size(), static_cast<std::size_t>(offset));
  };
  return SingleFileLayer::make(path, content.size(), read).value();
}

std::string bytes_of(SingleFileLayer& layer, std::size_t piece) {
  std::string out;
  std::string buffer(piece, 'x');
  while (true) {
    const std::size_t got = layer.read(buffer).value();
    if (got == 0) return out;
    out.append(buffer, 0, got);
  }
}

TEST(SingleFileLayer, IsAnArchiveOfOneFile) {
  const std::string content(1'300, 'w');
  SingleFileLayer layer = layer_of("src/weights", content);
  const std::uint64_t size = layer.size_bytes();
  const std::string bytes = bytes_of(layer, 700);
  EXPECT_EQ(bytes.size(), size);
  EXPECT_EQ(layer.digest(), digest_of(bytes));

  archive* in = archive_read_new();
  archive_read_support_format_tar(in);
  ASSERT_EQ(archive_read_open_memory(in, bytes.data(), bytes.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  ASSERT_EQ(archive_read_next_header(in, &entry), ARCHIVE_OK) << archive_error_string(in);
  EXPECT_STREQ(archive_entry_pathname(entry), "src/weights");
  EXPECT_EQ(archive_entry_size(entry), 1'300);
  EXPECT_EQ(archive_entry_filetype(entry), static_cast<unsigned>(AE_IFREG));
  EXPECT_EQ(archive_entry_perm(entry), 0644U);
  EXPECT_EQ(archive_entry_mtime(entry), 0);
  std::string found(content.size(), '\0');
  EXPECT_EQ(archive_read_data(in, found.data(), found.size()), 1'300);
  EXPECT_EQ(found, content);
  EXPECT_EQ(archive_read_next_header(in, &entry), ARCHIVE_EOF);
  archive_read_free(in);
}

TEST(SingleFileLayer, TheSameFileIsTheSameLayerHoweverItIsRead) {
  SingleFileLayer one = layer_of("src/weights", "abc");
  SingleFileLayer two = layer_of("src/weights", "abc");
  EXPECT_EQ(bytes_of(one, 1), bytes_of(two, 4096));
  EXPECT_EQ(one.digest(), two.digest());
}

TEST(SingleFileLayer, AFullLastBlockAndAnEmptyFileNeedNoPadding) {
  EXPECT_EQ(layer_of("w", std::string(512, 'x')).size_bytes(), 512U + 512U + 1024U);
  SingleFileLayer empty = layer_of("w", "");
  EXPECT_EQ(bytes_of(empty, 100).size(), 512U + 1024U);
}

TEST(SingleFileLayer, SizesAboveEightGigabytesAreUnderstood) {
  constexpr std::uint64_t kSize = 9'000'000'000;
  const auto nothing = [](std::uint64_t, std::span<char>) -> Result<std::size_t> { return 0U; };
  SingleFileLayer layer = SingleFileLayer::make("src/weights", kSize, nothing).value();
  EXPECT_EQ(layer.size_bytes(), 512 + kSize + 1024);  // A multiple of 512.
  std::string header(512, 'x');
  ASSERT_EQ(layer.read(header).value(), 512U);
  archive* in = archive_read_new();
  archive_read_support_format_tar(in);
  ASSERT_EQ(archive_read_open_memory(in, header.data(), header.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  ASSERT_EQ(archive_read_next_header(in, &entry), ARCHIVE_OK) << archive_error_string(in);
  EXPECT_EQ(static_cast<std::uint64_t>(archive_entry_size(entry)), kSize);
  archive_read_free(in);
}

TEST(SingleFileLayer, AFileThatGotShorterIsAnError) {
  const auto nothing = [](std::uint64_t, std::span<char>) -> Result<std::size_t> { return 0U; };
  SingleFileLayer layer = SingleFileLayer::make("w", 10, nothing).value();
  std::string buffer(512, 'x');
  ASSERT_TRUE(layer.read(buffer).ok());
  EXPECT_TRUE(absl::IsInternal(layer.read(buffer).status()));
}

TEST(SingleFileLayer, RefusesPathsThatAreNone) {
  const auto nothing = [](std::uint64_t, std::span<char>) -> Result<std::size_t> { return 0U; };
  for (const std::string& path : {std::string(), std::string("/w"), std::string(101, 'x')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SingleFileLayer::make(path, 1, nothing).status())) << path;
  }
}

}  // namespace
}  // namespace mimeo::oci
