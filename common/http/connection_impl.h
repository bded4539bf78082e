// The member functions of Connection (connection.h).

#pragma once

#include "common/http/connection.h"

namespace mimeo::http {

inline constexpr std::uint64_t kDrainLimit = 64ULL
                                             << 10U;  // Read and dropped to keep a connection.
inline constexpr std::uint64_t kLingerLimit = 8ULL << 20U;  // Read and dropped before closing one.
inline constexpr std::chrono::milliseconds kLingerTime{2'000};
inline constexpr std::size_t kInlineBody = 16UL << 10U;  // Copied behind the head: one buffer.
inline constexpr std::size_t kInputLimit = 64UL << 10U;  // Of a chunked body, and of pipelining.

template <class Stream>
boost::asio::awaitable<void> Connection<Stream>::run(std::shared_ptr<Connection> self,
                                                     Admission admission) {
  try {
    read_deadline_.set(state_->options.header_timeout);
    if (!co_await Traits::open(&self->stream_)) co_return;
    if (admission == Admission::kRefuse) {
      std::string detail = "too many connections";
      co_await refuse(503, std::move(detail));
      co_return;
    }
    while (co_await serve_one()) {
    }
  } catch (const std::exception&) {
    // Cancelled by cut(), or out of memory: the connection ends either way.
  }
}

template <class Stream>
boost::asio::awaitable<bool> Connection<Stream>::serve_one() {
  if (!co_await read_head()) co_return false;
  std::optional<std::string> failure;
  try {
    co_await state_->handler(*this);
  } catch (const std::exception& e) {
    failure = e.what();
  } catch (...) {
    failure = "an unknown exception";
  }
  if (is_cut_) co_return false;
  if (!failure && !is_gone_ && progress_ == Progress::kNone) failure = "it ended without an answer";
  if (failure) report_handler_error(head_.method, head_.path, *failure);
  co_return co_await finish_exchange();
}

template <class Stream>
boost::asio::awaitable<bool> Connection<Stream>::read_head() {
  const std::size_t limit = state_->options.max_header.count;
  std::size_t used = 0;
  parser_.emplace(limit);
  is_idle_ = true;
  read_deadline_.set(state_->options.header_timeout);
  for (;;) {
    while (used == 0 && !input_.empty() && (*input_.data() == '\r' || *input_.data() == '\n')) {
      input_.consume(1);  // RFC 9112 section 2.2: an empty line before a request is ignored.
    }
    if (!input_.empty()) {
      if (is_idle_) read_deadline_.set(state_->options.header_timeout);  // Once, not per read.
      is_idle_ = false;
      ErrorCode ec;
      const std::size_t count =
          parser_->put(boost::asio::const_buffer(input_.data(), input_.size()), ec);
      input_.consume(count);
      used += count;
      if (!ec && parser_->is_header_done()) break;
      if (ec == boost::beast::http::error::header_limit || used + input_.size() >= limit) {
        std::string detail = "the header is too large";
        co_return co_await refuse(431, std::move(detail));
      }
      if (ec && ec != boost::beast::http::error::need_more) {
        std::string detail = "malformed request: " + ec.message();
        co_return co_await refuse(400, std::move(detail));
      }
    }
    if (is_idle_ && state_->is_stopping) co_return false;
    const std::span<char> room = input_.prepare(limit - used + 1);
    input_.commit(co_await receive(room));
    if (error_) {
      if (is_idle_ || !read_deadline_.has_expired()) co_return false;
      std::string detail = "the header did not arrive in time";
      co_return co_await refuse(408, std::move(detail));
    }
  }
  read_deadline_.clear();
  begin_exchange();
  Status status = parse_target(head_);
  if (status.ok() && is_http11_ && !head_.headers.find("Host")) {
    status = absl::InvalidArgumentError("the Host field is missing");
  }
  if (status.ok()) co_return true;
  std::string detail(status.message());
  co_return co_await refuse(400, std::move(detail));
}

template <class Stream>
void Connection<Stream>::begin_exchange() {
  head_ = RequestHead{};
  head_.method = std::move(parser_->method);
  head_.target = std::move(parser_->target);
  head_.headers = std::move(parser_->headers);
  head_.peer = peer_;
  head_.is_tls = Traits::kIsTls;
  is_head_request_ = head_.method == "HEAD";
  keep_alive_ = parser_->keep_alive() && !state_->is_stopping;
  is_http11_ = parser_->version >= 11;
  is_chunked_body_ = parser_->chunked();
  body_left_ = parser_->content_length().value_or(0);
  is_body_done_ = parser_->is_done();
  expects_continue_ =
      is_http11_ && !is_body_done_ && has_token(head_.headers.get("Expect"), "100-continue");
  is_chunked_answer_ = false;
  answer_left_.reset();
  progress_ = Progress::kNone;
}

// Answers without a handler; the connection ends.
template <class Stream>
boost::asio::awaitable<bool> Connection<Stream>::refuse(int status, std::string detail) {
  Response response = problem_response(status, detail);
  progress_ = Progress::kNone;
  keep_alive_ = false;
  is_head_request_ = false;
  is_idle_ = false;
  is_body_done_ = false;  // Whatever else was sent is not looked at: linger() drops it.
  const Status sent = co_await respond(std::move(response));
  if (sent.ok()) co_await linger();
  co_return false;
}

template <class Stream>
boost::asio::awaitable<bool> Connection<Stream>::finish_exchange() {
  if (progress_ == Progress::kNone && !is_gone_) {
    Response response = problem_response(500, "internal error");
    co_await respond(std::move(response));
  }
  if (is_watched_) {  // The next request must not be read by two.
    cancel_io();
    while (is_watched_) co_await boost::asio::post(boost::asio::use_awaitable);
  }
  // A stream that was not ended must look broken to the client, not complete.
  if (is_gone_ || progress_ == Progress::kStarted) co_return false;
  if (keep_alive_ && (is_body_done_ || co_await drain_body())) co_return true;
  co_await linger();
  co_return false;
}

template <class Stream>
boost::asio::awaitable<bool> Connection<Stream>::drain_body() {
  output_.resize(std::max<std::size_t>(output_.capacity(), 8192));
  std::uint64_t drained = 0;
  while (!is_body_done_ && drained < kDrainLimit) {
    const std::span<char> buffer(output_.data(), output_.size());
    const Result<std::size_t> count = co_await read_some(buffer);
    if (!count.ok()) co_return false;
    drained += *count;
  }
  co_return is_body_done_;
}

// Closes our side, then reads what still comes for a moment: closing at once would send a reset,
// which can overtake the answer.
template <class Stream>
boost::asio::awaitable<void> Connection<Stream>::linger() {
  read_deadline_.set(kLingerTime);
  co_await Traits::close(&stream_);
  ErrorCode ec;
  socket().shutdown(boost::asio::socket_base::shutdown_send, ec);
  if (is_body_done_ && input_.empty()) co_return;
  output_.resize(std::max<std::size_t>(output_.capacity(), 8192));
  for (std::uint64_t dropped = 0; dropped < kLingerLimit;) {
    auto buffer = boost::asio::buffer(output_.data(), output_.size());
    auto [error, count] = co_await socket().async_read_some(buffer, wire::kAwait);
    if (error) break;
    dropped += count;
  }
}

template <class Stream>
boost::asio::awaitable<std::size_t> Connection<Stream>::receive(std::span<char> into) {
  auto buffer = boost::asio::buffer(into.data(), into.size());
  auto [ec, count] = co_await stream_.async_read_some(buffer, wire::kAwait);
  error_ = ec;
  co_return count;
}

template <class Stream>
Status Connection<Stream>::body_error() {
  keep_alive_ = false;
  if (read_deadline_.has_expired()) {
    return absl::DeadlineExceededError("the request's body did not arrive in time");
  }
  return absl::CancelledError("the client went away");
}

template <class Stream>
boost::asio::awaitable<Result<std::string>> Connection<Stream>::read_body(Bytes limit) {
  if (!is_chunked_body_ && body_left_ > limit.count) {
    keep_alive_ = false;
    co_return absl::ResourceExhaustedError("the request's body is too large");
  }
  std::string body;
  if (!is_chunked_body_ && input_.size() >= body_left_) {  // Came with the head: nothing to await.
    body.assign(input_.data(), body_left_);
    input_.consume(body_left_);
    body_left_ = 0;
    is_body_done_ = true;
    co_return body;
  }
  std::size_t filled = 0;
  while (!is_body_done_) {
    if (filled == body.size()) {
      const std::uint64_t most = is_chunked_body_ ? limit.count + 1 : filled + body_left_;
      body.resize(std::min<std::uint64_t>(most, std::max<std::size_t>(filled * 2, kInputLimit)));
    }
    const std::span<char> room(body.data() + filled, body.size() - filled);
    const Result<std::size_t> count = co_await read_some(room);
    if (!count.ok()) co_return count.status();
    filled += *count;
    if (filled > limit.count) {
      keep_alive_ = false;
      co_return absl::ResourceExhaustedError("the request's body is too large");
    }
  }
  body.resize(filled);
  co_return body;
}

template <class Stream>
boost::asio::awaitable<Result<std::size_t>> Connection<Stream>::read_some(std::span<char> buffer) {
  if (is_body_done_ || buffer.empty()) co_return std::size_t{0};
  if (expects_continue_) {
    expects_continue_ = false;
    if (input_.empty() && progress_ == Progress::kNone) {
      std::array<boost::asio::const_buffer, 1> go_on = {
          boost::asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25)};
      MIMEO_CO_RETURN_IF_ERROR(co_await send(go_on));
    }
  }
  read_deadline_.set(state_->options.read_timeout);
  if (is_chunked_body_) co_return co_await read_chunked(buffer);
  co_return co_await read_fixed(buffer);
}

template <class Stream>
boost::asio::awaitable<Result<std::size_t>> Connection<Stream>::read_fixed(std::span<char> buffer) {
  std::size_t count = std::min<std::uint64_t>(buffer.size(), body_left_);
  if (!input_.empty()) {
    count = std::min(count, input_.size());
    std::memcpy(buffer.data(), input_.data(), count);
    input_.consume(count);
  } else {
    const std::span<char> room = buffer.first(count);
    count = co_await receive(room);
    if (error_) co_return body_error();
  }
  read_deadline_.clear();
  body_left_ -= count;
  is_body_done_ = body_left_ == 0;
  co_return count;
}

template <class Stream>
boost::asio::awaitable<Result<std::size_t>> Connection<Stream>::read_chunked(
    std::span<char> buffer) {
  for (;;) {
    if (!input_.empty()) {
      std::size_t produced = 0;
      ErrorCode ec;
      const std::string_view available(input_.data(), input_.size());
      input_.consume(parser_->parse_body(available, buffer, produced, ec));
      is_body_done_ = parser_->is_done();
      if (ec) {
        keep_alive_ = false;
        co_return absl::InvalidArgumentError("malformed chunked body: " + ec.message());
      }
      if (produced > 0 || is_body_done_) {
        read_deadline_.clear();
        co_return produced;
      }
    }
    const std::span<char> room = input_.prepare(kInputLimit);
    if (room.empty()) {
      keep_alive_ = false;
      co_return absl::InvalidArgumentError("malformed chunked body: a line without end");
    }
    input_.commit(co_await receive(room));
    if (error_) co_return body_error();
  }
}

template <class Stream>
template <class Buffers>
boost::asio::awaitable<Status> Connection<Stream>::send(Buffers buffers) {
  std::size_t left = boost::asio::buffer_size(buffers);
  while (left > 0) {
    write_deadline_.set(state_->options.write_timeout);
    auto [ec, count] = co_await stream_.async_write_some(buffers, wire::kAwait);
    write_deadline_.clear();
    if (ec) {
      is_gone_ = true;
      if (!write_deadline_.has_expired()) co_return absl::CancelledError("the client went away");
      ErrorCode ignored;  // A reset: what the client did not read must not stay in our memory.
      socket().set_option(boost::asio::socket_base::linger(true, 0), ignored);
      co_return absl::DeadlineExceededError("the client stopped reading");
    }
    left -= count;
    for (auto& buffer : buffers) {
      const std::size_t part = std::min(buffer.size(), count);
      buffer += part;
      count -= part;
    }
  }
  co_return absl::OkStatus();
}

// Also decides whether the connection survives this answer.
template <class Stream>
ResponseHead Connection<Stream>::response_head(const Response& response) {
  if (!is_body_done_ && (expects_continue_ || is_chunked_body_ || body_left_ > kDrainLimit)) {
    keep_alive_ = false;
  }
  if (state_->is_stopping || has_token(response.headers.get("Connection"), "close")) {
    keep_alive_ = false;
  }
  ResponseHead head;
  head.status = response.status;
  head.fields = &response.headers;
  return head;
}

template <class Stream>
boost::asio::awaitable<Status> Connection<Stream>::respond(Response response) {
  if (progress_ != Progress::kNone) {
    co_return absl::FailedPreconditionError("the request was answered already");
  }
  ResponseHead head = response_head(response);
  if (may_have_body(response.status)) {
    head.content_length = response.body.size();
    // A handler may know the length of what it does not send.
    const auto stated = response.headers.find("Content-Length");
    if (is_head_request_ && response.body.empty() && stated) {
      std::from_chars(stated->data(), stated->data() + stated->size(), *head.content_length);
    }
  }
  set_connection(head);
  output_.clear();
  append_head(output_, head, state_->date());
  progress_ = Progress::kDone;
  const bool has_body = may_have_body(response.status) && !is_head_request_;
  std::array<boost::asio::const_buffer, 2> buffers;
  if (has_body && response.body.size() <= kInlineBody) {
    output_ += response.body;
  } else if (has_body) {
    buffers[1] = boost::asio::buffer(response.body);
  }
  buffers[0] = boost::asio::buffer(output_);
  co_return co_await send(buffers);
}

template <class Stream>
void Connection<Stream>::set_connection(ResponseHead& head) const {
  if (!keep_alive_) {
    head.connection = ResponseHead::Connection::kClose;
  } else if (!is_http11_) {
    head.connection = ResponseHead::Connection::kKeepAlive;
  }
}

template <class Stream>
boost::asio::awaitable<Status> Connection<Stream>::start_stream(Response response) {
  if (progress_ != Progress::kNone) {
    co_return absl::FailedPreconditionError("the request was answered already");
  }
  ResponseHead head = response_head(response);
  if (const auto length = response.headers.find("Content-Length")) {
    answer_left_ = 0;
    std::from_chars(length->data(), length->data() + length->size(), *answer_left_);
    head.content_length = answer_left_;
  } else if (is_http11_) {
    is_chunked_answer_ = true;
    head.is_chunked = true;
  } else {
    keep_alive_ = false;  // HTTP/1.0: the end of the connection is the end of the body.
  }
  set_connection(head);
  output_.clear();
  append_head(output_, head, state_->date());
  progress_ = Progress::kStarted;
  if (!response.body.empty()) co_return co_await write(std::move(response.body));
  co_return co_await flush_head();
}

template <class Stream>
boost::asio::awaitable<Status> Connection<Stream>::flush_head() {
  std::array<boost::asio::const_buffer, 1> buffers;
  buffers[0] = boost::asio::buffer(output_);
  Status status = co_await send(buffers);
  output_.clear();
  co_return status;
}

template <class Stream>
boost::asio::awaitable<Status> Connection<Stream>::write(std::string chunk) {
  if (progress_ != Progress::kStarted) {
    co_return absl::FailedPreconditionError("no stream is open");
  }
  if (is_gone_) co_return absl::CancelledError("the client went away");
  if (answer_left_) {
    if (chunk.size() > *answer_left_) {
      co_return absl::FailedPreconditionError("more than the stated Content-Length");
    }
    *answer_left_ -= chunk.size();
  }
  // output_ may hold the head still: it leaves with the first chunk.
  if (is_head_request_) chunk.clear();
  std::array<boost::asio::const_buffer, 3> buffers;
  if (is_chunked_answer_ && !chunk.empty()) {
    std::array<char, 18> size{};
    const auto end = std::to_chars(size.data(), size.data() + size.size(), chunk.size(), 16).ptr;
    output_.append(size.data(), end).append("\r\n");
    buffers[2] = boost::asio::buffer("\r\n", 2);
  }
  buffers[0] = boost::asio::buffer(output_);
  buffers[1] = boost::asio::buffer(chunk);
  Status status = co_await send(buffers);
  output_.clear();
  co_return status;
}

template <class Stream>
boost::asio::awaitable<Status> Connection<Stream>::end_stream() {
  if (progress_ != Progress::kStarted) {
    co_return absl::FailedPreconditionError("no stream is open");
  }
  if (is_gone_) co_return absl::CancelledError("the client went away");
  if (answer_left_.value_or(0) > 0 && !is_head_request_) {
    co_return absl::FailedPreconditionError("less than the stated Content-Length");
  }
  progress_ = Progress::kDone;
  if (!is_chunked_answer_ || is_head_request_) co_return absl::OkStatus();
  output_ = "0\r\n\r\n";
  co_return co_await flush_head();
}

template <class Stream>
boost::asio::awaitable<void> Connection<Stream>::watch(std::shared_ptr<Connection> self) {
  if (is_watched_ || !is_body_done_ || is_gone_) co_return;
  self->is_watched_ = true;
  for (;;) {
    const std::span<char> room = input_.prepare(kInputLimit);
    ErrorCode ec;
    std::size_t count = 0;
    if (room.empty()) {  // Pipelined far ahead: only a broken connection is noticed.
      std::tie(ec) =
          co_await socket().async_wait(boost::asio::socket_base::wait_error, wire::kAwait);
      if (!ec) ec = boost::asio::error::connection_reset;
    } else {
      auto buffer = boost::asio::buffer(room.data(), room.size());
      std::tie(ec, count) = co_await stream_.async_read_some(buffer, wire::kAwait);
    }
    input_.commit(count);
    if (!ec) continue;
    if (ec != boost::asio::error::operation_aborted) is_gone_ = true;
    break;
  }
  is_watched_ = false;
}

}  // namespace mimeo::http
