#include "common/blobs/local_blobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "common/base/descriptor.h"
#include "common/base/file_io.h"
#include "common/base/ids.h"
#include "common/blobs/blob_key.h"
#include "common/crypto/crypto.h"

namespace mimeo::blobs {

namespace fs = std::filesystem;

namespace {

constexpr const char* kUnfinished = "~unfinished";  // No key can say '~'.

Status sync_directory(const fs::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return from_errno(errno, "syncing a directory");
  return absl::OkStatus();
}

class LocalWriter final : public BlobWriter {
 public:
  LocalWriter(Descriptor fd, fs::path unfinished, fs::path target, fs::path root)
      : fd_(std::move(fd)),
        unfinished_(std::move(unfinished)),
        target_(std::move(target)),
        root_(std::move(root)) {}
  ~LocalWriter() override {
    if (!is_committed_) ::unlink(unfinished_.c_str());
  }

  Status write(std::string_view data) override {
    sha256_.update(data);
    md5_.update(data);
    size_bytes_ += data.size();
    const Status written = write_all(fd_.get(), data, "writing a blob");
    if (status_.ok()) status_ = written;
    return written;
  }

  Result<BlobInfo> commit() override {
    if (is_committed_) return absl::FailedPreconditionError("the blob is already committed");
    MIMEO_RETURN_IF_ERROR(status_);  // A write failed: the file is not whole.
    if (::fsync(fd_.get()) != 0) return from_errno(errno, "syncing a blob");
    MIMEO_RETURN_IF_ERROR(move_into_place());
    is_committed_ = true;
    BlobInfo info;
    info.size_bytes = size_bytes_;
    info.sha256_hex = to_hex(sha256_.finish());
    info.md5_hex = to_hex(md5_.finish());
    return info;
  }

 private:
  // The parent may be removed as empty by a remove() at the same time: then make it again.
  Status move_into_place() {
    const fs::path parent = target_.parent_path();
    bool is_new = false;
    for (int attempt = 0; attempt < 10; ++attempt) {
      std::error_code error;
      if (fs::create_directories(parent, error)) is_new = true;
      if (error && error != std::errc::no_such_file_or_directory) {
        return absl::FailedPreconditionError("a blob is in the way: " + error.message());
      }
      if (::rename(unfinished_.c_str(), target_.c_str()) == 0) {
        return is_new ? sync_up_to_root(parent) : sync_directory(parent);
      }
      if (errno == EISDIR || errno == ENOTDIR) {
        return absl::FailedPreconditionError("blobs under this key are in the way");
      }
      if (errno != ENOENT) return from_errno(errno, "naming a blob");
    }
    return absl::AbortedError("the blob's directory was removed again and again");
  }

  Status sync_up_to_root(fs::path at) const {
    for (; at != root_; at = at.parent_path()) MIMEO_RETURN_IF_ERROR(sync_directory(at));
    return sync_directory(root_);
  }

  const Descriptor fd_;
  const fs::path unfinished_;
  const fs::path target_;
  const fs::path root_;
  crypto::Sha256 sha256_;
  crypto::Md5 md5_;
  std::uint64_t size_bytes_ = 0;
  Status status_;  // Of the first write that failed.
  bool is_committed_ = false;
};

// Collects keys below a folder in the order of their bytes.
class Listing {
 public:
  Listing(std::string_view after, std::size_t limit) : after_(after), limit_(limit) {}

  // `key` of the folder, with its slash.
  Status add_folder(const fs::path& folder, const std::string& key) {
    std::error_code error;
    std::vector<std::string> names;  // Of folders with their slash: it counts in the order of keys.
    for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
         it.increment(error)) {
      std::error_code ignored;
      const bool is_folder = it->is_directory(ignored);
      names.push_back(it->path().filename().string() + (is_folder ? "/" : ""));
    }
    if (error == std::errc::no_such_file_or_directory) return absl::OkStatus();
    if (error) return absl::InternalError("listing blobs: " + error.message());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (keys.size() == limit_) break;
      const std::string whole = key + name;
      if (!name.ends_with('/')) {
        if (whole > after_) keys.push_back(whole);
      } else if (whole > after_ || after_.starts_with(whole)) {
        MIMEO_RETURN_IF_ERROR(add_folder(folder / name.substr(0, name.size() - 1), whole));
      }
    }
    return absl::OkStatus();
  }

  std::vector<std::string> keys;

 private:
  const std::string_view after_;
  const std::size_t limit_;
};

class LocalReader final : public BlobReader {
 public:
  LocalReader(Descriptor fd, std::uint64_t size_bytes)
      : fd_(std::move(fd)), size_bytes_(size_bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }
  Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) override {
    if (offset >= size_bytes_) return std::size_t{0};
    while (true) {
      const ssize_t got =
          ::pread(fd_.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) return from_errno(errno, "reading a blob");
    }
  }

 private:
  const Descriptor fd_;
  const std::uint64_t size_bytes_;
};

}  // namespace

Result<std::unique_ptr<LocalBlobs>> LocalBlobs::open_directory(fs::path directory) {
  std::error_code error;
  directory = fs::absolute(directory, error).lexically_normal();
  if (!directory.has_filename()) directory = directory.parent_path();  // "x/": parents never match.
  const fs::path unfinished = directory / kUnfinished;
  fs::create_directories(unfinished, error);
  if (error || ::access(unfinished.c_str(), W_OK | X_OK) != 0) {
    return absl::FailedPreconditionError("cannot write to " + directory.string() + ": " +
                                         (error ? error.message() : "permission denied"));
  }
  return std::unique_ptr<LocalBlobs>(new LocalBlobs(std::move(directory)));
}

Result<std::unique_ptr<BlobWriter>> LocalBlobs::create(std::string_view key) {
  MIMEO_RETURN_IF_ERROR(check_key(key));
  std::string pattern = (directory_ / kUnfinished / "blob-XXXXXX").string();
  Descriptor fd(::mkostemp(pattern.data(), O_CLOEXEC));
  if (fd.get() < 0) return from_errno(errno, "making a blob");
  ::fchmod(fd.get(), 0644);
  return std::make_unique<LocalWriter>(std::move(fd), pattern, path_of(key), directory_);
}

Result<std::unique_ptr<BlobReader>> LocalBlobs::open(std::string_view key) {
  MIMEO_RETURN_IF_ERROR(check_key(key));
  Descriptor fd(::open(path_of(key).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd.get() < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    return absl::NotFoundError("no blob " + std::string(key));
  }
  if (fd.get() < 0) return from_errno(errno, "opening a blob");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return from_errno(errno, "opening a blob");
  if (!S_ISREG(info.st_mode)) return absl::NotFoundError("no blob " + std::string(key));
  return std::make_unique<LocalReader>(std::move(fd), static_cast<std::uint64_t>(info.st_size));
}

void LocalBlobs::remove_empty_parents(fs::path of) const {
  for (of = of.parent_path(); of != directory_ && ::rmdir(of.c_str()) == 0;) of = of.parent_path();
}

Status LocalBlobs::remove(std::string_view key) {
  MIMEO_RETURN_IF_ERROR(check_key(key));
  const fs::path path = path_of(key);
  if (::unlink(path.c_str()) != 0) {
    // A directory is no blob: there was none of this name.
    if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR) return absl::OkStatus();
    return from_errno(errno, "removing a blob");
  }
  remove_empty_parents(path);
  return absl::OkStatus();
}

NotRemoved LocalBlobs::remove_many(std::span<const std::string> keys) {
  NotRemoved left;
  for (const std::string& key : keys) {
    const Status removed = remove(key);
    if (removed.ok()) continue;
    if (left.why.ok()) left.why = removed;
    left.keys.push_back(key);
  }
  return left;
}

Status LocalBlobs::remove_all(std::string_view prefix) {
  MIMEO_RETURN_IF_ERROR(check_key(prefix));
  const fs::path path = path_of(prefix);
  std::error_code error;
  if (!fs::is_directory(path, error)) return absl::OkStatus();
  fs::remove_all(path, error);
  if (error && error != std::errc::no_such_file_or_directory) {
    return absl::InternalError("removing blobs: " + error.message());
  }
  remove_empty_parents(path);
  return absl::OkStatus();
}

Result<std::vector<std::string>> LocalBlobs::list(std::string_view prefix, std::string_view after,
                                                  std::size_t limit) {
  MIMEO_RETURN_IF_ERROR(check_key(prefix));
  Listing listing(after, limit);
  MIMEO_RETURN_IF_ERROR(listing.add_folder(path_of(prefix), std::string(prefix) + "/"));
  return std::move(listing.keys);
}

Status LocalBlobs::remove_unfinished(std::chrono::seconds age) {
  std::error_code error;
  Status status;
  const auto limit = fs::file_time_type::clock::now() - age;
  for (auto it = fs::directory_iterator(directory_ / kUnfinished, error);
       !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code gone;  // By its writer, meanwhile.
    if (it->last_write_time(gone) >= limit || gone) continue;
    if (::unlink(it->path().c_str()) != 0 && errno != ENOENT && status.ok()) {
      status = from_errno(errno, "removing what a writer left");
    }
  }
  if (error) return absl::InternalError("listing what writers left: " + error.message());
  return status;
}

}  // namespace mimeo::blobs
