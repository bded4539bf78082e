#include "common/http/health_endpoints.h"

#include <gtest/gtest.h>

#include <atomic>

#include "common/http/test_server.h"

namespace mimeo::http {
namespace {

std::string get(std::uint16_t port, const std::string& path) {
  RawClient client(port);
  client.send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  return client.read_all();
}

TEST(HealthEndpoints, AnswerHealthReadinessAndMetrics) {
  Metrics metrics;
  metrics.counter("mimeo_test_things_total", "Things.").Increment(3);
  std::atomic<bool> is_ready = false;
  boost::asio::io_context io;
  const auto check = [&is_ready]() -> boost::asio::awaitable<Status> {
    // Named, because a coroutine's captures live only as long as the lambda: it does here.
    Status status = is_ready ? absl::OkStatus() : absl::UnavailableError("warming up");
    co_return status;
  };
  auto server = start_health_server(io.get_executor(), ServerOptions{}, metrics, check);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::uint16_t port = (*server)->port();
  std::thread thread([&io] { io.run(); });
  EXPECT_TRUE(get(port, "/healthz").starts_with("HTTP/1.1 200 "));
  const std::string not_yet = get(port, "/readyz");
  EXPECT_TRUE(not_yet.starts_with("HTTP/1.1 503 ")) << not_yet;
  EXPECT_TRUE(not_yet.ends_with("warming up\n")) << not_yet;
  is_ready = true;
  EXPECT_TRUE(get(port, "/readyz").starts_with("HTTP/1.1 200 "));
  EXPECT_NE(get(port, "/metrics").find("mimeo_test_things_total 3"), std::string::npos);
  EXPECT_TRUE(get(port, "/other").starts_with("HTTP/1.1 404 "));
  io.stop();
  thread.join();
}

}  // namespace
}  // namespace mimeo::http
