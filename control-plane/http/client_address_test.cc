#include "control-plane/http/client_address.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

http::RequestHead from(std::string peer, std::string forwarded = "") {
  http::RequestHead head;
  head.peer = std::move(peer);
  if (!forwarded.empty()) head.headers.add("X-Forwarded-For", std::move(forwarded));
  return head;
}

TEST(ClientAddress, IsThePeersWithoutItsPort) {
  EXPECT_EQ(client_address(from("192.0.2.7:4711"), {}), "192.0.2.7");
  EXPECT_EQ(client_address(from("::ffff:192.0.2.7:4711"), {}), "192.0.2.7");
  EXPECT_EQ(client_address(from(""), {}), "unknown");
}

TEST(ClientAddress, OfIpv6OneClientIsANetwork) {
  EXPECT_EQ(client_address(from("[2001:db8::1]:80"), {}), "2001:db8::1");
  EXPECT_EQ(client_network("2001:db8::1"), client_network("2001:db8::2"));
  EXPECT_NE(client_network("2001:db8::1"), client_network("2001:db8:0:1::1"));
  EXPECT_EQ(client_network("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(client_network("unknown"), "unknown");
}

TEST(ClientAddress, IsForwardedOnlyByThoseWhoAreTrusted) {
  EXPECT_EQ(client_address(from("192.0.2.7:1", "203.0.113.1"), {}), "192.0.2.7");
  EXPECT_EQ(client_address(from("192.0.2.7:1", "203.0.113.1"), {"192.0.2.8"}), "192.0.2.7");
  EXPECT_EQ(client_address(from("192.0.2.7:1", "10.0.0.1, 203.0.113.1"), {"192.0.2.7"}),
            "203.0.113.1");
  EXPECT_EQ(client_address(from("192.0.2.7:1", "nonsense"), {"192.0.2.7"}), "192.0.2.7");
  EXPECT_EQ(client_address(from("192.0.2.7:1"), {"192.0.2.7"}), "192.0.2.7");
  EXPECT_EQ(client_address(from("", "203.0.113.1"), {"127.0.0.1"}), "203.0.113.1")
      << "a Unix socket";
}

TEST(ClientAddress, ListsOfAddressesAreChecked) {
  EXPECT_EQ(*parse_addresses(" 127.0.0.1, ::1 ,"), (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_TRUE(parse_addresses("")->empty());
  EXPECT_FALSE(parse_addresses("localhost").ok());
  EXPECT_FALSE(parse_addresses("10.0.0.0/8").ok());
}

}  // namespace
}  // namespace mimeo::control
