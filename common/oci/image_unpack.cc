#include "common/oci/image_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace mimeo::oci {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::size_t kReadBlock = 1U << 16;
constexpr mode_t kPermissions = 01777;  // No set-id bits.

struct ReadFree {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct WriteFree {
  void operator()(archive* a) const { archive_write_free(a); }
};
using Reader = std::unique_ptr<archive, ReadFree>;
using Writer = std::unique_ptr<archive, WriteFree>;

Status broken(const std::string& what) {
  return absl::InvalidArgumentError("a layer of the image: " + what);
}

Status from_archive(archive* a, const std::string& what) {
  const char* text = archive_error_string(a);
  const std::string full = what + ": " + (text == nullptr ? "unknown error" : text);
  const int error = archive_errno(a);
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(full);
  return broken(full);
}

// "./usr//bin/" -> "usr/bin"; the root is "". nullopt for a name with "..". Absolute names are
// taken from the root of the image.
std::optional<std::string> clean_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const auto slash = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, slash);
    name.remove_prefix(std::min(slash + 1, name.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") return std::nullopt;
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

bool is_real_directory(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// What all layers of an image have used of the limits.
struct Totals {
  std::size_t entries = 0;
  std::uint64_t bytes = 0;
};

// Unpacks one layer over those below.
class Unpacker {
 public:
  Unpacker(fs::path rootfs, const UnpackLimits& limits, Totals& totals)
      : rootfs_(std::move(rootfs)),
        limits_(limits),
        totals_(totals),
        writer_(archive_write_disk_new()) {
    // UNLINK: what is replaced is removed first, so that nothing is written through a link.
    archive_write_disk_set_options(
        writer_.get(), ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_UNLINK |
                           ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT);
  }

  Status unpack(const fs::path& layer) {
    const Reader reader(archive_read_new());
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_filter_zstd(reader.get());
    archive_read_support_format_tar(reader.get());
    archive_read_support_format_empty(reader.get());
    if (archive_read_open_filename(reader.get(), layer.c_str(), kReadBlock) != ARCHIVE_OK) {
      return from_archive(reader.get(), layer.filename().string());
    }
    while (true) {
      archive_entry* entry = nullptr;
      const int got = archive_read_next_header(reader.get(), &entry);
      if (got == ARCHIVE_EOF) return absl::OkStatus();
      if (got != ARCHIVE_OK && got != ARCHIVE_WARN) {
        return from_archive(reader.get(), layer.filename().string());
      }
      MIMEO_RETURN_IF_ERROR(take(reader.get(), entry));
    }
  }

  // Times and modes of directories are set at the end.
  Status close() {
    if (archive_write_close(writer_.get()) < ARCHIVE_WARN) {
      return from_archive(writer_.get(), "finishing directories");
    }
    return absl::OkStatus();
  }

 private:
  Status take(archive* reader, archive_entry* entry) {
    if (++totals_.entries > limits_.max_entries) {
      return absl::ResourceExhaustedError("the image holds too many files");
    }
    const char* raw = archive_entry_pathname(entry);
    if (raw == nullptr) return broken("an entry without a usable name");
    const auto name = clean_name(raw);
    if (!name) return broken("the name \"" + std::string(raw) + "\" leads out of the image");
    if (name->empty()) return absl::OkStatus();  // The root itself is there.
    const fs::path relative(*name);
    const std::string base = relative.filename();
    if (base == kOpaque) return remove_lower(relative.parent_path());
    if (std::string_view(base).substr(0, kWhiteout.size()) == kWhiteout) {
      return remove_one(relative.parent_path() / base.substr(kWhiteout.size()), base);
    }
    const auto type = archive_entry_filetype(entry);
    const bool is_hard_link = archive_entry_hardlink(entry) != nullptr;
    if (!is_hard_link && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) {
      return absl::OkStatus();  // A device or a pipe.
    }
    MIMEO_RETURN_IF_ERROR(make_way(relative, type == AE_IFDIR && !is_hard_link));
    if (is_hard_link) MIMEO_RETURN_IF_ERROR(point_link(entry));
    return write(reader, entry, relative);
  }

  // Every parent must be a real directory: a link would lead somewhere else.
  [[nodiscard]] Status check_parents(const fs::path& relative) const {
    fs::path at = rootfs_;
    for (const auto& part : relative.parent_path()) {
      at /= part;
      struct stat info {};
      if (::lstat(at.c_str(), &info) != 0) return absl::OkStatus();  // Will be made as one.
      if (!S_ISDIR(info.st_mode)) {
        return broken("\"" + relative.string() + "\" lies behind a link or a file");
      }
    }
    return absl::OkStatus();
  }

  Status make_way(const fs::path& relative, bool is_directory) {
    MIMEO_RETURN_IF_ERROR(check_parents(relative));
    const fs::path path = rootfs_ / relative;
    if (is_real_directory(path) != is_directory) {
      std::error_code error;
      fs::remove_all(path, error);
      if (error) return broken("cannot replace \"" + relative.string() + "\": " + error.message());
    }
    return absl::OkStatus();
  }

  Status point_link(archive_entry* entry) {
    const auto target = clean_name(archive_entry_hardlink(entry));
    if (!target || target->empty()) return broken("a hard link leads out of the image");
    MIMEO_RETURN_IF_ERROR(check_parents(*target));
    const fs::path path = rootfs_ / *target;
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || S_ISDIR(info.st_mode)) {
      return broken("a hard link to \"" + *target + "\", which is no file");
    }
    archive_entry_copy_hardlink(entry, path.c_str());
    return absl::OkStatus();
  }

  Status write(archive* reader, archive_entry* entry, const fs::path& relative) {
    archive_entry_copy_pathname(entry, (rootfs_ / relative).c_str());
    mode_t mode = archive_entry_perm(entry) & kPermissions;
    if (archive_entry_filetype(entry) == AE_IFDIR) mode |= 0700;  // Later layers write into it.
    archive_entry_set_perm(entry, mode);
    archive_entry_xattr_clear(entry);
    archive_entry_acl_clear(entry);
    archive_entry_set_fflags(entry, 0, 0);
    if (archive_write_header(writer_.get(), entry) < ARCHIVE_WARN) {
      return from_archive(writer_.get(), relative.string());
    }
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    while (true) {
      const int got = archive_read_data_block(reader, &data, &size, &offset);
      if (got == ARCHIVE_EOF) break;
      if (got < ARCHIVE_WARN) return from_archive(reader, relative.string());
      totals_.bytes += size;
      if (totals_.bytes > limits_.max_bytes.count) {
        return absl::ResourceExhaustedError("the image's files are too large");
      }
      if (archive_write_data_block(writer_.get(), data, size, offset) < ARCHIVE_WARN) {
        return from_archive(writer_.get(), relative.string());
      }
    }
    if (archive_write_finish_entry(writer_.get()) < ARCHIVE_WARN) {
      return from_archive(writer_.get(), relative.string());
    }
    for (fs::path at = relative; !at.empty(); at = at.parent_path()) {
      if (!written_.insert(at.string()).second) break;
    }
    return absl::OkStatus();
  }

  // ".wh.NAME": NAME of a lower layer is gone.
  Status remove_one(const fs::path& relative, const std::string& base) {
    const std::string name = relative.filename();
    if (name.empty() || name == "." || name == "..") return broken("the whiteout \"" + base + "\"");
    MIMEO_RETURN_IF_ERROR(check_parents(relative));
    if (written_.count(relative.string()) > 0) return absl::OkStatus();  // Of this layer.
    std::error_code error;
    fs::remove_all(rootfs_ / relative, error);
    if (error) return broken("cannot remove \"" + relative.string() + "\": " + error.message());
    return absl::OkStatus();
  }

  // ".wh..wh..opq": what the directory had in lower layers is gone; this layer's own stays.
  Status remove_lower(const fs::path& relative) {
    MIMEO_RETURN_IF_ERROR(check_parents(relative / "x"));
    if (!is_real_directory(rootfs_ / relative)) return absl::OkStatus();
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& item : fs::directory_iterator(rootfs_ / relative, error)) {
      names.push_back(item.path().filename());
    }
    for (const auto& name : names) {
      const fs::path child = relative.empty() ? fs::path(name) : relative / name;
      if (written_.count(child.string()) > 0) {
        if (is_real_directory(rootfs_ / child)) MIMEO_RETURN_IF_ERROR(remove_lower(child));
        continue;
      }
      fs::remove_all(rootfs_ / child, error);
      if (error) return broken("cannot remove \"" + child.string() + "\": " + error.message());
    }
    return absl::OkStatus();
  }

  const fs::path rootfs_;
  const UnpackLimits limits_;
  Totals& totals_;
  const Writer writer_;
  std::set<std::string> written_;  // By this layer, with all parents.
};

}  // namespace

Status unpack_layers(std::span<const fs::path> layers, const fs::path& rootfs,
                     const UnpackLimits& limits) {
  std::error_code error;
  // Without links in it: they would look like a layer's.
  const fs::path real = fs::canonical(rootfs, error);
  if (error) return absl::FailedPreconditionError(rootfs.string() + ": " + error.message());
  Totals totals;
  for (const auto& layer : layers) {
    // A writer of its own for each: modes and times of directories are set at a writer's end.
    Unpacker unpacker(real, limits, totals);
    MIMEO_RETURN_IF_ERROR(unpacker.unpack(layer));
    MIMEO_RETURN_IF_ERROR(unpacker.close());
  }
  return absl::OkStatus();
}

}  // namespace mimeo::oci
