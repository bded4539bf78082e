#include "worker/cog/cog_run.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <optional>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "worker/cog/fake_cog_server.h"

namespace mimeo::worker::cog {
namespace {

namespace asio = boost::asio;

class SeenEvents final : public RunEvents {
 public:
  void on_started(std::chrono::microseconds ago) override { started = ago; }
  void on_output(std::string /*item_json*/) override {}
  void on_log(std::string /*text*/) override {}
  void on_metric(std::string /*object_json*/) override {}
  void on_too_large() override {}

  std::optional<std::chrono::microseconds> started;
};

// Takes its time, as on a busy machine: lets everything else run first.
class LateDialer final : public Dialer {
 public:
  LateDialer(std::uint16_t port, const SeenEvents& events) : port_(port), events_(events) {}
  asio::awaitable<Result<int>> dial() override {
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 1'000 && !events_.started; ++i) {
      co_await asio::post(executor, asio::use_awaitable);
    }
    was_started_before_ = events_.started.has_value();
    asio::ip::tcp::socket socket(executor);
    const asio::ip::tcp::endpoint server(asio::ip::address_v4::loopback(), port_);
    co_await socket.async_connect(server, asio::use_awaitable);
    co_return socket.release();
  }
  [[nodiscard]] bool was_started_before() const { return was_started_before_; }

 private:
  const std::uint16_t port_;
  const SeenEvents& events_;
  bool was_started_before_ = false;
};

// A run starts when its request leaves. One that waits for a connection has not started, and must
// not be ended by its limit because of a time that nobody measured.
TEST(CogRunTest, HasNotStartedBeforeTheRequestLeaves) {
  FakeCogOptions options;
  options.generation = Generation::kLegacy;
  FakeCogServer server(options);
  asio::io_context io;
  SeenEvents events;
  LateDialer dialer(server.port(), events);
  Connections connections(io.get_executor(), dialer);
  BlockingPool pool(1);
  TaskGroup tasks(io.get_executor());
  const SystemClock clock;
  RunParts parts;
  parts.executor = io.get_executor();
  parts.connections = &connections;
  parts.pool = &pool;
  parts.tasks = &tasks;
  parts.clock = &clock;
  parts.times.assume_started = std::chrono::milliseconds(0);
  ServerFacts facts;
  facts.generation = Generation::kLegacy;
  RunRequest request;
  request.id = "r1";
  request.input = R"({"text":"hello"})";
  const SteadyTime before = clock.steady();
  const auto run = CogRun::make(parts, facts, request, events);
  auto ending = asio::co_spawn(io, run->execute(), asio::use_future);
  io.run();
  const auto all = clock.steady() - before;
  EXPECT_EQ(ending.get().status, RunStatus::kSucceeded);
  EXPECT_FALSE(dialer.was_started_before());
  ASSERT_TRUE(events.started.has_value());
  EXPECT_LE(*events.started, all);
}

}  // namespace
}  // namespace mimeo::worker::cog
