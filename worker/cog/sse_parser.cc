#include "worker/cog/sse_parser.h"

#include <utility>

namespace mimeo::worker::cog {

std::vector<SseEvent> SseParser::feed(std::string_view bytes) {
  std::vector<SseEvent> events;
  rest_.append(bytes);
  std::size_t begin = 0;
  for (std::size_t end = rest_.find('\n'); end != std::string::npos;
       end = rest_.find('\n', begin)) {
    std::string_view text(rest_.data() + begin, end - begin);
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    line(text, &events);
    begin = end + 1;
  }
  rest_.erase(0, begin);
  return events;
}

void SseParser::line(std::string_view text, std::vector<SseEvent>* out) {
  if (text.empty()) {
    if (has_data_) {
      out->push_back({name_.empty() ? "message" : std::move(name_), std::move(data_)});
    }
    name_.clear();
    data_.clear();
    has_data_ = false;
    return;
  }
  const std::size_t colon = text.find(':');
  if (colon == 0) return;  // A comment: keep-alive.
  const std::string_view field = text.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) value = text.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (field == "event") {
    name_ = value;
  } else if (field == "data") {
    if (has_data_) data_.push_back('\n');
    data_.append(value);
    has_data_ = true;
  }
}

}  // namespace mimeo::worker::cog
