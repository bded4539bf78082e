// What an HTTP request and response are to the rest of the project. Beast stays inside this folder.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mimeo::http {

// Field names compare without case; order and repeats are kept.
class Headers {
 public:
  void add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  void set(std::string_view name, std::string value);
  void remove(std::string_view name);
  // First value, or nullopt.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  [[nodiscard]] std::string_view get(std::string_view name) const {
    return find(name).value_or("");
  }
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& fields() const {
    return fields_;
  }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// The head of a request as the server hands it out. `path` is percent-decoded per segment and free
// of
// "." and ".." and control characters (such requests are answered 400 before any handler).
struct RequestHead {
  std::string method;  // Upper case as sent; any token ("QUERY").
  std::string target;  // As sent.
  std::string path;    // Before '?', decoded.
  std::vector<std::string>
      segments;  // Of path, decoded one by one: a "%2F" stays inside its segment.
  std::vector<std::pair<std::string, std::string>> query;  // Decoded.
  Headers headers;
  std::string peer;  // "127.0.0.1:4711".
  bool is_tls = false;

  // First value of this query parameter.
  [[nodiscard]] std::optional<std::string_view> parameter(std::string_view name) const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
};

// Percent-decoding; nullopt when malformed. '+' stays '+'.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);
// Encodes everything outside of RFC 3986 "unreserved".
[[nodiscard]] std::string percent_encode(std::string_view text);
// "Sun, 06 Nov 1994 08:49:37 GMT".
[[nodiscard]] std::string http_date(long long unix_seconds);

}  // namespace mimeo::http
