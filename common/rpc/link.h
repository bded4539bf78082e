// Long-lived bidirectional streams whose frames carry batches (decision D6c), the same for both
// ends.
//
// send() may be called from any thread: what is sent while a write is on its way leaves in the next
// frame. Received frames are moved and posted to our executor; no logic runs on a gRPC thread, so
// that ThreadSanitizer sees all of it. A frame type is a message with a field
// `repeated M messages`; any other field is stamped by LinkOptions::stamp.

#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

#include "common/base/status.h"

namespace mimeo::rpc {

// The same codes: gRPC and Abseil number them alike.
[[nodiscard]] inline Status from_grpc(const grpc::Status& s) {
  return s.ok() ? absl::OkStatus()
                : Status(static_cast<absl::StatusCode>(s.error_code()), s.error_message());
}
[[nodiscard]] inline grpc::Status to_grpc(const Status& s) {
  return {static_cast<grpc::StatusCode>(s.code()), std::string(s.message())};
}

// One end of a stream, as its user holds it.
template <class Out>
class LinkSender {
 public:
  using Message = std::remove_pointer_t<decltype(std::declval<Out&>().add_messages())>;
  virtual ~LinkSender() = default;
  // Any thread. False: the stream is closed, or its queue was full and it is being closed now (its
  // peer repairs everything on reconnect); the message is dropped.
  virtual bool send(Message message) = 0;
  // Any thread. Ends the stream; on_closed follows. Queued messages may be lost.
  virtual void close() = 0;
};

// All callbacks come on `executor`, in order, none after on_closed.
template <class In, class Out>
struct LinkOptions {
  boost::asio::any_io_executor executor;
  std::function<void(In)> on_frame;
  std::function<void(Status)> on_closed;  // Exactly once, with the reason.
  std::function<void(Out&)>
      stamp;  // Called on each frame before it leaves, on any thread. May be empty.
  std::size_t max_pending_bytes = 32U << 20;  // Then the peer is too slow and the stream is closed.
};

namespace internal {

// Base is grpc::ClientBidiReactor<Out, In> or grpc::ServerBidiReactor<In, Out>. Deletes nothing by
// hand: it holds a reference to itself from start() to OnDone.
template <class Base, class In, class Out>
class LinkReactor : public Base, public LinkSender<Out> {
 public:
  using Message = typename LinkSender<Out>::Message;

  explicit LinkReactor(LinkOptions<In, Out> options) : options_(std::move(options)) {
    options_.executor =
        boost::asio::prefer(options_.executor, boost::asio::execution::outstanding_work.tracked);
  }

  bool send(Message message) override {
    {
      std::lock_guard lock(mutex_);
      if (closing_) return false;
      pending_bytes_ += message.ByteSizeLong();
      if (pending_bytes_ > options_.max_pending_bytes) {
        overflowed_ = true;
      } else {
        pending_.add_messages()->Swap(&message);
        if (writing_) return true;
        begin_write();
      }
    }
    if (overflowed()) {
      this->close();
      return false;
    }
    this->StartWrite(&out_);
    return true;
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      boost::asio::post(options_.executor, [self = self(), frame = std::move(in_)]() mutable {
        self->options_.on_frame(std::move(frame));
      });
      in_.Clear();
      this->StartRead(&in_);
      return;
    }
    read_ended();
  }

  void OnWriteDone(bool ok) override {
    bool again = false;
    {
      std::lock_guard lock(mutex_);
      out_.Clear();
      if (!ok) closing_ = true;
      if (!closing_ && pending_.messages_size() > 0) {
        begin_write();
        again = true;
      } else {
        writing_ = false;
      }
    }
    if (again) {
      this->StartWrite(&out_);
    } else {
      settle();
    }
  }

 protected:
  // Calls the end of the stream (Finish or RemoveHold) once, when nothing is being written and the
  // stream is closing. Never under mutex_.
  virtual void end_stream() = 0;
  virtual void read_ended() = 0;

  void settle() {
    {
      std::lock_guard lock(mutex_);
      if (!closing_ || writing_ || ended_) return;
      ended_ = true;
    }
    end_stream();
  }
  void begin_closing() {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  [[nodiscard]] bool overflowed() {
    std::lock_guard lock(mutex_);
    return overflowed_;
  }
  void done(Status status) {
    if (overflowed()) status = absl::ResourceExhaustedError("the peer reads too slowly");
    boost::asio::post(options_.executor, [self = self(), status = std::move(status)]() mutable {
      self->options_.on_closed(std::move(status));
      self->options_.on_frame = nullptr;  // Breaks cycles through captured owners.
      self->options_.on_closed = nullptr;
    });
    self_.reset();
  }
  [[nodiscard]] std::shared_ptr<LinkReactor> self() {
    std::lock_guard lock(mutex_);
    return self_;
  }
  void hold_self(std::shared_ptr<LinkReactor> me) {
    std::lock_guard lock(mutex_);
    self_ = std::move(me);
  }

  In in_;

 private:
  void begin_write() {  // Under mutex_.
    writing_ = true;
    out_.Swap(&pending_);
    pending_bytes_ = 0;
    if (options_.stamp) options_.stamp(out_);
  }

  LinkOptions<In, Out> options_;
  std::mutex mutex_;
  std::shared_ptr<LinkReactor> self_;  // Guarded by mutex_.
  Out out_;                            // Owned by gRPC while writing_.
  Out pending_;                        // Guarded by mutex_, as are the rest.
  std::size_t pending_bytes_ = 0;
  bool writing_ = false;
  bool closing_ = false;
  bool overflowed_ = false;
  bool ended_ = false;
};

}  // namespace internal

// The dialling end. `open` starts the call on the stub: `[&](auto* context, auto* reactor) {
// stub->async()->Session(context, reactor); }`. Metadata is set by `prepare(context)`, which may be
// empty. The stub's channel and the executor's context outlive the stream.
template <class In, class Out>
class ClientLink final : public internal::LinkReactor<grpc::ClientBidiReactor<Out, In>, In, Out> {
  using Base = internal::LinkReactor<grpc::ClientBidiReactor<Out, In>, In, Out>;

 public:
  using Open = std::function<void(grpc::ClientContext*, grpc::ClientBidiReactor<Out, In>*)>;
  using Base::Base;

  static std::shared_ptr<ClientLink> start(
      LinkOptions<In, Out> options, const Open& open,
      const std::function<void(grpc::ClientContext&)>& prepare = {}) {
    auto link = std::make_shared<ClientLink>(std::move(options));
    link->hold_self(link);
    if (prepare) prepare(link->context_);
    open(&link->context_, link.get());
    link->AddHold();  // Until end_stream(): sends may come from outside of reactions.
    link->StartRead(&link->in_);
    link->StartCall();
    return link;
  }

  void close() override {
    this->begin_closing();
    context_.TryCancel();  // The read then ends, and settles.
    this->settle();
  }
  void OnDone(const grpc::Status& status) override { this->done(from_grpc(status)); }

 private:
  void end_stream() override { this->RemoveHold(); }
  void read_ended() override {
    this->begin_closing();
    this->settle();
  }

  grpc::ClientContext context_;
};

// The answering end: returned from the callback service's method.
template <class In, class Out>
class ServerLink final : public internal::LinkReactor<grpc::ServerBidiReactor<In, Out>, In, Out> {
  using Base = internal::LinkReactor<grpc::ServerBidiReactor<In, Out>, In, Out>;

 public:
  using Base::Base;

  // Starts reading. Give the raw pointer (.get()) to gRPC; it stays alive until its OnDone.
  static std::shared_ptr<ServerLink> start(LinkOptions<In, Out> options) {
    auto link = std::make_shared<ServerLink>(std::move(options));
    link->hold_self(link);
    link->StartRead(&link->in_);
    return link;
  }

  void close() override { close_with(absl::UnavailableError("the other side closed the stream")); }
  // The peer sees this status.
  void close_with(Status status) {
    {
      std::lock_guard lock(status_mutex_);
      if (status_.ok()) status_ = std::move(status);
    }
    this->begin_closing();
    this->settle();
  }
  void OnCancel() override { close_with(absl::CancelledError("the peer is gone")); }
  void OnDone() override {
    std::unique_lock lock(status_mutex_);
    Status status = status_;
    lock.unlock();
    this->done(std::move(status));
  }

 private:
  void end_stream() override {
    std::unique_lock lock(status_mutex_);
    const grpc::Status status = to_grpc(status_);
    lock.unlock();
    this->Finish(status);
  }
  void read_ended() override {
    this->begin_closing();
    this->settle();
  }

  std::mutex status_mutex_;
  Status status_;  // Guarded by status_mutex_.
};

}  // namespace mimeo::rpc
