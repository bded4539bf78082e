// Server-sent events over an Exchange, with the bytes that the official clients want: LF only, one
// blank after each colon, several "data:" lines for text with line ends, and keep-alives that are
// a lone comment line (an empty line behind it would be an empty event to some of them).

#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/http/server.h"

namespace mimeo::http {

struct Event {
  std::string id;    // No field when empty.
  std::string name;  // The "event" field; none when empty.
  std::string data;  // Any text; CR LF and a lone CR count as line ends, as they do to receivers.
};

// The event as it goes over the wire, with its empty line. Line ends in id and name become blanks.
[[nodiscard]] std::string format_event(const Event& event);

// Lives within one handler; the exchange outlives it. After an error of any call the client is
// gone: just return.
class EventStream {
 public:
  explicit EventStream(Exchange& exchange) : exchange_(exchange) {}

  // Sends the head: 200, text/event-stream, no caching, no proxy buffering, plus `extra`.
  boost::asio::awaitable<Status> start(Headers extra);
  boost::asio::awaitable<Status> start() { return start(Headers{}); }
  // Several events may be sent as one write: format_event() them into a string for send_raw().
  boost::asio::awaitable<Status> send(Event event);
  boost::asio::awaitable<Status> send_raw(std::string formatted);
  // ": ping\n". At least every 15 s while nothing else is sent: clients time out after 30 s.
  boost::asio::awaitable<Status> ping();
  boost::asio::awaitable<Status> end();

 private:
  Exchange& exchange_;
};

}  // namespace mimeo::http
