// What the two kinds of load share. Everything runs on one thread: the machine's other core is the
// server's.

#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace mimeo::load {

using Tcp = boost::asio::ip::tcp;
using Time = std::chrono::steady_clock::time_point;
inline constexpr auto kAwait = boost::asio::as_tuple(boost::asio::use_awaitable);

struct Options {
  std::string mode;  // "poll" or "streams".
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::string token;               // Sent as bearer; empty = none.
  std::vector<std::string> paths;  // Connection i asks for number i modulo their number.
  std::uint32_t connections = 1000;
  double per_second = 2;  // Requests of one connection.
  std::chrono::seconds duration{20};
};

// "GET path" with a head that an official client could have sent.
[[nodiscard]] std::string request_for(const Options& options, std::size_t connection);
// Now, from a clock that does not jump.
[[nodiscard]] inline Time now() { return std::chrono::steady_clock::now(); }

// Asks again and again; prints one JSON line: requests, errors, milliseconds at percentiles. A
// latency counts from the moment at which the request was due, so that a slow answer also delays
// what it makes late (no coordinated omission).
int poll(const Options& options);

// Opens one event stream per connection and reads until `done` or the end of the time. Prints a
// JSON line once all are open, and one with what came at the end.
int streams(const Options& options);

}  // namespace mimeo::load
