// A log that keeps its head and its tail, with a marker between, however much is written.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mimeo::worker::cog {

// The head is half of the cap. What append() and finish() return, joined, is exactly text(): a
// reader who follows sees the head as it comes and the tail at the end.
class CappedLog {
 public:
  explicit CappedLog(std::size_t cap_bytes) : half_(cap_bytes / 2) {}

  // The part of `text` that a follower sees now; empty once the head is full.
  [[nodiscard]] std::string append(std::string_view text);
  // Marker and tail; empty while everything fitted into the head. Call once; append nothing after.
  [[nodiscard]] std::string finish();
  // All of it. Valid UTF-8 if what went in was.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::size_t size_bytes() const { return total_; }  // Of what went in.

 private:
  [[nodiscard]] std::string ending() const;

  const std::size_t half_;
  std::string head_;
  std::string tail_;  // At most twice half_; trimmed in ending().
  std::size_t total_ = 0;
  bool is_head_full_ = false;
};

// The longest prefix of at most `limit` bytes that does not cut a UTF-8 sequence.
[[nodiscard]] std::string_view utf8_prefix(std::string_view text, std::size_t limit);
// The longest suffix of at most `limit` bytes that does not begin inside of one.
[[nodiscard]] std::string_view utf8_suffix(std::string_view text, std::size_t limit);
// Bytes that are no UTF-8 become U+FFFD: logs of containers may hold anything.
[[nodiscard]] std::string to_valid_utf8(std::string_view bytes);

}  // namespace mimeo::worker::cog
