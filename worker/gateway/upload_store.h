// The output files of one container while they wait for the daemon: spool_dir/out/<unique>/<name>.
//
// Knows which of them exist, how much room they take, and which strings in outputs mean them. The
// files themselves are written by gateway.cc.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "common/base/random.h"
#include "common/base/status.h"

namespace mimeo::worker {

// How a stored file is named in outputs; the rest is its path below out/.
inline constexpr std::string_view kFileReference = "mimeo-file:";

struct UploadLimits {
  std::uint64_t file_bytes = std::uint64_t{5} << 30U;
  std::uint64_t total_bytes = std::uint64_t{20} << 30U;
};

// One thread. Owns what lies below `out_dir`: whatever is there at the start is deleted.
class UploadStore {
 public:
  // Deletes a directory, somewhere off this thread: large files take their time.
  using Erase = std::function<void(std::string directory)>;

  // `url_prefix` ends with '/': "http://127.0.0.1:4999/out/<secret>/". `random` outlives the store.
  UploadStore(std::string out_dir, std::string url_prefix, UploadLimits limits, Random& random,
              Erase erase);

  // A new, empty directory for a file that the model calls `name`: its path below out/, like
  // "7f3a…/cat.png". The name is kept as far as it is harmless (common/base/file_names.h).
  [[nodiscard]] Result<std::string> prepare(std::string_view name);
  // kResourceExhausted when `more` bytes do not fit beside `file_bytes` of the same file.
  [[nodiscard]] Status reserve(std::uint64_t file_bytes, std::uint64_t more);
  // The file is complete: it can be referred to. Answers its URL, which ends in the name,
  // percent-encoded.
  std::string add(const std::string& path, std::uint64_t size_bytes);
  // It will never be: its directory goes, and its room.
  void discard(const std::string& path, std::uint64_t size_bytes);

  [[nodiscard]] std::string absolute(std::string_view path) const;
  [[nodiscard]] bool is_empty() const { return files_.empty(); }
  [[nodiscard]] std::uint64_t used_bytes() const { return used_bytes_; }

  // Replaces every string in `value` that is the URL of a stored file by its reference; the paths
  // go into `used`.
  void localize(nlohmann::ordered_json& value, std::set<std::string>& used) const;

  void remove(const std::string& path);
  void remove_all();

 private:
  void remove_directory(const std::string& path) const;

  const std::string out_dir_;
  const std::string url_prefix_;
  const UploadLimits limits_;
  Random& random_;
  const Erase erase_;
  std::map<std::string, std::uint64_t, std::less<>> files_;  // Path -> size.
  std::uint64_t used_bytes_ = 0;                             // Including files being written.
};

}  // namespace mimeo::worker
