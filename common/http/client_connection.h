// A client's connection over any kind of stream. Private to this folder; instantiated for plain
// sockets in client.cc and for TLS in client_tls.cc.

#pragma once

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "common/http/client.h"
#include "common/http/wire.h"

namespace mimeo::http {

using ClientSocket = boost::asio::generic::stream_protocol::socket;

// Resolves and connects; a name's addresses are tried in turn.
boost::asio::awaitable<Result<ClientSocket>> connect_socket(std::string address, std::uint16_t port,
                                                            std::chrono::milliseconds timeout);

// The request's head with Host and Content-Length. kInvalidArgument for line ends in it.
[[nodiscard]] Result<std::string> client_head(const ClientRequest& request);

inline ClientSocket& lowest(ClientSocket& stream) { return stream; }

template <class Stream>
class StreamConnection final : public ClientConnection {
 public:
  explicit StreamConnection(Stream stream)
      : stream_(std::move(stream)), deadline_(socket().get_executor(), [this] {
          wire::ErrorCode ignored;
          socket().cancel(ignored);
        }) {}

  [[nodiscard]] bool is_open() const override { return is_open_; }
  void close() override {
    wire::ErrorCode ignored;
    socket().close(ignored);
    is_open_ = false;
  }
  boost::asio::awaitable<Result<Response>> request(ClientRequest request) override;
  boost::asio::awaitable<Result<Response>> request_head(ClientRequest request) override;
  boost::asio::awaitable<Result<std::string>> read_some() override;
  Stream& stream() { return stream_; }

 private:
  using Parser = wire::MessageParser<false>;
  static constexpr std::size_t kHeaderLimit = 256UL << 10U;
  static constexpr std::size_t kPiece = 64UL << 10U;

  boost::asio::awaitable<Status> send(const ClientRequest* request);
  boost::asio::awaitable<Status> read_head(bool is_head_request);
  boost::asio::awaitable<bool> receive(std::size_t limit);
  boost::asio::awaitable<Result<Response>> exchange(ClientRequest* request);
  boost::asio::awaitable<Result<std::size_t>> read_into(std::span<char> out);
  boost::asio::awaitable<Result<std::size_t>> read_parsed(std::span<char> out);
  Status fail(const wire::ErrorCode& ec, std::string_view what);
  Status malformed(std::string_view what);
  void finish_message();

  auto& socket() { return lowest(stream_); }

  Stream stream_;
  wire::Buffer input_;
  wire::Deadline deadline_;
  bool is_open_ = true;
  bool is_busy_ = false;  // An answer's body is not read to its end.
  std::optional<Parser> parser_;
  wire::ErrorCode error_;        // Of the last receive().
  std::uint64_t body_left_ = 0;  // With a Content-Length.
  bool is_fixed_body_ = false;
  std::chrono::milliseconds timeout_{0};
};

template <class Stream>
Status StreamConnection<Stream>::fail(const wire::ErrorCode& ec, std::string_view what) {
  const bool has_expired = deadline_.has_expired();
  close();
  if (has_expired) return absl::DeadlineExceededError(std::string(what) + ": timed out");
  const std::string text = std::string(what) + ": " + ec.message();
  if (ec == boost::asio::error::operation_aborted) return absl::CancelledError(text);
  return absl::UnavailableError(text);
}

template <class Stream>
Status StreamConnection<Stream>::malformed(std::string_view what) {
  close();
  return absl::InternalError("malformed answer: " + std::string(what));
}

template <class Stream>
void StreamConnection<Stream>::finish_message() {
  is_busy_ = false;
  if (!parser_->keep_alive() || parser_->need_eof()) close();
}

template <class Stream>
boost::asio::awaitable<bool> StreamConnection<Stream>::receive(std::size_t limit) {
  const std::span<char> room = input_.prepare(limit);
  if (room.empty()) {
    error_ = boost::beast::http::error::buffer_overflow;
    co_return false;
  }
  deadline_.set(timeout_);
  auto buffer = boost::asio::buffer(room.data(), room.size());
  auto [ec, count] = co_await stream_.async_read_some(buffer, wire::kAwait);
  deadline_.clear();
  input_.commit(count);
  error_ = ec;
  co_return !ec;
}

template <class Stream>
boost::asio::awaitable<Status> StreamConnection<Stream>::send(const ClientRequest* request) {
  Result<std::string> head = client_head(*request);
  if (!head.ok()) co_return head.status();
  std::array<boost::asio::const_buffer, 2> buffers;
  if (request->body.size() <= 16384) {
    *head += request->body;
  } else {
    buffers[1] = boost::asio::buffer(request->body);
  }
  buffers[0] = boost::asio::buffer(*head);
  std::size_t left = boost::asio::buffer_size(buffers);
  while (left > 0) {
    deadline_.set(timeout_);
    auto [ec, count] = co_await stream_.async_write_some(buffers, wire::kAwait);
    deadline_.clear();
    // A server that refuses a body answers and closes: the answer may still be there to read.
    if (ec == boost::asio::error::broken_pipe || ec == boost::asio::error::connection_reset) break;
    if (ec) co_return fail(ec, "sending the request");
    left -= count;
    for (auto& buffer : buffers) {
      const std::size_t part = std::min(buffer.size(), count);
      buffer += part;
      count -= part;
    }
  }
  co_return absl::OkStatus();
}

template <class Stream>
boost::asio::awaitable<Status> StreamConnection<Stream>::read_head(bool is_head_request) {
  parser_.emplace(kHeaderLimit);
  if (is_head_request) parser_->skip(true);
  for (;;) {
    if (!input_.empty()) {
      wire::ErrorCode ec;
      const boost::asio::const_buffer available(input_.data(), input_.size());
      input_.consume(parser_->put(available, ec));
      if (ec && ec != boost::beast::http::error::need_more) co_return malformed(ec.message());
      if (!ec && parser_->is_header_done()) {
        if (parser_->status / 100 != 1 || parser_->status == 101) co_return absl::OkStatus();
        parser_.emplace(kHeaderLimit);  // 100 Continue and the like: the answer is still to come.
        if (is_head_request) parser_->skip(true);
        continue;
      }
    }
    const bool has_more = co_await receive(kHeaderLimit);
    if (has_more) continue;
    const bool is_untouched = input_.empty() && !parser_->got_some();
    if (is_untouched || deadline_.has_expired() ||
        error_ == boost::asio::error::operation_aborted) {
      co_return fail(error_, "waiting for the answer");
    }
    co_return malformed("it ends inside of the header");
  }
}

template <class Stream>
boost::asio::awaitable<Result<Response>> StreamConnection<Stream>::exchange(
    ClientRequest* request) {
  if (!is_open_) co_return absl::UnavailableError("the connection is closed");
  if (is_busy_) {
    co_return absl::FailedPreconditionError("the last answer was not read to its end");
  }
  timeout_ = request->timeout;
  is_busy_ = true;
  MIMEO_CO_RETURN_IF_ERROR(co_await send(request));
  MIMEO_CO_RETURN_IF_ERROR(co_await read_head(request->method == "HEAD"));
  Response response;
  response.status = parser_->status;
  response.headers = std::move(parser_->headers);
  is_fixed_body_ = !parser_->is_done() && !parser_->chunked() && !parser_->need_eof();
  body_left_ = is_fixed_body_ ? parser_->content_length().value_or(0) : 0;
  if (parser_->is_done()) finish_message();
  co_return response;
}

template <class Stream>
boost::asio::awaitable<Result<Response>> StreamConnection<Stream>::request_head(
    ClientRequest request) {
  co_return co_await exchange(&request);
}

template <class Stream>
boost::asio::awaitable<Result<Response>> StreamConnection<Stream>::request(ClientRequest request) {
  Result<Response> response = co_await exchange(&request);
  if (!response.ok()) co_return response;
  const std::uint64_t limit = request.max_body.count;
  if (body_left_ > limit) {
    close();
    co_return absl::ResourceExhaustedError("the answer is too large");
  }
  std::string body;
  std::size_t filled = 0;
  while (is_busy_) {
    if (filled == body.size()) {
      const std::uint64_t most = is_fixed_body_ ? filled + body_left_ : limit + 1;
      body.resize(std::min<std::uint64_t>(most, std::max<std::size_t>(filled * 2, kPiece)));
    }
    const std::span<char> room(body.data() + filled, body.size() - filled);
    const Result<std::size_t> count = co_await read_into(room);
    if (!count.ok()) co_return count.status();
    filled += *count;
    if (filled > limit) {
      close();
      co_return absl::ResourceExhaustedError("the answer is too large");
    }
  }
  body.resize(filled);
  response->body = std::move(body);
  co_return response;
}

template <class Stream>
boost::asio::awaitable<Result<std::string>> StreamConnection<Stream>::read_some() {
  std::string piece;
  if (!is_busy_) co_return piece;
  if (!is_open_) co_return absl::UnavailableError("the connection is closed");
  // Sized by what waits already, so that a trickle of events costs no large allocations.
  piece.resize(std::clamp<std::size_t>(input_.size(), 4096, kPiece));
  const std::span<char> room(piece.data(), piece.size());
  const Result<std::size_t> count = co_await read_into(room);
  if (!count.ok()) co_return count.status();
  piece.resize(*count);
  co_return piece;
}

template <class Stream>
boost::asio::awaitable<Result<std::size_t>> StreamConnection<Stream>::read_into(
    std::span<char> out) {
  if (!is_fixed_body_) co_return co_await read_parsed(out);
  if (input_.empty()) {
    const bool has_more = co_await receive(kPiece);
    if (!has_more) co_return fail(error_, "reading the answer");
  }
  const std::size_t count =
      std::min<std::uint64_t>(body_left_, std::min(out.size(), input_.size()));
  std::memcpy(out.data(), input_.data(), count);
  input_.consume(count);
  body_left_ -= count;
  if (body_left_ == 0) finish_message();
  co_return count;
}

template <class Stream>
boost::asio::awaitable<Result<std::size_t>> StreamConnection<Stream>::read_parsed(
    std::span<char> out) {
  for (;;) {
    wire::ErrorCode ec;
    if (!input_.empty()) {
      std::size_t produced = 0;
      const std::string_view available(input_.data(), input_.size());
      input_.consume(parser_->parse_body(available, out, produced, ec));
      if (ec) co_return malformed(ec.message());
      if (parser_->is_done()) finish_message();
      if (produced > 0 || !is_busy_) co_return produced;
    }
    const bool has_more = co_await receive(kPiece);
    if (has_more) continue;
    if (parser_->need_eof() && error_ == boost::asio::error::eof) {
      parser_->put_eof(ec);
      finish_message();
      co_return std::size_t{0};
    }
    co_return fail(error_, "reading the answer");
  }
}

}  // namespace mimeo::http
