// A stand-in for where files live: blobs in memory.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/blobs/blob_store.h"
#include "common/crypto/crypto.h"

namespace mimeo::control {

// Blobs in memory; what the real stores do is tested in common/blobs.
class MemoryBlobs final : public blobs::BlobStore {
 public:
  Result<std::unique_ptr<blobs::BlobWriter>> create(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    return std::make_unique<Writer>(*this, std::string(key), on_writer_gone_);
  }
  Result<std::unique_ptr<blobs::BlobReader>> open(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    const auto it = blobs_.find(std::string(key));
    if (it == blobs_.end()) return absl::NotFoundError("no blob");
    return std::make_unique<Reader>(it->second, on_read_);
  }
  Status remove(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    blobs_.erase(std::string(key));
    return absl::OkStatus();
  }
  blobs::NotRemoved remove_many(std::span<const std::string> keys) override {
    for (const std::string& key : keys) (void)remove(key);
    return {};
  }
  Status remove_all(std::string_view prefix) override {
    const auto keys = list(prefix, "", SIZE_MAX);
    return remove_many(*keys).why;
  }
  Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                        std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> keys;
    for (const auto& [key, content] : blobs_) {
      const bool is_under = key.starts_with(std::string(prefix) + "/") && key > after;
      if (is_under && keys.size() < limit) keys.push_back(key);
    }
    return keys;
  }
  Status remove_unfinished(std::chrono::seconds /*age*/) override { return absl::OkStatus(); }
  // Called before each read of what is opened from now on, with its offset.
  using OnRead = std::function<void(std::uint64_t offset)>;
  void on_read(OnRead hook) {
    const std::lock_guard lock(mutex_);
    on_read_ = std::move(hook);
  }
  // Called when a writer of what is created from now on dies, on its thread.
  using OnWriterGone = std::function<void()>;
  void on_writer_gone(OnWriterGone hook) {
    const std::lock_guard lock(mutex_);
    on_writer_gone_ = std::move(hook);
  }
  void put(const std::string& key, std::string data) {
    const std::lock_guard lock(mutex_);
    blobs_[key] = std::move(data);
  }

 private:
  class Writer final : public blobs::BlobWriter {
   public:
    Writer(MemoryBlobs& blobs, std::string key, OnWriterGone on_gone)
        : blobs_(blobs), key_(std::move(key)), on_gone_(std::move(on_gone)) {}
    ~Writer() override {
      if (on_gone_) on_gone_();
    }
    Status write(std::string_view data) override {
      data_ += data;
      return absl::OkStatus();
    }
    Result<blobs::BlobInfo> commit() override {
      blobs::BlobInfo info;
      info.size_bytes = data_.size();
      info.sha256_hex = to_hex(crypto::sha256(data_));
      info.md5_hex = to_hex(crypto::md5(data_));
      blobs_.put(key_, data_);
      return info;
    }

   private:
    MemoryBlobs& blobs_;
    const std::string key_;
    const OnWriterGone on_gone_;
    std::string data_;
  };
  class Reader final : public blobs::BlobReader {
   public:
    Reader(std::string data, OnRead on_read)
        : data_(std::move(data)), on_read_(std::move(on_read)) {}
    std::uint64_t size_bytes() const override { return data_.size(); }
    Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) override {
      if (on_read_) on_read_(offset);
      const std::string part =
          data_.substr(std::min<std::size_t>(offset, data_.size()), buffer.size());
      std::copy(part.begin(), part.end(), buffer.begin());
      return part.size();
    }

   private:
    const std::string data_;
    const OnRead on_read_;
  };

  std::mutex mutex_;
  OnRead on_read_;                            // Guarded by mutex_.
  OnWriterGone on_writer_gone_;               // Guarded by mutex_.
  std::map<std::string, std::string> blobs_;  // Guarded by mutex_.
};

}  // namespace mimeo::control
