#include "common/http/event_stream.h"

#include <gtest/gtest.h>

#include "common/http/test_server.h"

namespace mimeo::http {
namespace {

Event event(std::string id, std::string name, std::string data) {
  Event made;
  made.id = std::move(id);
  made.name = std::move(name);
  made.data = std::move(data);
  return made;
}

TEST(EventStream, FormatsTheBytesThatClientsExpect) {
  EXPECT_EQ(format_event(event("1690212292:0", "output", "Once upon a time")),
            "event: output\nid: 1690212292:0\ndata: Once upon a time\n\n");
  EXPECT_EQ(format_event(event("1:1", "done", "{}")), "event: done\nid: 1:1\ndata: {}\n\n");
}

TEST(EventStream, SplitsTextAtEveryKindOfLineEnd) {
  EXPECT_EQ(format_event(event("", "output", "a\nb\r\nc\rd\n")),
            "event: output\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
}

TEST(EventStream, KeepsLeadingBlanksAndEmptyData) {
  EXPECT_EQ(format_event(event("", "", " soul")), "data:  soul\n\n");
  EXPECT_EQ(format_event(event("1", "", "")), "id: 1\ndata: \n\n");
}

TEST(EventStream, LineEndsInNamesDoNotForgeEvents) {
  EXPECT_EQ(format_event(event("1\ndata: x", "a\rb", "")), "event: a b\nid: 1 data: x\ndata: \n\n");
}

boost::asio::awaitable<void> two_events(Exchange& exchange) {
  EventStream stream(exchange);
  co_await stream.start();
  Event first = event("1:0", "output", "x");
  co_await stream.send(std::move(first));
  co_await stream.ping();
  Event last = event("1:1", "done", "{}");
  co_await stream.send(std::move(last));
  co_await stream.end();
}

TEST(EventStream, PingsWithACommentLineAndNoEmptyEvent) {
  TestServer server(two_events);
  RawClient client(server.port());
  client.send("GET / HTTP/1.0\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_NE(answer.find("Content-Type: text/event-stream; charset=utf-8\r\n"), std::string::npos);
  EXPECT_TRUE(
      answer.ends_with("\r\n\r\nevent: output\nid: 1:0\ndata: x\n\n"
                       ": ping\nevent: done\nid: 1:1\ndata: {}\n\n"))
      << answer;
}

}  // namespace
}  // namespace mimeo::http
