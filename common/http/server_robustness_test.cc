// The server against bytes that no well-behaved client sends: requests cut at every place, flipped
// bytes, and noise. Each connection must get an answer or be closed, and the server must go on.

#include <gtest/gtest.h>

#include <random>

#include "common/http/server.h"
#include "common/http/test_server.h"

namespace mimeo::http {
namespace {

boost::asio::awaitable<void> echo(Exchange& exchange) {
  const Result<std::string> body = co_await exchange.read_body(Bytes{10'000});
  Response response;
  response.status = body.ok() ? 200 : 400;
  response.body = exchange.head().path + ":" + body.value_or("error");
  co_await exchange.respond(std::move(response));
}

const char kPlain[] =
    "POST /plain?a=b HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: "
    "5\r\n\r\nhello";
const char kChunked[] =
    "POST /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;name=\"a b\"\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\n";

class RobustnessTest : public ::testing::Test {
 protected:
  static ServerOptions options() {
    ServerOptions made;
    made.header_timeout = std::chrono::milliseconds{2'000};
    made.read_timeout = std::chrono::milliseconds{2'000};
    return made;
  }

  void expect_alive() {
    RawClient client(server_.port());
    client.send(kPlain);
    EXPECT_NE(client.read_answer().find("/plain:hello"), std::string::npos);
  }

  TestServer server_{echo, options()};
};

TEST_F(RobustnessTest, UnderstandsARequestHoweverItIsCut) {
  for (const std::string request : {kPlain, kChunked}) {
    const std::string wanted =
        request.find("chunked HTTP") != std::string::npos ? "/chunked:hello!" : "/plain:hello";
    RawClient client(server_.port());
    for (std::size_t cut = 1; cut < request.size(); ++cut) {
      client.send(request.substr(0, cut));
      std::this_thread::yield();  // Most of the halves arrive one by one, which is enough.
      client.send(request.substr(cut));
      const std::string answer = client.read_answer();
      ASSERT_NE(answer.find(wanted), std::string::npos) << "cut at " << cut << "\n" << answer;
    }
  }
}

TEST_F(RobustnessTest, UnderstandsRequestsByteByByte) {
  for (const std::string request : {kPlain, kChunked}) {
    RawClient client(server_.port());
    for (const char c : request) {
      client.send(std::string(1, c));
      std::this_thread::yield();
    }
    EXPECT_NE(client.read_answer().find("hello"), std::string::npos);
  }
}

TEST_F(RobustnessTest, SurvivesClientsThatLeaveAnywhere) {
  for (const std::string request : {kPlain, kChunked}) {
    for (std::size_t cut = 0; cut <= request.size(); ++cut) {
      RawClient client(server_.port());
      client.send(request.substr(0, cut));
    }
  }
  expect_alive();
}

TEST_F(RobustnessTest, AnswersOrClosesOnEveryChangedByte) {
  for (const std::string request : {kPlain, kChunked}) {
    for (std::size_t at = 0; at < request.size(); ++at) {
      for (const char replacement : {'\0', '\n', '\r', ' ', '\x7f', '\xff', 'f'}) {
        std::string changed = request;
        changed[at] = replacement;
        RawClient client(server_.port());
        client.send(changed);
        client.finish_sending();
        const std::string answer = client.read_all();
        EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 ")) << answer;
      }
    }
  }
  expect_alive();
}

TEST_F(RobustnessTest, SurvivesNoise) {
  constexpr unsigned int kSeed = 20261123;
  std::mt19937 random(kSeed);
  std::uniform_int_distribution<int> byte(0, 255);
  for (int i = 0; i < 300; ++i) {
    std::string noise = i % 2 == 0 ? "" : std::string(kChunked).substr(0, 75);
    for (int k = 0; k < 200; ++k) noise += static_cast<char>(byte(random));
    RawClient client(server_.port());
    client.send(noise);
    client.finish_sending();
    const std::string answer = client.read_all();
    EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 4")) << "seed " << kSeed << answer;
  }
  expect_alive();
}

}  // namespace
}  // namespace mimeo::http
