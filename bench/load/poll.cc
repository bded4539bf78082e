#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "bench/load/load.h"

namespace mimeo::load {
namespace {

namespace asio = boost::asio;

struct Tally {
  std::vector<float> milliseconds;
  std::uint64_t failures = 0;  // Of a connection, or another status than 200.
};

// Reads one answer with a Content-Length into `buffer`; its status, or 0 when the connection ended.
asio::awaitable<int> read_answer(Tcp::socket& socket, std::string& buffer) {
  buffer.clear();
  std::array<char, 16384> part;
  std::size_t want = 0;  // Of the whole answer, once the head is there.
  while (want == 0 || buffer.size() < want) {
    auto [error, count] = co_await socket.async_read_some(asio::buffer(part), kAwait);
    if (error) co_return 0;
    buffer.append(part.data(), count);
    if (want != 0) continue;
    const std::size_t end = buffer.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    constexpr std::string_view kLength = "Content-Length: ";
    const std::size_t at = buffer.find(kLength);
    if (at == std::string::npos || at > end) co_return 0;
    std::size_t length = 0;
    std::from_chars(buffer.data() + at + kLength.size(), buffer.data() + end, length);
    want = end + 4 + length;
  }
  int status = 0;
  std::from_chars(buffer.data() + 9, buffer.data() + 12, status);
  co_return status;
}

asio::awaitable<void> client(const Options& options, std::size_t number, Time begin, Tally& tally) {
  const auto executor = co_await asio::this_coro::executor;
  const std::string request = request_for(options, number);
  const auto pause = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(1 / options.per_second));
  Tcp::socket socket(executor);
  auto [refused] = co_await socket.async_connect(
      Tcp::endpoint(asio::ip::make_address(options.host), options.port), kAwait);
  if (refused) {
    ++tally.failures;
    co_return;
  }
  socket.set_option(Tcp::no_delay(true));
  asio::steady_timer timer(executor);
  std::string answer;
  // Spread evenly over the first period.
  Time due = begin + pause * static_cast<std::int64_t>(number) / options.connections;
  for (; due < begin + options.duration; due += pause) {
    timer.expires_at(due);
    co_await timer.async_wait(kAwait);
    co_await asio::async_write(socket, asio::buffer(request), kAwait);
    if (co_await read_answer(socket, answer) != 200) {
      ++tally.failures;
      co_return;
    }
    const std::chrono::duration<float, std::milli> took = now() - due;
    tally.milliseconds.push_back(took.count());
  }
}

}  // namespace

int poll(const Options& options) {
  asio::io_context context(1);
  Tally tally;
  const Time begin = now() + std::chrono::seconds(1);  // Connecting is not measured.
  for (std::size_t i = 0; i < options.connections; ++i) {
    asio::co_spawn(context, client(options, i, begin, tally), asio::detached);
  }
  context.run();
  std::vector<float>& all = tally.milliseconds;
  std::sort(all.begin(), all.end());
  const auto at = [&all](double fraction) {
    const auto index = static_cast<std::size_t>(static_cast<double>(all.size()) * fraction);
    return all.empty() ? 0.0F : all[std::min(all.size() - 1, index)];
  };
  std::printf(R"({"requests":%zu,"failures":%llu,"p50_ms":%.2f,"p90_ms":%.2f,"p99_ms":%.2f,)"
              R"("p999_ms":%.2f,"max_ms":%.2f})"
              "\n",
              all.size(), static_cast<unsigned long long>(tally.failures), at(0.5), at(0.9),
              at(0.99), at(0.999), at(1));
  return tally.failures == 0 ? 0 : 1;
}

}  // namespace mimeo::load
