// Randomness comes in through this interface, so that tests and the simulator can repeat a run.

#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <random>
#include <span>
#include <string>

namespace mimeo {

// Safe to call from any thread.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;

  // Uniform over all 64-bit values.
  [[nodiscard]] std::uint64_t next_u64();
  // Uniform in [0, bound); bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);
  // Uniform in [0, 1).
  [[nodiscard]] double unit();
  // `length` characters of lower-case Crockford base32 (5 bits each).
  [[nodiscard]] std::string base32(std::size_t length);
};

// From the operating system's generator: good for tokens and ids.
class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

// Repeats for a seed. Never for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::mutex mutex_;
  std::mt19937_64 engine_;  // Guarded by mutex_.
};

}  // namespace mimeo
