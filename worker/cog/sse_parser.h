// Takes a text/event-stream apart as it arrives (WHATWG HTML 9.2.6, the parts that coglet uses).

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mimeo::worker::cog {

struct SseEvent {
  std::string name;  // "message" when the stream did not say.
  std::string data;  // Lines joined by '\n'.
};

class SseParser {
 public:
  // Events that `bytes` complete. Pieces may be cut anywhere; comments vanish.
  [[nodiscard]] std::vector<SseEvent> feed(std::string_view bytes);

 private:
  void line(std::string_view text, std::vector<SseEvent>* out);

  std::string rest_;  // The line that is not complete.
  std::string name_;
  std::string data_;
  bool has_data_ = false;
};

}  // namespace mimeo::worker::cog
