#include "common/base/ids.h"

#include <absl/numeric/int128.h>

#include <algorithm>
#include <cstring>

namespace mimeo {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

constexpr std::array<std::int8_t, 256> make_crockford_values() {
  std::array<std::int8_t, 256> values{};
  for (auto& v : values) v = -1;
  for (std::size_t i = 0; i < kCrockfordAlphabet.size(); ++i) {
    values[static_cast<std::uint8_t>(kCrockfordAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr auto kCrockfordValues = make_crockford_values();

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void put_millis(std::array<std::uint8_t, 16>& bytes, std::int64_t ms) {
  for (int i = 0; i < 6; ++i) bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
}

std::int64_t millis_of(WallTime at) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

}  // namespace

Result<Uuid> Uuid::parse(std::string_view base32) {
  // 26 x 5 = 130 bits: the first character carries the top three.
  if (base32.size() != 26) return absl::InvalidArgumentError("an id has 26 characters");
  absl::uint128 value = 0;
  for (std::size_t i = 0; i < base32.size(); ++i) {
    const int digit = kCrockfordValues[static_cast<std::uint8_t>(base32[i])];
    if (digit < 0 || (i == 0 && digit > 7)) {
      return absl::InvalidArgumentError(
          "not an id: a character outside of 0-9 and a-z without i, l, o, u");
    }
    value = (value << 5) | static_cast<std::uint64_t>(digit);
  }
  std::array<std::uint8_t, 16> bytes;
  for (int i = 15; i >= 0; --i, value >>= 8)
    bytes[i] = static_cast<std::uint8_t>(absl::Uint128Low64(value));
  return Uuid(bytes);
}

Result<Uuid> Uuid::parse_hex(std::string_view hyphenated) {
  if (hyphenated.size() != 36) return absl::InvalidArgumentError("not a UUID");
  std::array<std::uint8_t, 16> bytes;
  std::size_t at = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    if (at == 8 || at == 13 || at == 18 || at == 23) {
      if (hyphenated[at++] != '-') return absl::InvalidArgumentError("not a UUID");
    }
    const int high = hex_value(hyphenated[at]);
    const int low = hex_value(hyphenated[at + 1]);
    if (high < 0 || low < 0) return absl::InvalidArgumentError("not a UUID");
    bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    at += 2;
  }
  return Uuid(bytes);
}

Uuid Uuid::lowest_at(WallTime at) {
  std::array<std::uint8_t, 16> bytes{};
  put_millis(bytes, std::max<std::int64_t>(0, millis_of(at)));
  bytes[6] = 0x70;
  bytes[8] = 0x80;
  return Uuid(bytes);
}

std::string Uuid::str() const {
  absl::uint128 value = 0;
  for (const std::uint8_t byte : bytes_) value = (value << 8) | byte;
  std::string out(26, '0');
  for (int i = 25; i >= 0; --i, value >>= 5)
    out[i] = kCrockfordAlphabet[absl::Uint128Low64(value) & 31];
  return out;
}

std::string Uuid::hex() const {
  std::string out;
  out.reserve(36);
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += kHex[bytes_[i] >> 4];
    out += kHex[bytes_[i] & 15];
  }
  return out;
}

WallTime Uuid::created_at() const {
  std::int64_t ms = 0;
  for (int i = 0; i < 6; ++i) ms = ms << 8 | bytes_[i];
  return WallTime{std::chrono::milliseconds{ms}};
}

Result<VersionId> VersionId::parse(std::string_view hex64) {
  if (hex64.size() != 64) return absl::InvalidArgumentError("a version id has 64 hex digits");
  for (const char c : hex64) {
    if (hex_value(c) < 0 || (c >= 'A' && c <= 'F')) {
      return absl::InvalidArgumentError("a version id has 64 lower-case hex digits");
    }
  }
  MIMEO_ASSIGN_OR_RETURN(const std::string raw, from_hex(hex64));
  return from_bytes(raw);
}

Result<VersionId> VersionId::from_bytes(std::string_view raw) {
  if (raw.size() != 32) return absl::InvalidArgumentError("a version id has 32 bytes");
  VersionId id;
  std::copy(raw.begin(), raw.end(), id.bytes_.begin());
  return id;
}

std::string VersionId::hex() const { return to_hex({bytes_.data(), bytes_.size()}); }

Uuid IdGenerator::next() {
  std::array<std::uint8_t, 16> bytes;
  random_.fill(bytes);
  std::lock_guard lock(mutex_);
  const std::int64_t ms = millis_of(clock_.now());
  if (ms > last_ms_) {
    last_ms_ = ms;
    counter_ = (static_cast<std::uint32_t>(bytes[6]) << 8 | bytes[7]) & 0x7ff;  // Room to count up.
  } else if (++counter_ >
             0xfff) {  // A full millisecond, or a clock that went back: borrow the next.
    ++last_ms_;
    counter_ = 0;
  }
  put_millis(bytes, last_ms_);
  bytes[6] = static_cast<std::uint8_t>(0x70 | (counter_ >> 8));
  bytes[7] = static_cast<std::uint8_t>(counter_);
  bytes[8] = static_cast<std::uint8_t>(0x80 | (bytes[8] & 0x3f));
  return Uuid(bytes);
}

std::string to_hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += kHex[static_cast<std::uint8_t>(c) >> 4];
    out += kHex[static_cast<std::uint8_t>(c) & 15];
  }
  return out;
}

Result<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return absl::InvalidArgumentError("hex with an odd number of digits");
  std::string out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]);
    const int low = hex_value(hex[i + 1]);
    if (high < 0 || low < 0) return absl::InvalidArgumentError("not a hex digit");
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

}  // namespace mimeo

std::size_t std::hash<mimeo::Uuid>::operator()(const mimeo::Uuid& id) const noexcept {
  std::size_t tail = 0;  // The random half is hash enough.
  std::memcpy(&tail, id.bytes().data() + 8, sizeof tail);
  return tail;
}

std::size_t std::hash<mimeo::VersionId>::operator()(const mimeo::VersionId& id) const noexcept {
  std::size_t head = 0;
  const std::string raw = id.raw();
  std::memcpy(&head, raw.data(), sizeof head);
  return head;
}
