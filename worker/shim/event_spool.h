// The events of one attempt, numbered from 1 without gaps, until the daemon says that they are held
// elsewhere. The first 256 KiB stay in memory; what comes on top goes to a file, so that a chatty
// model with nobody listening costs disk and not memory.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "common/base/status.h"

namespace mimeo::worker {

enum class SpooledKind : std::uint8_t { kStarted, kOutput, kLog, kMetric };

struct SpooledEvent {
  std::uint64_t seq = 0;
  SpooledKind kind = SpooledKind::kLog;
  std::uint32_t since_start_ms = 0;
  std::string data;
};

// One thread. Reads and writes of the file are small and go to the page cache: they run in place.
class EventSpool {
 public:
  // The file is made when it is first needed, and deleted with the spool.
  EventSpool(std::string file_path, std::size_t memory_bytes);
  EventSpool(const EventSpool&) = delete;
  EventSpool& operator=(const EventSpool&) = delete;
  ~EventSpool();

  // Its seq. Text of a log joins the newest event if that is a log that was never read: a daemon
  // that is away gets few long pieces, not many short ones.
  std::uint64_t append(SpooledKind kind, std::uint32_t since_start_ms, std::string data);

  [[nodiscard]] std::uint64_t first_seq() const { return first_seq_; }  // Of what is held.
  [[nodiscard]] std::uint64_t last_seq() const { return first_seq_ + entries_.size() - 1; }
  // kNotFound unless first_seq() <= seq <= last_seq(); kInternal when the file cannot be read.
  [[nodiscard]] Result<SpooledEvent> read(std::uint64_t seq);
  // Forgets events up to this one.
  void drop_through(std::uint64_t seq);

  [[nodiscard]] std::size_t memory_used() const { return memory_used_; }
  [[nodiscard]] bool uses_file() const { return fd_ >= 0; }

 private:
  struct Entry {
    SpooledKind kind;
    std::uint32_t since_start_ms;
    std::uint32_t size;
    std::int64_t offset;  // In the file; -1 = in `data`.
    std::string data;
  };

  // Whether `data` went to the file; false keeps it in memory (a full disk loses nothing).
  bool spill(Entry& entry);
  void close_file();

  const std::string file_path_;
  const std::size_t memory_bytes_;
  std::deque<Entry> entries_;
  std::uint64_t first_seq_ = 1;
  std::uint64_t read_through_ =
      0;  // Highest seq ever read: from there on, an event may not change.
  std::size_t memory_used_ = 0;
  std::size_t in_file_ = 0;  // Entries that are.
  std::int64_t file_end_ = 0;
  int fd_ = -1;
};

}  // namespace mimeo::worker
