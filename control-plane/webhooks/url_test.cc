#include "control-plane/webhooks/url.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

std::string receiver(const std::string& url) {
  const Result<WebhookUrl> parsed = parse_webhook_url(url);
  return parsed.ok() ? parsed->receiver() : std::string(parsed.status().message());
}

TEST(WebhookUrl, NamesItsReceiver) {
  EXPECT_EQ(receiver("https://hook.example/x?y=1:2"), "hook.example:443");
  EXPECT_EQ(receiver("HTTP://Hook.Example"), "hook.example:80");
  EXPECT_EQ(receiver("https://hook.example:8443"), "hook.example:8443");
  EXPECT_EQ(receiver("https://hook.example:?x"), "hook.example:443");
  EXPECT_EQ(receiver("https://user:pass@hook.example:8443/"), "hook.example:8443");
  EXPECT_EQ(receiver("http://[FD00::1]:8080/x"), "[fd00::1]:8080");
  EXPECT_EQ(receiver("http://[::1]"), "[::1]:80");
  EXPECT_EQ(receiver("https://m\xC3\xBCnchen.example/"), "m\xC3\xBCnchen.example:443");
  EXPECT_TRUE(parse_webhook_url("https://a")->is_https);
  EXPECT_FALSE(parse_webhook_url("http://a")->is_https);
}

TEST(WebhookUrl, SaysWhatIsWrongWithIt) {
  const std::string scheme = "it must begin with https:// or http://";
  for (const char* url : {"", "hook.example", "ftp://hook.example", "file:///etc/passwd", "//x"}) {
    EXPECT_EQ(receiver(url), scheme) << url;
  }
  EXPECT_EQ(receiver("https:///x"), "it has no host");
  EXPECT_EQ(receiver("https://?x"), "it has no host");
  EXPECT_EQ(receiver("https://user@:80/"), "it has no host");
  const std::string port = "the port is not a number from 1 to 65535";
  for (const char* text : {"0", "65536", "-1", "8a", "99999999999", "80:80"}) {
    EXPECT_EQ(receiver(std::string("https://hook.example:") + text), port) << text;
  }
  EXPECT_EQ(receiver("https://[::1"), "the host is not an IPv6 address");
  EXPECT_EQ(receiver("https://[]/"), "the host is not an IPv6 address");
  EXPECT_EQ(receiver("https://[x]/"), "the host is not an IPv6 address");
  EXPECT_EQ(receiver("https://ho\"ok/"), "the host has characters that no host has");
  EXPECT_EQ(receiver("https://a b/"), "blanks, control characters and backslashes must be encoded");
  EXPECT_EQ(receiver("https://a\\b/"),
            "blanks, control characters and backslashes must be encoded");
  EXPECT_EQ(receiver("https://" + std::string(300, 'a')), "the host is too long");
  EXPECT_EQ(receiver("https://a/" + std::string(5000, 'a')), "it is longer than 4096 characters");
}

}  // namespace
}  // namespace mimeo::control
