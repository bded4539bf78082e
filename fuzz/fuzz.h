// What the fuzz targets share: a way to take the input apart, and claims that must hold.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

// Ends the process, so that libFuzzer keeps the input. A bare CHECK would do; this one names
// itself.
#define MIMEO_FUZZ_CLAIM(condition)                                                  \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)

namespace mimeo::fuzz {

// The bytes of one run, read from the front.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  // 0 at the end.
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return first;
  }
  // Up to the next NUL, which is dropped; all of the rest without one.
  std::string_view field() {
    const std::size_t end = rest_.find('\0');
    const std::string_view taken = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return taken;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Hands `bytes` out in pieces of `size`, as a network would.
template <class Take>
void in_pieces(std::string_view bytes, std::size_t size, Take take) {
  while (!bytes.empty()) {
    take(bytes.substr(0, size));
    bytes.remove_prefix(size < bytes.size() ? size : bytes.size());
  }
}

}  // namespace mimeo::fuzz
