#include "common/http/client.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/http/test_server.h"

namespace mimeo::http {
namespace {

using boost::asio::awaitable;
constexpr std::chrono::milliseconds kLimit{20'000};

awaitable<void> echo(Exchange& exchange) {
  Result<std::string> body = co_await exchange.read_body(64_MiB);
  Response response;
  response.status = exchange.head().path == "/missing" ? 404 : 200;
  response.headers.add("X-Method", exchange.head().method);
  if (body.ok()) response.body = *std::move(body);
  if (exchange.head().path != "/stream") {
    co_await exchange.respond(std::move(response));
    co_return;
  }
  co_await exchange.start_stream(std::move(response));
  for (int i = 0; i < 3; ++i) {
    std::string chunk(100'000, static_cast<char>('a' + i));
    co_await exchange.write(std::move(chunk));
  }
  co_await exchange.end_stream();
}

awaitable<void> talk(std::string address, std::uint16_t port) {
  auto connection = co_await ClientConnection::connect_tcp(address, port, kLimit);
  EXPECT_TRUE(connection.ok()) << connection.status();
  if (!connection.ok()) co_return;
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{3'000'000}}) {
    ClientRequest request;
    request.method = "POST";
    request.body.assign(size, 'x');
    Result<Response> response = co_await (*connection)->request(std::move(request));
    EXPECT_TRUE(response.ok()) << response.status();
    if (response.ok()) {
      EXPECT_EQ(response->body.size(), size);
    }
  }
  ClientRequest missing;
  missing.target = "/missing";
  Result<Response> response = co_await (*connection)->request(std::move(missing));
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->headers.get("x-method"), "GET");
  ClientRequest stream;
  stream.target = "/stream";
  response = co_await (*connection)->request(stream);
  EXPECT_EQ(response->body.size(), 300'000U);
  response = co_await (*connection)->request_head(std::move(stream));
  EXPECT_EQ(response->body, "");
  std::string all;
  for (;;) {
    Result<std::string> piece = co_await (*connection)->read_some();
    EXPECT_TRUE(piece.ok()) << piece.status();
    if (!piece.ok() || piece->empty()) break;
    EXPECT_LE(piece->size(), 65'536U);
    all += *piece;
  }
  EXPECT_EQ(all.size(), 300'000U);
  EXPECT_TRUE((*connection)->is_open());
  ClientRequest head;
  head.method = "HEAD";
  response = co_await (*connection)->request(std::move(head));
  EXPECT_EQ(response->status, 200);
}

TEST(Client, TalksOverTcp) {
  TestServer server(echo);
  server.run(talk("127.0.0.1", server.port())).get();
}

TEST(Client, ResolvesNames) {
  TestServer server(echo);
  server.run(talk("localhost", server.port())).get();
}

awaitable<void> talk_unix(std::string path) {
  auto connection = co_await ClientConnection::connect_unix(std::move(path), kLimit);
  EXPECT_TRUE(connection.ok()) << connection.status();
  if (!connection.ok()) co_return;
  ClientRequest request;
  request.method = "PUT";
  request.body = "over a file";
  Result<Response> response = co_await (*connection)->request(std::move(request));
  EXPECT_TRUE(response.ok()) << response.status();
  if (response.ok()) {
    EXPECT_EQ(response->body, "over a file");
  }
}

TEST(Client, TalksOverUnixSockets) {
  char directory[] = "/tmp/mimeo-http-XXXXXX";  // Short: socket paths end at 107 bytes.
  ASSERT_NE(::mkdtemp(directory), nullptr);
  ServerOptions options;
  options.unix_path = std::string(directory) + "/s";
  {
    TestServer server(echo, options);
    ASSERT_TRUE(server.status().ok()) << server.status();
    server.run(talk_unix(options.unix_path)).get();
    server.run(talk_unix(options.unix_path)).get();
  }
  EXPECT_FALSE(std::filesystem::exists(options.unix_path));
  std::filesystem::remove_all(directory);
}

TEST(Client, AServerCanListenOnASocketMadeElsewhere) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 16), 0);
  ServerOptions options;
  options.inherited_fd = fd;
  TestServer server(echo, options);
  ASSERT_TRUE(server.status().ok()) << server.status();
  server.run(talk("127.0.0.1", server.port())).get();
}

awaitable<Status> connect_status(std::uint16_t port) {
  auto connection = co_await ClientConnection::connect_tcp("127.0.0.1", port, kLimit);
  co_return connection.status();
}

TEST(Client, SaysThatNobodyListens) {
  TestServer server(echo);
  const std::uint16_t port = server.port();
  server.stop(std::chrono::milliseconds{1'000});
  EXPECT_TRUE(absl::IsUnavailable(server.run(connect_status(port)).get()));
}

awaitable<Status> request_status(std::uint16_t port, ClientRequest request) {
  auto connection = co_await ClientConnection::connect_tcp("127.0.0.1", port, kLimit);
  if (!connection.ok()) co_return connection.status();
  Result<Response> response = co_await (*connection)->request(std::move(request));
  EXPECT_EQ((*connection)->is_open(), response.ok());
  co_return response.status();
}

TEST(Client, GivesUpOnAServerThatSaysNothing) {
  TestServer server([](Exchange& exchange) { return exchange.wait_for_disconnect(); });
  ClientRequest request;
  request.timeout = std::chrono::milliseconds{50};
  EXPECT_TRUE(absl::IsDeadlineExceeded(server.run(request_status(server.port(), request)).get()));
}

TEST(Client, LimitsTheAnswer) {
  TestServer server(echo);
  ClientRequest request;
  request.method = "POST";
  request.body.assign(2'000, 'x');
  request.max_body = Bytes{1'000};
  EXPECT_TRUE(absl::IsResourceExhausted(server.run(request_status(server.port(), request)).get()));
  request.target = "/stream";
  EXPECT_TRUE(absl::IsResourceExhausted(server.run(request_status(server.port(), request)).get()));
}

TEST(Client, RefusesToSendLineEndsInFields) {
  TestServer server(echo);
  ClientRequest request;
  request.headers.add("X", "a\r\nY: b");
  auto connect = [](std::uint16_t port, ClientRequest sent) -> awaitable<Status> {
    auto connection = co_await ClientConnection::connect_tcp("127.0.0.1", port, kLimit);
    Result<Response> response = co_await (*connection)->request(std::move(sent));
    co_return response.status();
  };
  EXPECT_TRUE(absl::IsInvalidArgument(server.run(connect(server.port(), request)).get()));
}

}  // namespace
}  // namespace mimeo::http
