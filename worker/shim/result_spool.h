// Results that wait to be stored, in files below spool_dir/results. Written by the shim before it
// reports a result; read by a daemon that finds a dead shim's spool.
//
// A file holds one result and is used again for the next one: making and deleting a file for each
// cost more than all else that the shim does for a short prediction (docs/adr/0007).
//
// No fsync: the design asks that a finished result survives the death of the daemon and of the
// shim, which the page cache does. After a power loss the attempt is run again.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/status.h"

namespace mimeo::worker {

// The shim's side. One thread. Destroying it leaves what it holds on the disk.
class ResultSpool {
 public:
  explicit ResultSpool(const std::string& spool_dir);
  ~ResultSpool();
  ResultSpool(const ResultSpool&) = delete;
  ResultSpool& operator=(const ResultSpool&) = delete;

  // `attempt` is "<prediction>-<attempt>", not held yet; `payload` a serialized AttemptResult.
  // kInternal when the disk does not take it: nothing is held then.
  Status put(const std::string& attempt, std::string_view payload);
  // It is stored elsewhere. Nothing happens if it is not held.
  void drop(const std::string& attempt);

  [[nodiscard]] std::size_t size() const { return held_.size(); }

 private:
  struct File {
    std::string path;
    int fd = -1;  // -1 when too many are open.
    std::uint64_t size_bytes = 0;
  };

  Result<File> take_file();
  void give_back(File file);
  static void discard(const File& file);

  const std::string directory_;
  std::uint64_t made_ = 0;
  std::vector<File> free_;
  std::unordered_map<std::string, File> held_;  // By attempt.
};

// The payloads of all whole results of this spool, in no order; empty when there is none.
[[nodiscard]] std::vector<std::string> read_results(const std::string& spool_dir);
// Removes one from the spool of a shim that does not run any more.
void erase_result(const std::string& spool_dir, std::string_view attempt);

}  // namespace mimeo::worker
