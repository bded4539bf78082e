// What the server's and the client's connections share: an input buffer, deadlines, and Beast's
// message parser set up to fill our own types. Private to this folder.

#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "common/http/message.h"

namespace mimeo::http::wire {

inline constexpr auto kAwait = boost::asio::as_tuple(boost::asio::use_awaitable);
using ErrorCode = boost::system::error_code;

inline std::string_view as_std(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

[[nodiscard]] inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

// Bytes that were received and not yet used, contiguous.
class Buffer {
 public:
  [[nodiscard]] const char* data() const { return bytes_.get() + begin_; }
  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  void consume(std::size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  // Room for more input behind what is there: at least 1 byte, unless `limit` bytes are held
  // already (then none).
  std::span<char> prepare(std::size_t limit) {
    if (size() >= limit) return {};
    if (end_ == capacity_ && begin_ > 0) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ == capacity_) grow(std::min(limit, std::max<std::size_t>(kFirst, capacity_ * 2)));
    return {bytes_.get() + end_, std::min(capacity_ - end_, limit - size())};
  }
  void commit(std::size_t count) { end_ += count; }

 private:
  static constexpr std::size_t kFirst = 4096;

  void grow(std::size_t capacity) {
    capacity = std::max(capacity, capacity_ + 1);
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
    if (size() > 0) std::memcpy(bytes.get(), data(), size());
    end_ -= begin_;
    begin_ = 0;
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Calls `on_expiry` when a deadline passes. Setting and clearing is only an assignment: the timer
// behind it is armed when needed and looks for itself, at most once a period, whether the deadline
// has moved. That makes a deadline for every read and write affordable.
class Deadline {
 public:
  Deadline(const boost::asio::any_io_executor& executor, std::function<void()> on_expiry)
      : core_(std::make_shared<Core>(executor, std::move(on_expiry))) {}
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() {
    core_->on_expiry = nullptr;
    core_->timer.cancel();
  }

  // 0 = no deadline.
  void set(std::chrono::milliseconds limit) {
    core_->has_expired = false;
    if (limit.count() <= 0) return clear();
    core_->at = std::chrono::steady_clock::now() + limit;
    if (!core_->is_armed || core_->timer.expiry() > core_->at) Core::arm(core_);
  }
  void clear() { core_->at = std::chrono::steady_clock::time_point::max(); }
  [[nodiscard]] bool has_expired() const { return core_->has_expired; }

 private:
  struct Core {
    Core(const boost::asio::any_io_executor& executor, std::function<void()> callback)
        : timer(executor), on_expiry(std::move(callback)) {}

    static void arm(const std::shared_ptr<Core>& core) {
      core->is_armed = true;
      core->timer.expires_at(core->at);
      core->timer.async_wait([core](const ErrorCode& ec) {
        if (ec) return;  // Armed again for an earlier time, or destroyed.
        core->is_armed = false;
        if (!core->on_expiry || core->at == std::chrono::steady_clock::time_point::max()) return;
        if (std::chrono::steady_clock::now() < core->at) return arm(core);
        core->has_expired = true;
        core->at = std::chrono::steady_clock::time_point::max();
        core->on_expiry();
      });
    }

    boost::asio::steady_timer timer;
    std::function<void()> on_expiry;  // Empty once the owner is gone.
    std::chrono::steady_clock::time_point at = std::chrono::steady_clock::time_point::max();
    bool is_armed = false;
    bool has_expired = false;
  };
  std::shared_ptr<Core> core_;  // Shared with the timer's handler.
};

// The most header fields of one message, whatever their size.
inline constexpr std::size_t kMaxFields = 256;

// Beast's parser (RFC 9112 with its limits), giving heads as our Headers and chunked bodies into a
// span of the caller. One message each. Bodies with a Content-Length are read without it.
template <bool is_request>
class MessageParser final : public boost::beast::http::basic_parser<is_request> {
 public:
  explicit MessageParser(std::size_t max_header) {
    this->header_limit(static_cast<std::uint32_t>(max_header));
    this->body_limit(boost::none);
  }

  Headers headers;
  std::string method;  // Requests.
  std::string target;  // Requests.
  int status = 0;      // Responses.
  int version = 11;

  // Parses body bytes (chunked, or to the end of the connection) into `out`: how many bytes of
  // `input` were used; `produced` says how many bytes of body that gave.
  std::size_t parse_body(std::string_view input, std::span<char> out, std::size_t& produced,
                         ErrorCode& ec) {
    this->eager(true);
    out_ = out;
    const std::size_t used = this->put(boost::asio::const_buffer(input.data(), input.size()), ec);
    produced = out.size() - out_.size();
    if (ec == boost::beast::http::error::need_buffer ||
        ec == boost::beast::http::error::need_more) {
      ec = {};
    }
    return used;
  }

 private:
  using View = boost::beast::string_view;

  void on_request_impl(boost::beast::http::verb, View method_text, View target_text,
                       int http_version, ErrorCode&) override {
    version = http_version;
    method.assign(method_text.data(), method_text.size());
    target.assign(target_text.data(), target_text.size());
  }
  void on_response_impl(int code, View, int, ErrorCode&) override { status = code; }
  void on_field_impl(boost::beast::http::field field, View name, View value,
                     ErrorCode& ec) override {
    if (is_head_done_) return;  // Trailers are not used.
    if (headers.fields().size() >= kMaxFields) {
      ec = boost::beast::http::error::header_limit;
      return;
    }
    // Anything but exactly "chunked" would leave the end of the body to guesswork.
    if (field == boost::beast::http::field::transfer_encoding &&
        !equal_ignoring_case(as_std(value), "chunked")) {
      ec = boost::beast::http::error::bad_transfer_encoding;
      return;
    }
    headers.add(std::string(as_std(name)), std::string(as_std(value)));
  }
  void on_header_impl(ErrorCode&) override { is_head_done_ = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
  std::size_t on_body_impl(View body, ErrorCode& ec) override { return take(body, ec); }
  void on_chunk_header_impl(std::uint64_t, View, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, ErrorCode& ec) override {
    return take(body, ec);
  }
  void on_finish_impl(ErrorCode&) override {}

  std::size_t take(View body, ErrorCode& ec) {
    const std::size_t count = std::min(body.size(), out_.size());
    if (count > 0) std::memcpy(out_.data(), body.data(), count);
    out_ = out_.subspan(count);
    if (count < body.size()) ec = boost::beast::http::error::need_buffer;
    return count;
  }

  std::span<char> out_;
  bool is_head_done_ = false;
};

}  // namespace mimeo::http::wire
