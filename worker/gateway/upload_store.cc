#include "worker/gateway/upload_store.h"

#include <absl/strings/str_cat.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "common/base/file_names.h"
#include "common/http/message.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kUniqueCharacters = 16;  // 80 bits: nobody guesses a neighbour's file.

}  // namespace

UploadStore::UploadStore(std::string out_dir, std::string url_prefix, UploadLimits limits,
                         Random& random, Erase erase)
    : out_dir_(std::move(out_dir)),
      url_prefix_(std::move(url_prefix)),
      limits_(limits),
      random_(random),
      erase_(std::move(erase)) {
  std::error_code ignored;
  fs::remove_all(out_dir_, ignored);
  fs::create_directories(out_dir_, ignored);
}

Result<std::string> UploadStore::prepare(std::string_view name) {
  const std::string unique = random_.base32(kUniqueCharacters);
  std::error_code error;
  fs::create_directory(absolute(unique), error);
  if (error) return absl::InternalError("making a directory for an output: " + error.message());
  return absl::StrCat(unique, "/", harmless_file_name(name, "output"));
}

Status UploadStore::reserve(std::uint64_t file_bytes, std::uint64_t more) {
  if (file_bytes + more > limits_.file_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("an output file may have at most ", limits_.file_bytes, " bytes"));
  }
  if (used_bytes_ + more > limits_.total_bytes) {
    return absl::ResourceExhaustedError("too many output files wait to be stored");
  }
  used_bytes_ += more;
  return absl::OkStatus();
}

std::string UploadStore::add(const std::string& path, std::uint64_t size_bytes) {
  files_.emplace(path, size_bytes);
  const std::size_t slash = path.find('/');
  return absl::StrCat(url_prefix_, path.substr(0, slash + 1),
                      http::percent_encode(path.substr(slash + 1)));
}

void UploadStore::discard(const std::string& path, std::uint64_t size_bytes) {
  used_bytes_ -= size_bytes;
  remove_directory(path);
}

std::string UploadStore::absolute(std::string_view path) const {
  return (out_dir_ + "/").append(path);
}

void UploadStore::localize(nlohmann::ordered_json& value, std::set<std::string>& used) const {
  if (files_.empty()) return;
  if (value.is_structured()) {
    for (auto& element : value) localize(element, used);
    return;
  }
  if (!value.is_string()) return;
  const std::string& text = value.get_ref<const std::string&>();
  if (!text.starts_with(url_prefix_)) return;
  // Clients of HTTP spell an URL in more than one way.
  const std::optional<std::string> path = http::percent_decode(text.substr(url_prefix_.size()));
  if (!path || !files_.contains(*path)) return;
  used.insert(*path);
  value = std::string(kFileReference) + *path;
}

void UploadStore::remove(const std::string& path) {
  const auto found = files_.find(path);
  if (found == files_.end()) return;
  used_bytes_ -= found->second;
  files_.erase(found);
  remove_directory(path);
}

void UploadStore::remove_all() {
  for (const auto& [path, size] : files_) {
    used_bytes_ -= size;
    remove_directory(path);
  }
  files_.clear();
}

void UploadStore::remove_directory(const std::string& path) const {
  erase_(absolute(path.substr(0, path.find('/'))));
}

}  // namespace mimeo::worker
