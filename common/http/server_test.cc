#include "common/http/server.h"

#include <gtest/gtest.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <future>

#include "common/http/client.h"
#include "common/http/test_server.h"

namespace mimeo::http {
namespace {

using boost::asio::awaitable;

Response text(std::string body) {
  Response response;
  response.headers.add("Content-Type", "text/plain");
  response.body = std::move(body);
  return response;
}

// Says what it understood of the request.
awaitable<void> describe(Exchange& exchange) {
  const RequestHead& head = exchange.head();
  std::string said = head.method + " " + head.path;
  for (const auto& segment : head.segments) said += " [" + segment + "]";
  for (const auto& [key, value] : head.query) said += " " + key + "=" + value;
  Result<std::string> body = co_await exchange.read_body(16_MiB);
  said += body.ok() ? " body=" + *body : " body error: " + std::string(body.status().message());
  Response response = text(std::move(said));
  co_await exchange.respond(std::move(response));
}

std::string get(const std::string& target, const std::string& method = "GET") {
  return method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
}

std::string ask(TestServer& server, const std::string& request) {
  RawClient client(server.port());
  client.send(request);
  return client.read_all();
}

TEST(Server, AnswersSeveralRequestsOnOneConnection) {
  TestServer server(describe);
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /n/" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.read_answer();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_NE(answer.find("GET /n/" + std::to_string(i) + " [n]"), std::string::npos) << answer;
    EXPECT_NE(answer.find("\r\nDate: "), std::string::npos);
  }
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  TestServer server(describe);
  RawClient client(server.port());
  client.send(
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
      "\r\nPOST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nTrailer: y\r\n\r\n"
      "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string all = client.read_all();
  const auto a = all.find("POST /a [a] body=hi");
  const auto b = all.find("POST /b [b] body=abcdefg");
  const auto c = all.find("GET /c [c] body=");
  EXPECT_LT(a, b) << all;
  EXPECT_LT(b, c) << all;
  EXPECT_NE(c, std::string::npos) << all;
}

TEST(Server, DecodesPathAndQuery) {
  TestServer server(describe);
  EXPECT_NE(
      ask(server, get("/a%2Fb/%C3%BC?x=1+2%2B3&y&=z")).find("GET /a/b/ü [a/b] [ü] x=1 2+3 y= =z"),
      std::string::npos);
  EXPECT_NE(ask(server, get("http://host/path?q=1")).find("GET /path [path] q=1"),
            std::string::npos);
}

TEST(Server, HandsOutMethodsItDoesNotKnow) {
  TestServer server(describe);
  EXPECT_NE(ask(server, get("/models", "QUERY")).find("QUERY /models"), std::string::npos);
}

TEST(Server, RefusesMalformedRequestsWithAProblem) {
  TestServer server(describe);
  const std::vector<std::string> bad = {
      get("/a%zz"),
      get("/a%2"),
      get("/a%00b"),
      get("/%0a"),
      get("/../etc/passwd"),
      get("/a/%2e%2e/b"),
      get("/a/./b"),
      get("/%ff"),
      get("/\xff\xfe"),
      get("/a\x01"),
      get("/?q=%zz"),
      get("/?q=%ff"),
      get("no-slash"),
      "GET / HTTP/1.1\r\n\r\n",  // No Host.
      "GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nX: a\x01z\r\n\r\n",
      "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
      "\x16\x03\x01\x02garbage\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
  };
  for (const std::string& request : bad) {
    const std::string answer = ask(server, request);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 Bad Request\r\n")) << request << answer;
    EXPECT_NE(answer.find("application/problem+json"), std::string::npos) << answer;
    EXPECT_NE(answer.find("\"status\":400"), std::string::npos) << answer;
  }
}

TEST(Server, RefusesTooLargeHeadersWith431) {
  TestServer server(describe);
  const std::string large =
      "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n";
  EXPECT_TRUE(ask(server, large).starts_with("HTTP/1.1 431 "));
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 10'000; ++i) many += "a:b\r\n";
  EXPECT_TRUE(ask(server, many + "\r\n").starts_with("HTTP/1.1 431 "));
  const std::string target = "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n";
  EXPECT_TRUE(ask(server, target).starts_with("HTTP/1.1 431 "));
}

awaitable<void> limited(Exchange& exchange) {
  const Result<std::string> body = co_await exchange.read_body(Bytes{1000});
  Response response = text(body.ok() ? "fine" : "");
  if (!body.ok()) response.status = absl::IsResourceExhausted(body.status()) ? 413 : 400;
  co_await exchange.respond(std::move(response));
}

TEST(Server, AClientThatSendsTooMuchSeesThe413) {
  TestServer server(limited);
  const std::string body(4'000'000, 'x');
  EXPECT_TRUE(ask(server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + body)
                  .starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(
      ask(server,
          "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3d0900\r\n" + body)
          .starts_with("HTTP/1.1 413 "));
}

TEST(Server, MalformedChunksAreTheClientsFault) {
  TestServer server(limited);
  const std::string head =
      "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_TRUE(ask(server, head + "zz\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(ask(server, head + "3\r\nabcXX\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(ask(server, head + "3;" + std::string(100'000, 'e')).starts_with("HTTP/1.1 400 "));
}

TEST(Server, SendsContinueBeforeItReadsTheBody) {
  TestServer server(describe);
  RawClient client(server.port());
  client.send(
      "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
      "Connection: close\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  EXPECT_NE(client.read_all().find("body=hi"), std::string::npos);
}

awaitable<void> ignore_body(Exchange& exchange) {
  Response response = text("ignored");
  co_await exchange.respond(std::move(response));
}

TEST(Server, SkipsABodyThatNobodyRead) {
  TestServer server(ignore_body);
  RawClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(client.read_answer().find("ignored"), std::string::npos);
  EXPECT_NE(client.read_answer().find("ignored"), std::string::npos);
}

TEST(Server, HeadHasTheLengthButNotTheBody) {
  TestServer server(ignore_body);
  const std::string answer = ask(server, get("/", "HEAD"));
  EXPECT_NE(answer.find("Content-Length: 7\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

awaitable<void> count_up(Exchange& exchange) {
  Response response = text("0");
  co_await exchange.start_stream(std::move(response));
  for (int i = 1; i < 4; ++i) {
    std::string chunk = std::to_string(i);
    const Status status = co_await exchange.write(std::move(chunk));
    if (!status.ok()) co_return;
  }
  co_await exchange.end_stream();
}

TEST(Server, StreamsChunks) {
  TestServer server(count_up);
  RawClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = client.read_until("0\r\n\r\n");
  EXPECT_NE(answer.find("Transfer-Encoding: chunked\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\n")) << answer;
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");  // The connection goes on.
  EXPECT_NE(client.read_until("0\r\n\r\n").find("200 OK"), std::string::npos);
}

TEST(Server, StreamsToOldClientsUntilTheEndOfTheConnection) {
  TestServer server(count_up);
  const std::string answer = ask(server, "GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(answer.find("chunked"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n0123")) << answer;
}

awaitable<void> fail(Exchange& exchange) {
  if (exchange.head().path == "/silent") co_return;
  if (exchange.head().path == "/late") {
    Response response = text("partial");
    co_await exchange.start_stream(std::move(response));
  }
  throw std::runtime_error("broken");
}

TEST(Server, AHandlerThatThrowsOrSaysNothingGives500) {
  TestServer server(fail);
  for (const char* path : {"/", "/silent"}) {
    const std::string answer = ask(server, get(path));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 500 ")) << answer;
    EXPECT_NE(answer.find("application/problem+json"), std::string::npos);
    EXPECT_EQ(answer.find("broken"), std::string::npos) << "internals are for the log";
  }
}

TEST(Server, AStreamThatBreaksDoesNotLookComplete) {
  TestServer server(fail);
  EXPECT_TRUE(ask(server, get("/late")).ends_with("7\r\npartial\r\n"));
}

TEST(Server, LineEndsInFieldsDoNotBecomeFields) {
  TestServer server([](Exchange& exchange) -> awaitable<void> {
    Response response = text("");
    response.headers.add("X-Name", "a\r\nSet-Cookie: evil");
    co_await exchange.respond(std::move(response));
  });
  EXPECT_EQ(ask(server, get("/")).find("\r\nSet-Cookie"), std::string::npos);
}

TEST(Server, CutsASlowHeader) {
  ServerOptions options;
  options.header_timeout = std::chrono::milliseconds{50};
  TestServer server(describe, options);
  RawClient slow(server.port());
  slow.send("GET / HTTP/1.1\r\nHost:");
  EXPECT_TRUE(slow.read_all().starts_with("HTTP/1.1 408 "));
  RawClient idle(server.port());
  EXPECT_EQ(idle.read_all(), "");
}

TEST(Server, CutsASlowBody) {
  ServerOptions options;
  options.read_timeout = std::chrono::milliseconds{50};
  TestServer server(describe, options);
  RawClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_NE(client.read_all().find("body error: the request's body did not arrive in time"),
            std::string::npos);
}

TEST(Server, CutsAClientThatStopsReading) {
  static std::promise<Status> ended;
  ended = {};
  ServerOptions options;
  options.write_timeout = std::chrono::milliseconds{50};
  TestServer server(
      [](Exchange& exchange) -> awaitable<void> {
        Response response = text("");
        Status status = co_await exchange.start_stream(std::move(response));
        while (status.ok()) {
          std::string chunk(1'000'000, 'x');
          status = co_await exchange.write(std::move(chunk));
        }
        ended.set_value(status);
      },
      options);
  RawClient client(server.port(), 4096);
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(absl::IsDeadlineExceeded(ended.get_future().get()));
  client.read_all();
  EXPECT_TRUE(client.was_reset());
}

TEST(Server, TellsAnIdleStreamThatItsClientLeft) {
  static std::promise<void> left;
  left = {};
  TestServer server([](Exchange& exchange) -> awaitable<void> {
    Response response = text("hello");
    co_await exchange.start_stream(std::move(response));
    co_await exchange.wait_for_disconnect();
    left.set_value();
  });
  RawClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  client.read_until("hello");
  client.close();
  left.get_future().get();
}

TEST(Server, RefusesConnectionsAboveItsLimit) {
  ServerOptions options;
  options.max_connections = 1;
  TestServer server(describe, options);
  RawClient first(server.port());
  first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  first.read_answer();
  EXPECT_TRUE(ask(server, get("/")).starts_with("HTTP/1.1 503 "));
  first.send(get("/again"));
  EXPECT_NE(first.read_all().find("/again"), std::string::npos);
}

TEST(Server, NamesThePortThatIsTaken) {
  TestServer server(describe);
  ServerOptions options;
  options.port = server.port();
  TestServer second(describe, options);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status()));
  EXPECT_NE(second.status().message().find(std::to_string(server.port())), std::string::npos);
}

awaitable<void> hold(Exchange& exchange) {
  Response response = text("begun");
  co_await exchange.start_stream(std::move(response));
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  timer.expires_after(std::chrono::hours{1});
  co_await timer.async_wait(boost::asio::use_awaitable);
}

TEST(Server, StoppingClosesIdleConnectionsAndCutsTheOthersAtItsLimit) {
  TestServer server(hold);
  RawClient idle(server.port());
  RawClient busy(server.port());
  busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  busy.read_until("begun");
  server.stop(std::chrono::milliseconds{50});
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_EQ(busy.read_all(), "\r\n") << "the rest of the chunk and no end of the stream";
  EXPECT_THROW(RawClient{server.port()}, std::runtime_error);
  EXPECT_EQ(server.server().connections(), 0U);
}

TEST(Server, StoppingLetsOpenRequestsFinish) {
  static std::promise<void> begun;
  static boost::asio::steady_timer* gate = nullptr;
  begun = {};
  TestServer server([](Exchange& exchange) -> awaitable<void> {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    timer.expires_after(std::chrono::hours{1});
    gate = &timer;
    begun.set_value();
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    Response response = text("finished");
    co_await exchange.respond(std::move(response));
  });
  RawClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  begun.get_future().get();
  auto stopped = server.run(server.server().stop(std::chrono::milliseconds{20'000}));
  boost::asio::post(server.io(), [] { gate->cancel(); });
  const std::string answer = client.read_all();
  EXPECT_NE(answer.find("finished"), std::string::npos);
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  stopped.get();
}

}  // namespace
}  // namespace mimeo::http
