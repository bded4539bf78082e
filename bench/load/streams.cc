#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <string_view>

#include "bench/load/load.h"

namespace mimeo::load {
namespace {

namespace asio = boost::asio;

constexpr std::uint32_t kConnecting = 200;  // At once: a listener's backlog is limited.

struct Tally {
  std::uint32_t begun = 0;
  std::uint32_t connecting = 0;
  std::uint32_t open = 0;
  std::uint32_t failed = 0;
  std::uint32_t done = 0;
  std::uint64_t outputs = 0;
  std::uint64_t bytes = 0;
};

std::uint64_t occurrences(std::string_view text, std::string_view what) {
  std::uint64_t count = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

asio::awaitable<void> reader(const Options& options, std::size_t number, Tally& tally) {
  Tcp::socket socket(co_await asio::this_coro::executor);
  auto [refused] = co_await socket.async_connect(
      Tcp::endpoint(asio::ip::make_address(options.host), options.port), kAwait);
  const std::string request = request_for(options, number);
  if (!refused) co_await asio::async_write(socket, asio::buffer(request), kAwait);
  std::array<char, 4096> part;
  std::string tail;  // Behind the last whole event.
  bool is_open = false;
  while (!refused) {
    auto [error, count] = co_await socket.async_read_some(asio::buffer(part), kAwait);
    if (error) break;
    tally.bytes += count;
    tail.append(part.data(), count);
    if (!is_open) {
      --tally.connecting;
      if (!tail.starts_with("HTTP/1.1 200")) {
        ++tally.failed;
        co_return;
      }
      is_open = true;
      ++tally.open;
    }
    const std::size_t end = tail.rfind("\n\n");  // Of the last whole event.
    if (end == std::string::npos) continue;
    const std::string_view whole = std::string_view(tail).substr(0, end + 2);
    tally.outputs += occurrences(whole, "event: output\n");
    if (whole.find("event: done\n") != std::string_view::npos) {
      ++tally.done;
      co_return;
    }
    tail.erase(0, end + 2);
  }
  if (!is_open) --tally.connecting;
  ++tally.failed;
}

asio::awaitable<void> open_all(const Options& options, Tally& tally) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  while (tally.begun < options.connections) {
    while (tally.begun < options.connections && tally.connecting < kConnecting) {
      ++tally.connecting;
      asio::co_spawn(executor, reader(options, tally.begun++, tally), asio::detached);
    }
    timer.expires_after(std::chrono::milliseconds(1));
    co_await timer.async_wait(kAwait);
  }
  while (tally.connecting > 0) {
    timer.expires_after(std::chrono::milliseconds(10));
    co_await timer.async_wait(kAwait);
  }
  std::printf(R"({"open":%u,"failed":%u})"
              "\n",
              tally.open, tally.failed);
  std::fflush(stdout);
}

}  // namespace

int streams(const Options& options) {
  asio::io_context context(1);
  Tally tally;
  asio::co_spawn(context, open_all(options, tally), asio::detached);
  context.run_for(options.duration);
  std::printf(R"({"done":%u,"failed":%u,"outputs":%llu,"bytes":%llu})"
              "\n",
              tally.done, tally.failed, static_cast<unsigned long long>(tally.outputs),
              static_cast<unsigned long long>(tally.bytes));
  return tally.failed == 0 ? 0 : 1;
}

}  // namespace mimeo::load
