// Streams of one direction between gRPC's callback API and coroutines: content in pieces
// (FetchInput, StoreOutput), one piece at a time, so that a slow side slows the other.

#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "common/async/task_group.h"
#include "common/base/status.h"
#include "common/rpc/link.h"
#include "common/rpc/reaction.h"
#include "common/rpc/unary.h"

namespace mimeo::rpc {

// What the handler of a server-streaming method writes to. Used from one coroutine.
template <class Reply>
class ServerWriter : public grpc::ServerWriteReactor<Reply> {
 public:
  explicit ServerWriter(grpc::CallbackServerContext* context) : context_(context) {}

  // Suspends until gRPC took it. kCancelled when the peer is gone: just return.
  boost::asio::awaitable<Status> write(Reply piece) {
    const std::shared_ptr<ServerWriter> me = self_;
    piece_ = std::move(piece);
    std::function<void()> start = [me] { me->StartWrite(&me->piece_); };
    std::function<void()> cancel = [me] { me->context_->TryCancel(); };
    const bool ok = co_await written_.wait(std::move(start), std::move(cancel));
    if (!ok) co_return absl::CancelledError("the peer is gone");
    co_return absl::OkStatus();
  }

  void OnWriteDone(bool ok) override { written_.complete(ok); }
  void OnDone() override { auto last = std::move(self_); }
  void hold_self(std::shared_ptr<ServerWriter> me) { self_ = std::move(me); }

 private:
  grpc::CallbackServerContext* const context_;  // Valid until Finish, so while a handler runs.
  Reply piece_;
  internal::Reaction written_;
  std::shared_ptr<ServerWriter> self_;  // Until OnDone.
};

// What the handler of a client-streaming method reads from. Used from one coroutine.
template <class Request>
class ServerReader : public grpc::ServerReadReactor<Request> {
 public:
  explicit ServerReader(grpc::CallbackServerContext* context) : context_(context) {}

  // The next piece, or nullopt after the last one. kCancelled when the peer is gone; but gRPC may
  // tell the end of the pieces before it tells that, so where half a content would do harm the
  // pieces must say themselves which is the last.
  boost::asio::awaitable<Result<std::optional<Request>>> read() {
    const std::shared_ptr<ServerReader> me = self_;
    piece_.Clear();
    std::function<void()> start = [me] { me->StartRead(&me->piece_); };
    std::function<void()> cancel = [me] { me->context_->TryCancel(); };
    const bool ok = co_await arrived_.wait(std::move(start), std::move(cancel));
    std::optional<Request> result;
    if (ok) {
      result = std::move(piece_);
    } else if (context_->IsCancelled()) {
      co_return absl::CancelledError("the peer is gone");
    }
    co_return result;
  }

  void OnReadDone(bool ok) override { arrived_.complete(ok); }
  void OnDone() override { auto last = std::move(self_); }
  void hold_self(std::shared_ptr<ServerReader> me) { self_ = std::move(me); }

 private:
  grpc::CallbackServerContext* const context_;  // Valid until Finish, so while a handler runs.
  Request piece_;
  internal::Reaction arrived_;
  std::shared_ptr<ServerReader> self_;  // Until OnDone.
};

namespace internal {

template <class Request, class Reply>
boost::asio::awaitable<void> run_writer(
    std::shared_ptr<Finisher> finisher, std::shared_ptr<ServerWriter<Reply>> writer,
    Request request,
    std::function<boost::asio::awaitable<Status>(Request, ServerWriter<Reply>*)> handler) {
  const Status status = co_await handler(std::move(request), writer.get());
  finisher->finish(status);
}

template <class Request, class Reply>
boost::asio::awaitable<void> run_reader(
    std::shared_ptr<Finisher> finisher, std::shared_ptr<ServerReader<Request>> reader, Reply* reply,
    std::function<boost::asio::awaitable<Result<Reply>>(ServerReader<Request>*)> handler) {
  auto result = co_await handler(reader.get());
  if (result.ok()) *reply = std::move(*result);
  finisher->finish(result.status());
}

}  // namespace internal

// Serves a server-streaming method, as serve_unary does: the handler writes pieces and its status
// ends the stream.
template <class Reply, class Request>
grpc::ServerWriteReactor<Reply>* serve_writes(
    grpc::CallbackServerContext* context, TaskGroup* tasks, Request request,
    std::type_identity_t<
        std::function<boost::asio::awaitable<Status>(Request, ServerWriter<Reply>*)>>
        handler) {
  auto writer = std::make_shared<ServerWriter<Reply>>(context);
  writer->hold_self(writer);
  auto* raw = writer.get();
  auto finisher = std::make_shared<internal::Finisher>(
      [writer](const grpc::Status& status) { writer->Finish(status); });
  boost::asio::post(
      tasks->executor(), [tasks, finisher = std::move(finisher), writer = std::move(writer),
                          request = std::move(request), handler = std::move(handler)]() mutable {
        tasks->spawn("serve a stream",
                     internal::run_writer<Request, Reply>(std::move(finisher), std::move(writer),
                                                          std::move(request), std::move(handler)));
      });
  return raw;
}

// Serves a client-streaming method: the handler reads pieces up to nullopt and returns the reply.
template <class Request, class Reply>
grpc::ServerReadReactor<Request>* serve_reads(
    grpc::CallbackServerContext* context, TaskGroup* tasks, Reply* reply,
    std::type_identity_t<
        std::function<boost::asio::awaitable<Result<Reply>>(ServerReader<Request>*)>>
        handler) {
  auto reader = std::make_shared<ServerReader<Request>>(context);
  reader->hold_self(reader);
  auto* raw = reader.get();
  auto finisher = std::make_shared<internal::Finisher>(
      [reader](const grpc::Status& status) { reader->Finish(status); });
  boost::asio::post(
      tasks->executor(), [tasks, finisher = std::move(finisher), reader = std::move(reader), reply,
                          handler = std::move(handler)]() mutable {
        tasks->spawn("serve a stream",
                     internal::run_reader<Request, Reply>(std::move(finisher), std::move(reader),
                                                          reply, std::move(handler)));
      });
  return raw;
}

namespace internal {

// What both client streams share: the hold that lets operations start outside of reactions, and the
// final status. Base is grpc::ClientReadReactor<Reply> or grpc::ClientWriteReactor<Request>.
template <class Base>
class ClientStreamReactor : public Base {
 public:
  void begin(std::shared_ptr<ClientStreamReactor> me) {
    self_ = std::move(me);
    this->AddHold();
  }
  // No operation is started after it.
  void release() {
    if (!released_.exchange(true)) this->RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    auto last = std::move(self_);
    status_ = status;
    done_.complete(true);
  }

  grpc::ClientContext context_;
  grpc::Status status_;  // Set before done_ completes.
  Reaction done_;

 private:
  std::atomic<bool> released_{false};
  std::shared_ptr<ClientStreamReactor> self_;  // Until OnDone.
};

template <class Reply>
struct ReadReactor final : ClientStreamReactor<grpc::ClientReadReactor<Reply>> {
  void OnReadDone(bool ok) override { arrived.complete(ok); }
  Reply piece;
  Reaction arrived;
};
template <class Request, class Reply>
struct WriteReactor final : ClientStreamReactor<grpc::ClientWriteReactor<Request>> {
  void OnWriteDone(bool ok) override { written.complete(ok); }
  Request piece;
  Reply reply;
  Reaction written;
};

// A cancelled coroutine may await nothing more.
inline bool is_cancelled(const boost::asio::cancellation_state& state) {
  return state.cancelled() != boost::asio::cancellation_type::none;
}

template <class Reactor>
boost::asio::awaitable<Status> final_status(std::shared_ptr<Reactor> call) {
  call->release();
  std::function<void()> cancel = [call] { call->context_.TryCancel(); };
  std::function<void()> nothing_to_start;
  co_await call->done_.wait(std::move(nothing_to_start), std::move(cancel));
  co_return from_grpc(call->status_);
}

}  // namespace internal

// The calling side of a server-streaming method. Used from one coroutine; destroyed early, it
// cancels the call.
//   auto pieces = rpc::StreamReader<Chunk>::open(
//       [&](auto* context, auto* reactor) { stub->async()->FetchInput(context, &request, reactor);
//       }, options);   // `request` outlives the reader.
template <class Reply>
class StreamReader {
 public:
  using Open = std::function<void(grpc::ClientContext*, grpc::ClientReadReactor<Reply>*)>;
  static std::unique_ptr<StreamReader> open(const Open& open_call, const CallOptions& options) {
    auto call = std::make_shared<internal::ReadReactor<Reply>>();
    internal::prepare(call->context_, options);
    open_call(&call->context_, call.get());
    call->begin(call);
    call->StartCall();
    return std::unique_ptr<StreamReader>(new StreamReader(std::move(call)));
  }
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;
  ~StreamReader() {
    call_->context_.TryCancel();
    call_->release();
  }

  // The next piece, or nullopt after the last one; else the server's status. Not again after
  // either end.
  boost::asio::awaitable<Result<std::optional<Reply>>> read() {
    const auto call = call_;
    call->piece.Clear();
    std::function<void()> start = [call] { call->StartRead(&call->piece); };
    std::function<void()> cancel = [call] { call->context_.TryCancel(); };
    const bool ok = co_await call->arrived.wait(std::move(start), std::move(cancel));
    std::optional<Reply> result;
    if (ok) {
      result = std::move(call->piece);
      co_return result;
    }
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    if (internal::is_cancelled(cancellation)) co_return absl::CancelledError("cancelled");
    const Status status = co_await internal::final_status(call);
    if (!status.ok()) co_return status;
    co_return result;
  }

 private:
  explicit StreamReader(std::shared_ptr<internal::ReadReactor<Reply>> call)
      : call_(std::move(call)) {}
  const std::shared_ptr<internal::ReadReactor<Reply>> call_;
};

// The calling side of a client-streaming method. Used from one coroutine; destroyed early, it
// cancels the call.
//   auto out = rpc::StreamWriter<Chunk, StoredOutput>::open(
//       [&](auto* context, auto* reply, auto* reactor) {
//         stub->async()->StoreOutput(context, reply, reactor);
//       }, options);
template <class Request, class Reply>
class StreamWriter {
 public:
  using Open =
      std::function<void(grpc::ClientContext*, Reply*, grpc::ClientWriteReactor<Request>*)>;
  static std::unique_ptr<StreamWriter> open(const Open& open_call, const CallOptions& options) {
    auto call = std::make_shared<internal::WriteReactor<Request, Reply>>();
    internal::prepare(call->context_, options);
    open_call(&call->context_, &call->reply, call.get());
    call->begin(call);
    call->StartCall();
    return std::unique_ptr<StreamWriter>(new StreamWriter(std::move(call)));
  }
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;
  ~StreamWriter() {
    call_->context_.TryCancel();
    call_->release();
  }

  // Suspends until gRPC took it. The server's status when it ended the call; kFailedPrecondition
  // when it did so with a reply before the last piece. Not again after an error.
  boost::asio::awaitable<Status> write(Request piece) {
    const auto call = call_;
    call->piece = std::move(piece);
    std::function<void()> start = [call] { call->StartWrite(&call->piece); };
    std::function<void()> cancel = [call] { call->context_.TryCancel(); };
    const bool ok = co_await call->written.wait(std::move(start), std::move(cancel));
    if (ok) co_return absl::OkStatus();
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    if (internal::is_cancelled(cancellation)) co_return absl::CancelledError("cancelled");
    Status status = co_await internal::final_status(call);
    if (status.ok()) status = absl::FailedPreconditionError("the server took not all pieces");
    co_return status;
  }
  // After the last piece: the reply.
  boost::asio::awaitable<Result<Reply>> finish() {
    const auto call = call_;
    call->StartWritesDone();
    const Status status = co_await internal::final_status(call);
    if (!status.ok()) co_return status;
    co_return std::move(call->reply);
  }

 private:
  explicit StreamWriter(std::shared_ptr<internal::WriteReactor<Request, Reply>> call)
      : call_(std::move(call)) {}
  const std::shared_ptr<internal::WriteReactor<Request, Reply>> call_;
};

}  // namespace mimeo::rpc
