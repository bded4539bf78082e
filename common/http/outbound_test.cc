#include "common/http/outbound.h"

#include <gtest/gtest.h>

#include <future>
#include <stop_token>

#include "common/http/address_rules.h"
#include "common/http/test_server.h"

namespace mimeo::http {
namespace {

using boost::asio::awaitable;

awaitable<void> site(Exchange& exchange) {
  const RequestHead& head = exchange.head();
  Result<std::string> body = co_await exchange.read_body(16_MiB);
  if (!body.ok()) co_return;  // The client gave up.
  Response response;
  if (head.path == "/redirect") {
    response.status = 302;
    response.headers.add("Location", "/landed");
  } else if (head.path == "/redirect-file") {
    response.status = 302;
    response.headers.add("Location", "file:///etc/passwd");
  } else if (head.path == "/loop") {
    response.status = 302;
    response.headers.add("Location", "/loop");
  } else if (head.path == "/large") {
    response.body.assign(100'000, 'x');
  } else if (head.path == "/large-field") {
    response.headers.add("X-Large", std::string(150'000, 'x'));
  } else if (head.path == "/many-fields") {
    for (int i = 0; i < 300; ++i) response.headers.add("X-Same", std::string(1000, 'x'));
  } else if (head.path == "/error") {
    response.status = 500;
    response.body = "sorry";
  } else if (head.path == "/slow") {
    co_await exchange.wait_for_disconnect();
    co_return;
  } else {
    response.body = head.method + " " + head.path + " " + *body + " " +
                    std::string(head.headers.get("X-Test")) + " " +
                    std::string(head.headers.get("Authorization"));
  }
  co_await exchange.respond(std::move(response));
}

AddressRules permissive() {
  AddressRules rules;
  rules.allow_private = true;
  return rules;
}

class OutboundTest : public ::testing::Test {
 protected:
  OutboundRequest request(const std::string& path, const std::string& host = "127.0.0.1") {
    OutboundRequest made;
    made.url = "http://" + host + ":" + std::to_string(server_.port()) + path;
    return made;
  }
  TestServer server_{site};
  Outbound outbound_{permissive()};
};

TEST_F(OutboundTest, SendsMethodFieldsAndBody) {
  OutboundRequest sent = request("/x");
  sent.method = "PUT";
  sent.body = "data";
  sent.headers.add("X-Test", "1");
  const Result<Response> response = outbound_.perform(sent);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "PUT /x data 1 ");
  EXPECT_EQ(response->headers.get("content-length"), "14");
}

TEST_F(OutboundTest, RefusesLoopbackByAddressAndByName) {
  const Outbound strict{AddressRules{}};
  for (const char* host : {"127.0.0.1", "localhost", "127.1", "0.0.0.0", "[::1]", "2130706433"}) {
    const Result<Response> response = strict.perform(request("/x", host));
    EXPECT_TRUE(absl::IsPermissionDenied(response.status())) << host << response.status();
  }
}

TEST_F(OutboundTest, AllowsNamedExceptions) {
  AddressRules rules;
  rules.allowed_hosts = {"127.0.0.1:" + std::to_string(server_.port())};
  const Outbound outbound{rules};
  EXPECT_TRUE(outbound.perform(request("/x")).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(outbound.perform(request("/x", "localhost")).status()));
}

AddressRules with_exception(const std::string& entry) {
  AddressRules rules;
  EXPECT_EQ(add_exception(rules, entry), absl::OkStatus()) << entry;
  return rules;
}

TEST_F(OutboundTest, AllowsWhatAnExceptionCoversAndNothingElse) {
  const std::string port = ":" + std::to_string(server_.port());
  for (const std::string& entry :
       {std::string("127.0.0.0/8"), "127.0.0.1" + port, std::string("127.0.0.1"),
        "localhost" + port, std::string("LocalHost")}) {
    const Outbound outbound{with_exception(entry)};
    const auto response = outbound.perform(request("/x", "localhost"));
    EXPECT_TRUE(response.ok()) << entry << " " << response.status();
  }
  for (const char* entry : {"127.0.0.1:1", "localhost:1", "127.0.0.2/31", "10.0.0.0/8", "*.host",
                            "host", "127.0.0.1.example", "[::1]:80"}) {
    const Outbound outbound{with_exception(entry)};
    const auto response = outbound.perform(request("/x", "localhost"));
    EXPECT_TRUE(absl::IsPermissionDenied(response.status())) << entry << " " << response.status();
  }
}

TEST_F(OutboundTest, ANamedExceptionIsNoneForItsAddress) {
  const Outbound outbound{with_exception("localhost")};
  EXPECT_TRUE(absl::IsPermissionDenied(outbound.perform(request("/x")).status()));
}

TEST_F(OutboundTest, ChecksEveryHopOfARedirect) {
  // The first hop is exempt by name; where it leads is not.
  const TestServer leading([&](Exchange& exchange) -> awaitable<void> {
    Response response;
    response.status = 302;
    response.headers.add("Location", "http://127.0.0.1:" + std::to_string(server_.port()) + "/x");
    co_await exchange.respond(std::move(response));
  });
  const Outbound outbound{with_exception("localhost")};
  OutboundRequest sent;
  sent.url = "http://localhost:" + std::to_string(leading.port()) + "/";
  sent.max_redirects = 3;
  EXPECT_TRUE(absl::IsPermissionDenied(outbound.perform(sent).status()));
}

TEST_F(OutboundTest, RefusesPortsOfOtherServices) {
  AddressRules rules = permissive();
  rules.ports = AllowedPorts::kWebAndHigh;
  OutboundRequest sent = request("/x");
  EXPECT_TRUE(Outbound{rules}.perform(sent).ok());
  sent.url = "http://127.0.0.1:25/";
  const Status refused = Outbound{rules}.perform(sent).status();
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  EXPECT_NE(refused.message().find("port"), std::string_view::npos);
  ASSERT_EQ(add_exception(rules, "127.0.0.1:25"), absl::OkStatus());
  EXPECT_TRUE(absl::IsUnavailable(Outbound{rules}.perform(sent).status())) << "nobody listens";
}

TEST_F(OutboundTest, CutsOffALargeAnswerWhenTold) {
  OutboundRequest sent = request("/large");
  sent.max_response = Bytes{1'000};
  sent.oversize = Oversize::kIsCutOff;
  const Result<Response> response = outbound_.perform(sent);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, std::string(1'000, 'x'));
}

TEST_F(OutboundTest, RefusesOtherSchemes) {
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "",
                          "no url", "http://"}) {
    OutboundRequest sent;
    sent.url = url;
    EXPECT_TRUE(absl::IsInvalidArgument(outbound_.perform(sent).status())) << url;
  }
}

TEST_F(OutboundTest, FollowsRedirectsOnlyWhenTold) {
  OutboundRequest sent = request("/redirect");
  EXPECT_EQ(outbound_.perform(sent)->status, 302);
  sent.max_redirects = 3;
  EXPECT_EQ(outbound_.perform(sent)->body, "GET /landed   ");
  sent = request("/loop");
  sent.max_redirects = 3;
  EXPECT_TRUE(absl::IsUnavailable(outbound_.perform(sent).status()));
  sent = request("/redirect-file");
  sent.max_redirects = 3;
  EXPECT_TRUE(absl::IsInvalidArgument(outbound_.perform(sent).status()));
}

TEST_F(OutboundTest, LimitsSizeAndTime) {
  OutboundRequest sent = request("/large");
  sent.max_response = Bytes{1'000};
  EXPECT_TRUE(absl::IsResourceExhausted(outbound_.perform(sent).status()));
  sent = request("/slow");
  sent.timeout = std::chrono::milliseconds{50};
  EXPECT_TRUE(absl::IsDeadlineExceeded(outbound_.perform(sent).status()));
}

TEST_F(OutboundTest, AHeadIsLimitedToo) {
  for (const char* path : {"/large-field", "/many-fields"}) {
    const Status status = outbound_.perform(request(path)).status();
    EXPECT_EQ(status, absl::ResourceExhaustedError("the answer is too large")) << path;
  }
}

TEST_F(OutboundTest, StopsWhenTold) {
  std::stop_source stop;
  OutboundRequest slow = request("/slow");
  slow.timeout = std::chrono::minutes(5);
  slow.stop = stop.get_token();
  auto answer = std::async(std::launch::async, [&] { return outbound_.perform(slow); });
  stop.request_stop();
  EXPECT_TRUE(absl::IsCancelled(answer.get().status()));
}

TEST_F(OutboundTest, EndsWhatStandsStill) {
  OutboundRequest sent = request("/slow");
  sent.timeout = std::chrono::hours(1);
  sent.stall_limit = std::chrono::seconds(1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(outbound_.perform(sent).status()));
}

TEST_F(OutboundTest, EndsWhenItsOwnerStops) {
  std::stop_source stop;
  const Outbound stopping{permissive(), stop.get_token()};
  stop.request_stop();
  OutboundRequest sent = request("/slow");
  sent.timeout = std::chrono::hours(1);
  const Status status = stopping.perform(sent).status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  const Outbound working{permissive(), std::stop_source().get_token()};
  EXPECT_TRUE(working.perform(request("/x")).ok());
}

TEST_F(OutboundTest, DownloadsIntoASink) {
  std::size_t received = 0;
  const Result<Response> response =
      outbound_.download(request("/large"), [&received](std::string_view piece) {
        received += piece.size();
        return absl::OkStatus();
      });
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(received, 100'000U);
  EXPECT_EQ(response->body, "");
  const Result<Response> error =
      outbound_.download(request("/error"), [](std::string_view) { return absl::OkStatus(); });
  EXPECT_EQ(error->body, "sorry") << "error bodies are for the log, not for the file";
  const Result<Response> refused = outbound_.download(
      request("/large"), [](std::string_view) { return absl::AbortedError("disk full"); });
  EXPECT_TRUE(absl::IsAborted(refused.status()));
}

TEST_F(OutboundTest, UploadsFromASource) {
  BodySource source;
  source.size_bytes = 3'000'000;
  source.read = [](std::uint64_t offset, std::span<char> buffer) -> Result<std::size_t> {
    const std::size_t piece = std::min<std::size_t>(3'000'000 - offset, buffer.size());
    std::fill_n(buffer.begin(), piece, 'x');
    return piece;
  };
  OutboundRequest sent = request("/there");
  sent.method = "PATCH";
  const Result<Response> response = outbound_.upload(sent, source);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "PATCH /there " + std::string(3'000'000, 'x') + "  ");
  source.read = [](std::uint64_t, std::span<char>) -> Result<std::size_t> {
    return absl::AbortedError("the disk is gone");
  };
  EXPECT_TRUE(absl::IsAborted(outbound_.upload(sent, source).status()));
}

TEST_F(OutboundTest, RefusesLineEndsInFields) {
  OutboundRequest sent = request("/x");
  sent.headers.add("X-Test", "1\r\nEvil: 2");
  EXPECT_TRUE(absl::IsInvalidArgument(outbound_.perform(sent).status()));
}

TEST_F(OutboundTest, SaysThatNobodyListens) {
  OutboundRequest sent = request("/x");
  server_.stop(std::chrono::milliseconds{1'000});
  EXPECT_TRUE(absl::IsUnavailable(outbound_.perform(sent).status()));
}

bool is_public(const char* text) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text, &v6->sin6_addr), 1) << text;
    storage.ss_family = AF_INET6;
  }
  return is_public_address(reinterpret_cast<const sockaddr*>(&storage));
}

TEST(AddressRules, KnowsWhichAddressesArePublic) {
  for (const char* address :
       {"10.1.2.3",       "100.64.0.1",  "127.0.0.1", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.168.0.1", "0.0.0.0",   "224.0.0.1",       "255.255.255.255",
        "198.18.0.1",     "::",          "::1",       "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::",  "fe80::1",     "fc00::1",   "fd00:ec2::254",   "ff02::1",
        "2001::1",        "2001:db8::1"}) {
    EXPECT_FALSE(is_public(address)) << address;
  }
  for (const char* address : {"1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1",
                              "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"}) {
    EXPECT_TRUE(is_public(address)) << address;
  }
}

sockaddr_storage address_of(const char* text, std::uint16_t port) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    storage.ss_family = AF_INET;
    v4->sin_port = htons(port);
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text, &v6->sin6_addr), 1) << text;
    storage.ss_family = AF_INET6;
    v6->sin6_port = htons(port);
  }
  return storage;
}

TEST(AddressRules, KnowNetworksOfBothFamilies) {
  const auto covers = [](const std::string& entry, const char* address, std::uint16_t port) {
    const sockaddr_storage storage = address_of(address, port);
    return is_allowed_network(with_exception(entry), reinterpret_cast<const sockaddr*>(&storage));
  };
  EXPECT_TRUE(covers("10.1.0.0/16", "10.1.255.255", 80));
  EXPECT_FALSE(covers("10.1.0.0/16", "10.2.0.0", 80));
  EXPECT_TRUE(covers("10.1.0.0/15", "10.0.0.1", 80));
  EXPECT_TRUE(covers("10.1.0.0/16", "::ffff:10.1.2.3", 80)) << "the same host";
  EXPECT_TRUE(covers("0.0.0.0/0", "192.168.1.1", 80));
  EXPECT_FALSE(covers("0.0.0.0/0", "fd00::1", 80));
  EXPECT_TRUE(covers("fd00::/8", "fdff::1", 80));
  EXPECT_FALSE(covers("fd00::/8", "fc00::1", 80));
  EXPECT_TRUE(covers("[fd00::/8]:8080", "fd00::1", 8080));
  EXPECT_FALSE(covers("[fd00::/8]:8080", "fd00::1", 80));
  EXPECT_TRUE(covers("::1", "::1", 80));
  EXPECT_TRUE(covers("10.1.2.3:8080", "10.1.2.3", 8080));
  EXPECT_FALSE(covers("10.1.2.3:8080", "10.1.2.3", 8081));
}

TEST(AddressRules, KnowHostsBySuffix) {
  const AddressRules rules = with_exception("*.corp.example:8443");
  EXPECT_TRUE(is_allowed_host(rules, "a.corp.example", "8443"));
  EXPECT_TRUE(is_allowed_host(rules, "a.b.CORP.example", "8443"));
  EXPECT_FALSE(is_allowed_host(rules, "a.corp.example", "443"));
  EXPECT_FALSE(is_allowed_host(rules, "corp.example", "8443"));
  EXPECT_FALSE(is_allowed_host(rules, "evilcorp.example", "8443"));
}

TEST(AddressRules, RefuseExceptionsThatMeanNothing) {
  for (const char* entry : {"", "*", "*.", "a/8", "10.0.0.0/33", "10.0.0.0/x", "host:0", "host:x",
                            "[::1", "[::1]80", "::1/129", "a b", "https://host", "*.*.example"}) {
    AddressRules rules;
    EXPECT_TRUE(absl::IsInvalidArgument(add_exception(rules, entry))) << entry;
  }
}

}  // namespace
}  // namespace mimeo::http
