#include "common/base/random.h"

#include <sys/random.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "common/base/ids.h"

namespace mimeo {

std::uint64_t Random::next_u64() {
  std::array<std::uint8_t, 8> bytes;
  fill(bytes);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::uint64_t Random::below(std::uint64_t bound) {
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;  // Reject the biased tail.
  std::uint64_t value = next_u64();
  while (value >= limit) value = next_u64();
  return value % bound;
}

double Random::unit() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

std::string Random::base32(std::size_t length) {
  std::string bytes(length, '\0');
  fill({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  for (char& c : bytes) c = kCrockfordAlphabet[static_cast<std::uint8_t>(c) & 31];
  return bytes;
}

void SystemRandom::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    if (n > 0) {
      out = out.subspan(static_cast<std::size_t>(n));
    } else if (errno != EINTR) {
      std::abort();  // No entropy source: nothing secret can be made safely.
    }
  }
}

void SeededRandom::fill(std::span<std::uint8_t> out) {
  std::lock_guard lock(mutex_);
  for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(engine_());
}

}  // namespace mimeo
