#include "worker/cog/line_ends.h"

namespace mimeo::worker::cog {

std::string LineEnds::append(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '\r') {
      if (is_at_start_) continue;
      out.push_back('\n');
      is_at_start_ = true;
      is_half_read_ = true;
    } else if (c == '\n') {
      if (!is_half_read_) out.push_back('\n');
      is_at_start_ = true;
      is_half_read_ = false;
    } else {
      out.push_back(c);
      is_at_start_ = false;
      is_half_read_ = false;
    }
  }
  return out;
}

}  // namespace mimeo::worker::cog
