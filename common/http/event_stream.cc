#include "common/http/event_stream.h"

#include <utility>

namespace mimeo::http {
namespace {

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value) out += c == '\n' || c == '\r' || c == '\0' ? ' ' : c;
  out += '\n';
}

}  // namespace

std::string format_event(const Event& event) {
  std::string out;
  out.reserve(event.data.size() + event.id.size() + event.name.size() + 32);
  if (!event.name.empty()) append_field(out, "event", event.name);
  if (!event.id.empty()) append_field(out, "id", event.id);
  std::string_view rest = event.data;
  for (;;) {
    const auto end = rest.find_first_of("\r\n");
    out.append("data: ").append(rest.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    rest.remove_prefix(rest.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
  out += '\n';
  return out;
}

boost::asio::awaitable<Status> EventStream::start(Headers extra) {
  Response response;
  response.headers = std::move(extra);
  response.headers.set("Content-Type", "text/event-stream; charset=utf-8");
  response.headers.set("Cache-Control", "no-cache, no-transform");
  response.headers.set("X-Accel-Buffering", "no");
  co_return co_await exchange_.start_stream(std::move(response));
}

boost::asio::awaitable<Status> EventStream::send(Event event) {
  std::string formatted = format_event(event);
  co_return co_await exchange_.write(std::move(formatted));
}

boost::asio::awaitable<Status> EventStream::send_raw(std::string formatted) {
  co_return co_await exchange_.write(std::move(formatted));
}

boost::asio::awaitable<Status> EventStream::ping() {
  std::string comment = ": ping\n";
  co_return co_await exchange_.write(std::move(comment));
}

boost::asio::awaitable<Status> EventStream::end() { co_return co_await exchange_.end_stream(); }

}  // namespace mimeo::http
