#include "common/store/memory/memory_files.h"

#include "common/store/text.h"

namespace mimeo::store {
namespace {

Status no_such_file() { return absl::NotFoundError("no such file"); }

bool has_expired(const File& file, WallTime now) {
  return file.expires_at.has_value() && *file.expires_at <= now;
}

}  // namespace

Status MemoryFiles::create_file(const File& file) {
  const std::scoped_lock lock(mutex_);
  File stored = file;
  stored.name = sanitize_text(file.name);
  files_.emplace(file.id, std::move(stored));
  return absl::OkStatus();
}

Result<File> MemoryFiles::get_file(FileId id, AccountId account, WallTime now) {
  const std::scoped_lock lock(mutex_);
  const auto found = files_.find(id);
  if (found == files_.end() || has_expired(found->second, now)) return no_such_file();
  if (account != 0 && account != found->second.account) return no_such_file();
  return found->second;
}

Result<std::vector<File>> MemoryFiles::list_files(AccountId account, FileId before, WallTime now,
                                                  std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<File> page;
  for (auto it = files_.rbegin(); it != files_.rend() && page.size() < limit; ++it) {
    const File& file = it->second;
    if (!before.is_nil() && file.id >= before) continue;
    if (file.account == account && !has_expired(file, now)) page.push_back(file);
  }
  return page;
}

Status MemoryFiles::delete_file(FileId id, AccountId account) {
  const std::scoped_lock lock(mutex_);
  const auto found = files_.find(id);
  if (found == files_.end()) return no_such_file();
  if (account != 0 && account != found->second.account) return no_such_file();
  files_.erase(found);
  return absl::OkStatus();
}

Result<std::vector<File>> MemoryFiles::list_expired_files(WallTime now, std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<File> expired;
  for (const auto& [id, file] : files_) {
    if (expired.size() >= limit) break;
    if (has_expired(file, now)) expired.push_back(file);
  }
  return expired;
}

}  // namespace mimeo::store
