// One connection of the server, over any kind of stream. Private to this folder; instantiated for
// plain sockets in server_plain.cc and for TLS in server_tls.cc.
//
// Order of work: read a head, run the handler (which pulls the body and pushes the answer), finish
// what the handler left, next request. Reads and writes go straight to the socket; Beast parses.

#pragma once

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/http/report.h"
#include "common/http/request_target.h"
#include "common/http/response_head.h"
#include "common/http/server_state.h"
#include "common/http/wire.h"

namespace mimeo::http {

// Specialized beside each instantiation: kIsTls, socket(stream) (the socket below), and the
// handshakes open(&stream) (false when it failed) and close(&stream).
template <class Stream>
struct StreamTraits;

template <class Stream>
class Connection final : public ConnectionBase,
                         public Exchange,
                         public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(std::shared_ptr<Server::State> state, Stream stream, std::string peer)
      : state_(std::move(state)),
        stream_(std::move(stream)),
        peer_(std::move(peer)),
        read_deadline_(state_->executor, [this] { cancel_io(); }),
        write_deadline_(state_->executor, [this] { cancel_io(); }) {}

  static void start(std::shared_ptr<Connection> connection, Admission admission) {
    Server::State& state = *connection->state_;
    state.connections.insert(connection.get());
    auto slot = connection->cut_signal_.slot();
    auto task = connection->run(connection, admission);
    boost::asio::co_spawn(
        state.executor, std::move(task),
        boost::asio::bind_cancellation_slot(
            slot, [connection](const std::exception_ptr&) { connection->leave(); }));
  }

  void close_if_idle() override {
    if (is_idle_) cancel_io();
  }
  void cut() override {
    is_cut_ = true;
    close_socket();
    cut_signal_.emit(boost::asio::cancellation_type::terminal);
  }

  // Exchange.
  [[nodiscard]] const RequestHead& head() const override { return head_; }
  boost::asio::awaitable<Result<std::string>> read_body(Bytes limit) override;
  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override;
  boost::asio::awaitable<Status> respond(Response response) override;
  boost::asio::awaitable<Status> start_stream(Response response) override;
  boost::asio::awaitable<Status> write(std::string chunk) override;
  boost::asio::awaitable<Status> end_stream() override;
  boost::asio::awaitable<void> wait_for_disconnect() override {
    return watch(this->shared_from_this());
  }

 private:
  using Traits = StreamTraits<Stream>;
  using Parser = wire::MessageParser<true>;
  using ErrorCode = wire::ErrorCode;
  enum class Progress { kNone, kStarted, kDone };  // Of the answer.

  boost::asio::awaitable<void> run(std::shared_ptr<Connection> self, Admission admission);
  boost::asio::awaitable<bool> serve_one();
  boost::asio::awaitable<bool> read_head();
  boost::asio::awaitable<bool> refuse(int status, std::string detail);
  boost::asio::awaitable<bool> finish_exchange();
  boost::asio::awaitable<bool> drain_body();
  boost::asio::awaitable<void> linger();
  boost::asio::awaitable<void> watch(std::shared_ptr<Connection> self);
  boost::asio::awaitable<std::size_t> receive(std::span<char> into);
  boost::asio::awaitable<Result<std::size_t>> read_fixed(std::span<char> buffer);
  boost::asio::awaitable<Result<std::size_t>> read_chunked(std::span<char> buffer);
  template <class Buffers>
  boost::asio::awaitable<Status> send(Buffers buffers);

  boost::asio::awaitable<Status> flush_head();
  void begin_exchange();
  void set_connection(ResponseHead& head) const;
  Status body_error();
  ResponseHead response_head(const Response& response);

  Socket& socket() { return Traits::socket(stream_); }
  void cancel_io() {
    ErrorCode ignored;
    socket().cancel(ignored);
  }
  void close_socket() {
    ErrorCode ignored;
    socket().close(ignored);
  }
  void leave() {
    close_socket();
    state_->connections.erase(this);
    state_->changed.cancel();
  }

  const std::shared_ptr<Server::State> state_;
  Stream stream_;
  const std::string peer_;
  wire::Buffer input_;
  wire::Deadline read_deadline_;
  wire::Deadline write_deadline_;
  boost::asio::cancellation_signal cut_signal_;
  bool is_cut_ = false;
  bool is_idle_ = true;  // Between requests, nothing of the next one received.
  bool is_watched_ = false;

  // Of the current exchange.
  std::optional<Parser> parser_;
  RequestHead head_;
  ErrorCode error_;  // Of the last receive().
  bool is_head_request_ = false;
  bool is_http11_ = true;
  bool keep_alive_ = true;
  bool is_chunked_body_ = false;
  bool is_body_done_ = true;
  bool expects_continue_ = false;
  std::uint64_t body_left_ = 0;  // With a Content-Length.
  bool is_chunked_answer_ = false;
  std::optional<std::uint64_t> answer_left_;  // Of a stream with a Content-Length.
  Progress progress_ = Progress::kNone;
  bool is_gone_ = false;  // The client closed its side, or a write failed.
  std::string output_;    // Head of the answer; keeps its memory.
};

}  // namespace mimeo::http

#include "common/http/connection_impl.h"
