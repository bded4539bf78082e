// Identifiers.
//
// Predictions, trainings and instances have time-ordered ids: UUIDv7 (RFC 9562 section 5.7), shown
// as 26 lower-case Crockford base32 characters. Both forms sort by time of creation, so that tables
// can be partitioned by id. A version's id is the SHA-256 of its image manifest.

#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"

namespace mimeo {

inline constexpr std::string_view kCrockfordAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";

// 128 bits with two spellings: base32 (API, wire, logs) and the hyphenated hex of RFC 9562 (SQL).
// The zero value means "none".
class Uuid {
 public:
  constexpr Uuid() = default;
  explicit constexpr Uuid(const std::array<std::uint8_t, 16>& bytes) : bytes_(bytes) {}

  // 26 characters [0-9a-z] of the Crockford alphabet; upper case is not accepted.
  [[nodiscard]] static Result<Uuid> parse(std::string_view base32);
  // "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".
  [[nodiscard]] static Result<Uuid> parse_hex(std::string_view hyphenated);
  // The lowest UUIDv7 of this millisecond: a bound for ranges of ids.
  [[nodiscard]] static Uuid lowest_at(WallTime at);

  [[nodiscard]] std::string str() const;      // Base32.
  [[nodiscard]] std::string hex() const;      // Hyphenated.
  [[nodiscard]] WallTime created_at() const;  // Millisecond resolution.
  [[nodiscard]] bool is_nil() const { return bytes_ == std::array<std::uint8_t, 16>{}; }
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }

  friend auto operator<=>(const Uuid&, const Uuid&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

using PredictionId = Uuid;
using InstanceId = Uuid;
using WorkerId = Uuid;
using ReplicaId = Uuid;

// SHA-256 of an image manifest: 32 bytes, shown as 64 lower-case hex digits.
class VersionId {
 public:
  constexpr VersionId() = default;
  [[nodiscard]] static Result<VersionId> parse(std::string_view hex64);
  // Exactly 32 raw bytes (the form on the wire).
  [[nodiscard]] static Result<VersionId> from_bytes(std::string_view raw);

  [[nodiscard]] std::string hex() const;
  [[nodiscard]] std::string raw() const { return {bytes_.begin(), bytes_.end()}; }
  [[nodiscard]] bool is_nil() const { return bytes_ == std::array<char, 32>{}; }

  friend auto operator<=>(const VersionId&, const VersionId&) = default;

 private:
  std::array<char, 32> bytes_{};
};

// Row numbers made by the database. Plain integers with names: they never mix silently in our
// interfaces because each parameter says which it is.
using AccountId = std::int64_t;
using ModelId = std::int64_t;
using DeploymentId = std::int64_t;
using TargetId = std::int64_t;
using CellId = std::int32_t;

// Makes UUIDv7: strictly increasing within one generator, also within a millisecond (RFC 9562
// section 6.2 method 1: a 12-bit counter in rand_a). Safe from any thread.
class IdGenerator {
 public:
  // Both must outlive the generator.
  IdGenerator(const Clock& clock, Random& random) : clock_(clock), random_(random) {}
  [[nodiscard]] Uuid next();

 private:
  const Clock& clock_;
  Random& random_;
  std::mutex mutex_;
  std::int64_t last_ms_ = 0;   // Guarded by mutex_.
  std::uint32_t counter_ = 0;  // Guarded by mutex_.
};

// Lower-case hex of any bytes.
[[nodiscard]] std::string to_hex(std::string_view bytes);
// The reverse; kInvalidArgument for odd length or other characters than [0-9a-fA-F].
[[nodiscard]] Result<std::string> from_hex(std::string_view hex);

}  // namespace mimeo

template <>
struct std::hash<mimeo::Uuid> {
  std::size_t operator()(const mimeo::Uuid& id) const noexcept;
};
template <>
struct std::hash<mimeo::VersionId> {
  std::size_t operator()(const mimeo::VersionId& id) const noexcept;
};
