#include "common/oci/image_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <vector>

namespace mimeo::oci {
namespace {

namespace fs = std::filesystem;

struct Item {
  std::string name;
  std::string content;  // Of a file; the target of a link.
  unsigned type = AE_IFREG;
  mode_t mode = 0644;
  bool is_hard_link = false;
};
Item file(std::string name, std::string content, mode_t mode = 0644) {
  return {std::move(name), std::move(content), AE_IFREG, mode, false};
}
Item directory(std::string name, mode_t mode = 0755) {
  return {std::move(name), "", AE_IFDIR, mode, false};
}
Item link(std::string name, std::string target) {
  return {std::move(name), std::move(target), AE_IFLNK, 0777, false};
}
Item hard_link(std::string name, std::string target) {
  return {std::move(name), std::move(target), AE_IFREG, 0644, true};
}

enum class Packing { kPlain, kGzip, kZstd };

class ImageUnpackTest : public testing::Test {
 protected:
  ImageUnpackTest() {
    fs::create_directories(rootfs_);
    std::ofstream(base_ / "outside") << "untouched";
  }
  ~ImageUnpackTest() override { fs::remove_all(base_); }

  void add_layer(const std::vector<Item>& items, Packing packing = Packing::kGzip) {
    const fs::path path = base_ / ("layer" + std::to_string(layers_.size()));
    archive* out = archive_write_new();
    archive_write_set_format_pax_restricted(out);
    if (packing == Packing::kGzip) archive_write_add_filter_gzip(out);
    if (packing == Packing::kZstd) archive_write_add_filter_zstd(out);
    EXPECT_EQ(archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
    for (const auto& item : items) {
      archive_entry* entry = archive_entry_new();
      archive_entry_set_pathname(entry, item.name.c_str());
      archive_entry_set_filetype(entry, item.type);
      archive_entry_set_perm(entry, item.mode);
      const bool has_data = item.type == AE_IFREG && !item.is_hard_link;
      if (item.type == AE_IFLNK) archive_entry_set_symlink(entry, item.content.c_str());
      if (item.is_hard_link) archive_entry_set_hardlink(entry, item.content.c_str());
      archive_entry_set_size(entry, has_data ? static_cast<la_int64_t>(item.content.size()) : 0);
      EXPECT_EQ(archive_write_header(out, entry), ARCHIVE_OK) << archive_error_string(out);
      if (has_data) archive_write_data(out, item.content.data(), item.content.size());
      archive_entry_free(entry);
    }
    archive_write_close(out);
    archive_write_free(out);
    layers_.push_back(path);
  }
  Status unpack(const UnpackLimits& limits = {}) { return unpack_layers(layers_, rootfs_, limits); }
  std::string read(const fs::path& path) const {
    std::ifstream in(rootfs_ / path);
    std::stringstream out;
    out << in.rdbuf();
    return in ? out.str() : "(none)";
  }
  [[nodiscard]] bool exists(const fs::path& path) const {
    return fs::exists(fs::symlink_status(rootfs_ / path));
  }
  std::string outside() const {
    std::ifstream in(base_ / "outside");
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
  }

  const fs::path base_ =
      fs::temp_directory_path() / ("mimeo_image_unpack_test_" + std::to_string(::getpid()));
  const fs::path rootfs_ = base_ / "rootfs";
  std::vector<fs::path> layers_;
};

TEST_F(ImageUnpackTest, LaterLayersCoverEarlierOnesInEveryPacking) {
  add_layer({directory("bin"), file("bin/run", "v1", 0755), file("etc/a", "a")}, Packing::kPlain);
  add_layer({file("bin/run", "v2", 0755)}, Packing::kGzip);
  add_layer({file("./etc/b", "b"), file("/etc/c", "c")}, Packing::kZstd);
  ASSERT_EQ(unpack(), absl::OkStatus());
  EXPECT_EQ(read("bin/run"), "v2");
  EXPECT_EQ(read("etc/a"), "a");
  EXPECT_EQ(read("etc/b"), "b");
  EXPECT_EQ(read("etc/c"), "c");
  struct stat info {};
  ASSERT_EQ(::stat((rootfs_ / "bin/run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0755U);
}

TEST_F(ImageUnpackTest, WhiteoutsRemoveWhatLowerLayersHad) {
  add_layer({file("d/gone", "x"), file("d/stays", "x"), file("e/f/g", "x")});
  add_layer({file("d/.wh.gone", ""), file(".wh.e", "")});
  ASSERT_EQ(unpack(), absl::OkStatus());
  EXPECT_FALSE(exists("d/gone"));
  EXPECT_TRUE(exists("d/stays"));
  EXPECT_FALSE(exists("e"));
  EXPECT_FALSE(exists("d/.wh.gone"));
}

TEST_F(ImageUnpackTest, AnOpaqueDirectoryKeepsOnlyItsOwnLayerWhateverTheOrder) {
  add_layer({file("d/old", "x"), file("d/sub/old", "x"), file("d/sub/both", "old")});
  add_layer({file("d/sub/both", "new"), file("d/.wh..wh..opq", ""), file("d/new", "x")});
  ASSERT_EQ(unpack(), absl::OkStatus());
  EXPECT_FALSE(exists("d/old"));
  EXPECT_FALSE(exists("d/sub/old"));
  EXPECT_EQ(read("d/sub/both"), "new");
  EXPECT_TRUE(exists("d/new"));
}

TEST_F(ImageUnpackTest, FilesDirectoriesAndLinksReplaceEachOther) {
  add_layer({file("a", "file"), directory("b"), file("b/inner", "x"), link("c", "b")});
  add_layer({directory("a"), file("a/inner", "x"), file("b", "file"), file("c", "file")});
  ASSERT_EQ(unpack(), absl::OkStatus());
  EXPECT_EQ(read("a/inner"), "x");
  EXPECT_EQ(read("b"), "file");
  EXPECT_EQ(read("c"), "file");
}

TEST_F(ImageUnpackTest, LinksAreKeptAsTheyAreEvenAbsoluteOnes) {
  add_layer({file("usr/bin/python3.12", "py"), link("usr/bin/python", "python3.12"),
             link("bin", "/usr/bin"), hard_link("usr/bin/py", "usr/bin/python3.12")});
  ASSERT_EQ(unpack(), absl::OkStatus());
  EXPECT_EQ(fs::read_symlink(rootfs_ / "bin"), "/usr/bin");
  EXPECT_EQ(read("usr/bin/python"), "py");
  EXPECT_EQ(fs::hard_link_count(rootfs_ / "usr/bin/py"), 2U);
}

TEST_F(ImageUnpackTest, NamesThatClimbOutAreRefused) {
  add_layer({file("../outside", "evil")});
  EXPECT_TRUE(absl::IsInvalidArgument(unpack()));
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(ImageUnpackTest, NothingIsWrittenThroughALinkOfAnEarlierEntryOrLayer) {
  add_layer({link("etc", base_.string()), file("etc/outside", "evil")});
  EXPECT_TRUE(absl::IsInvalidArgument(unpack()));
  EXPECT_EQ(outside(), "untouched");
  layers_.clear();
  add_layer({link("opt", "../")});
  add_layer({file("opt/outside", "evil")});
  EXPECT_TRUE(absl::IsInvalidArgument(unpack()));
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(ImageUnpackTest, AFileThatReplacesALinkDoesNotWriteToItsTarget) {
  add_layer({link("log", (base_ / "outside").string())});
  add_layer({file("log", "evil")});
  ASSERT_EQ(unpack(), absl::OkStatus());
  EXPECT_EQ(read("log"), "evil");
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(ImageUnpackTest, WhiteoutsRemoveNothingOutside) {
  add_layer({link("etc", base_.string())});
  add_layer({file("etc/.wh.outside", "")});
  EXPECT_TRUE(absl::IsInvalidArgument(unpack()));
  EXPECT_EQ(outside(), "untouched");
  for (const char* name : {".wh.", ".wh...", ".wh..", "../.wh.outside"}) {
    layers_.clear();
    add_layer({file(name, "")});
    EXPECT_TRUE(absl::IsInvalidArgument(unpack())) << name;
  }
  EXPECT_EQ(outside(), "untouched");
  layers_.clear();
  add_layer({link("up", "..")});
  add_layer({file("up/.wh..wh..opq", "")});
  EXPECT_TRUE(absl::IsInvalidArgument(unpack()));
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(ImageUnpackTest, HardLinksReachNothingOutside) {
  for (const std::string& target : {std::string("../outside"), (base_ / "outside").string()}) {
    layers_.clear();
    add_layer({hard_link("mine", target)});
    EXPECT_TRUE(absl::IsInvalidArgument(unpack())) << target;
    EXPECT_FALSE(exists("mine"));
  }
  layers_.clear();
  add_layer({link("dir", base_.string()), hard_link("mine", "dir/outside")});
  EXPECT_TRUE(absl::IsInvalidArgument(unpack()));
  EXPECT_FALSE(exists("mine"));
}

TEST_F(ImageUnpackTest, DevicesAndSetIdBitsAreLeftOut) {
  Item device{"dev/null", "", AE_IFCHR, 0666, false};
  Item pipe{"run/pipe", "", AE_IFIFO, 0666, false};
  add_layer({device, pipe, file("bin/su", "x", 06755)});
  ASSERT_EQ(unpack(), absl::OkStatus());
  EXPECT_FALSE(exists("dev/null"));
  EXPECT_FALSE(exists("run/pipe"));
  struct stat info {};
  ASSERT_EQ(::stat((rootfs_ / "bin/su").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755U);
}

TEST_F(ImageUnpackTest, LimitsCountAllLayersTogether) {
  add_layer({file("a", std::string(600, 'x'))});
  add_layer({file("b", std::string(600, 'x'))});
  UnpackLimits limits;
  limits.max_bytes = 1_KiB;
  EXPECT_TRUE(absl::IsResourceExhausted(unpack(limits)));
  limits.max_bytes = 1_MiB;
  limits.max_entries = 1;
  EXPECT_TRUE(absl::IsResourceExhausted(unpack(limits)));
}

TEST_F(ImageUnpackTest, ABrokenLayerIsAnError) {
  layers_.push_back(base_ / "outside");
  EXPECT_TRUE(absl::IsInvalidArgument(unpack()));
}

}  // namespace
}  // namespace mimeo::oci
