#include "common/store/memory/memory_files.h"

#include "common/store/text.h"

namespace mimeo::store {
namespace {

Status no_such_file() { return absl::NotFoundError("no such file"); }

bool has_expired(const File& file, WallTime now) {
  return file.expires_at.has_value() && *file.expires_at <= now;
}

}  // namespace

void MemoryFiles::set_has_data(HasData has_data) {
  const std::scoped_lock lock(mutex_);
  has_data_ = std::move(has_data);
}

void MemoryFiles::refer(const std::string& sha256_hex, const std::string& blob_key) {
  Content& content = contents_[sha256_hex];
  if (content.references++ == 0) {
    content.blob_key = blob_key;
  } else if (content.blob_key != blob_key) {
    dead_.insert(blob_key);
  }
}

void MemoryFiles::release(const std::string& sha256_hex) {
  const auto found = contents_.find(sha256_hex);
  if (--found->second.references > 0) return;
  dead_.insert(found->second.blob_key);
  contents_.erase(found);
}

File MemoryFiles::shown(File file) const {
  file.blob_key = contents_.at(file.sha256_hex).blob_key;
  return file;
}

Status MemoryFiles::create_file(const File& file) {
  const std::scoped_lock lock(mutex_);
  File stored = file;
  stored.name = sanitize_text(file.name);
  if (files_.emplace(file.id, std::move(stored)).second) refer(file.sha256_hex, file.blob_key);
  return absl::OkStatus();
}

Result<File> MemoryFiles::get_file(FileId id, AccountId account, WallTime now) {
  const std::scoped_lock lock(mutex_);
  const auto found = files_.find(id);
  if (found == files_.end() || has_expired(found->second, now)) return no_such_file();
  if (account != 0 && account != found->second.account) return no_such_file();
  return shown(found->second);
}

Result<std::vector<File>> MemoryFiles::list_files(AccountId account, const FilesStart& start,
                                                  WallTime now, std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<File> found;  // Newest first.
  for (auto it = files_.rbegin(); it != files_.rend(); ++it) {
    const File& file = it->second;
    if (file.account != account || has_expired(file, now)) continue;
    const bool is_behind = start.id.is_nil() || file.id < start.id;
    if (start.is_backward ? file.id > start.id : is_behind) found.push_back(shown(file));
  }
  if (found.size() <= limit) return found;
  if (start.is_backward) return std::vector<File>(found.end() - limit, found.end());
  found.resize(limit);
  return found;
}

Status MemoryFiles::delete_file(FileId id, AccountId account) {
  const std::scoped_lock lock(mutex_);
  const auto found = files_.find(id);
  if (found == files_.end()) return no_such_file();
  if (account != 0 && account != found->second.account) return no_such_file();
  release(found->second.sha256_hex);
  files_.erase(found);
  return absl::OkStatus();
}

Result<std::vector<File>> MemoryFiles::list_expired_files(WallTime now, std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<File> expired;
  for (const auto& [id, file] : files_) {
    if (expired.size() >= limit) break;
    if (has_expired(file, now)) expired.push_back(shown(file));
  }
  return expired;
}

Status MemoryFiles::create_output(const OutputFile& file) {
  const std::scoped_lock lock(mutex_);
  if (has_data_ && !has_data_(file.prediction)) {
    dead_.insert(file.blob_key);
    return absl::NotFoundError("no such prediction, or its data was removed");
  }
  if (outputs_.emplace(OutputKey(file.prediction, file.secret), file).second) {
    refer(file.sha256_hex, file.blob_key);
  }
  return absl::OkStatus();
}

Status MemoryFiles::share_upload(FileId source, AccountId account, const OutputFile& file) {
  const std::scoped_lock lock(mutex_);
  const auto found = files_.find(source);
  if (found == files_.end() || found->second.account != account ||
      has_expired(found->second, file.created_at)) {
    return no_such_file();
  }
  if (has_data_ && !has_data_(file.prediction)) {
    return absl::NotFoundError("no such prediction, or its data was removed");
  }
  const File& upload = found->second;
  OutputFile shared = file;
  shared.size_bytes = upload.size_bytes;
  shared.sha256_hex = upload.sha256_hex;
  shared.md5_hex = upload.md5_hex;
  shared.content_type = upload.content_type;
  shared.blob_key = contents_.at(upload.sha256_hex).blob_key;
  if (outputs_.emplace(OutputKey(file.prediction, file.secret), shared).second) {
    refer(shared.sha256_hex, shared.blob_key);
  }
  return absl::OkStatus();
}

Result<OutputFile> MemoryFiles::get_output(PredictionId prediction, std::string_view secret,
                                           std::string_view filename) {
  const std::scoped_lock lock(mutex_);
  const auto found = outputs_.find(OutputKey(prediction, std::string(secret)));
  if (found == outputs_.end() || found->second.filename != filename) {
    return absl::NotFoundError("no such output file");
  }
  OutputFile file = found->second;
  file.blob_key = contents_.at(file.sha256_hex).blob_key;
  return file;
}

void MemoryFiles::remove_outputs(PredictionId id) {
  const std::scoped_lock lock(mutex_);
  auto it = outputs_.lower_bound(OutputKey(id, ""));
  while (it != outputs_.end() && it->first.first == id) {
    release(it->second.sha256_hex);
    it = outputs_.erase(it);
  }
}

Status MemoryFiles::delete_outputs(std::span<const PredictionId> predictions) {
  for (const PredictionId& id : predictions) remove_outputs(id);
  return absl::OkStatus();
}

Result<std::vector<std::string>> MemoryFiles::list_dead_blobs(std::string_view after,
                                                              std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> keys;
  for (auto it = dead_.upper_bound(std::string(after)); it != dead_.end() && keys.size() < limit;
       ++it) {
    keys.push_back(*it);
  }
  return keys;
}

Status MemoryFiles::forget_dead_blobs(std::span<const std::string> keys) {
  const std::scoped_lock lock(mutex_);
  for (const std::string& key : keys) dead_.erase(key);
  return absl::OkStatus();
}

Result<std::vector<std::string>> MemoryFiles::find_unknown_blobs(
    std::span<const std::string> keys) {
  const std::scoped_lock lock(mutex_);
  std::set<std::string> known = dead_;
  for (const auto& [hash, content] : contents_) known.insert(content.blob_key);
  std::vector<std::string> unknown;
  for (const std::string& key : keys) {
    if (!known.contains(key)) unknown.push_back(key);
  }
  return unknown;
}

}  // namespace mimeo::store
