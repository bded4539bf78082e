#include "worker/cog/capped_log.h"

#include <cstdint>

namespace mimeo::worker::cog {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

// Length of the well-formed sequence at `text`, or 0.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  std::size_t length = 0;
  std::uint32_t code = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
    code = lead & 0x1FU;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    code = lead & 0x0FU;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    code = lead & 0x07U;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return 0;
    code = code << 6U | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  const bool is_overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  return is_overlong || is_surrogate || code > 0x10FFFF ? 0 : length;
}

}  // namespace

std::string_view utf8_prefix(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && is_continuation(text[limit])) --limit;
  return text.substr(0, limit);
}

std::string_view utf8_suffix(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t begin = text.size() - limit;
  while (begin < text.size() && is_continuation(text[begin])) ++begin;
  return text.substr(begin);
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = sequence_length(bytes);
    if (length == 0) {
      out.append("\xEF\xBF\xBD");
      bytes.remove_prefix(1);
    } else {
      out.append(bytes.substr(0, length));
      bytes.remove_prefix(length);
    }
  }
  return out;
}

std::string CappedLog::append(std::string_view text) {
  total_ += text.size();
  std::string now;
  if (!is_head_full_) {
    const std::string_view fits = utf8_prefix(text, half_ - head_.size());
    is_head_full_ = fits.size() < text.size();
    head_.append(fits);
    now = fits;
    text.remove_prefix(fits.size());
  }
  tail_.append(text);
  if (tail_.size() > 2 * half_) tail_ = std::string(utf8_suffix(tail_, half_));
  return now;
}

std::string CappedLog::ending() const {
  if (!is_head_full_) return {};
  const std::string_view tail = utf8_suffix(tail_, half_);
  const std::size_t missing = total_ - head_.size() - tail.size();
  if (missing == 0) return std::string(tail);
  return "\n[... " + std::to_string(missing) + " bytes of log left out ...]\n" + std::string(tail);
}

std::string CappedLog::finish() { return ending(); }

std::string CappedLog::text() const { return head_ + ending(); }

}  // namespace mimeo::worker::cog
