// Long-lived bidirectional streams whose frames carry batches (decision D6c), the same for both
// ends.
//
// send() may be called from any thread. What is sent in one go, or while a write is on its way,
// leaves in one frame: the write is started by a handler that is posted behind those that are ready
// now. A frame costs several switches between threads inside of gRPC, so that few large ones are
// what makes a busy process fast; an idle one loses a microsecond. Received frames are moved and
// posted to our executor; no logic runs on a gRPC thread, so that ThreadSanitizer sees all of it. A
// frame type is a message with a field `repeated M messages`; any other field is stamped by
// LinkOptions::stamp.

#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <cstddef>
#include <cstdint>
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
  // peer repairs everything on reconnect); the message is dropped. A message must be smaller than
  // LinkOptions::max_pending_bytes.
  virtual bool send(Message message) = 0;
  // Any thread. Ends the stream; on_closed follows. Queued messages may be lost.
  virtual void close() = 0;
};

// All callbacks come on `executor`, in order, none after on_closed. The stream keeps that
// executor's context running until then, and drops the callbacks (and what they captured)
// afterwards.
template <class In, class Out>
struct LinkOptions {
  boost::asio::any_io_executor executor;
  std::function<void(In)> on_frame;
  std::function<void(Status)> on_closed;  // Exactly once, with the reason.
  // Called on each frame before it leaves, on any thread, never two at a time. Must not use the
  // link. May be empty.
  std::function<void(Out&)> stamp;
  std::size_t max_pending_bytes = 32U << 20;  // Then the peer is too slow and the stream is closed.
};

namespace internal {

// Base is grpc::ClientBidiReactor<Out, In> or grpc::ServerBidiReactor<In, Out>. Deletes nothing by
// hand: it holds a reference to itself from start() to OnDone.
//
// Rules of the callback API that shape it: one read and one write at a time; nothing is started
// after the stream's end was announced (Finish, or the last hold removed); that is announced
// exactly once. No lock is held while anything is started.
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
      const std::size_t size = message.ByteSizeLong();
      if (pending_bytes_ + size > options_.max_pending_bytes) {
        overflowed_ = true;
        closing_ = true;
      } else {
        pending_bytes_ += size;
        pending_.add_messages()->Swap(&message);
        if (writing_ || flushing_) return true;
        flushing_ = true;
      }
    }
    if (is_overflowed()) {
      cancel_call();  // The write on its way would never end: nobody reads.
      settle();
      return false;
    }
    boost::asio::post(options_.executor, Flush(self()));
    return true;
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      read_ended();
      return;
    }
    boost::asio::post(options_.executor, [self = self(), frame = std::move(in_)]() mutable {
      self->options_.on_frame(std::move(frame));
    });
    in_.Clear();
    start_read();
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
  // Announces the end of the stream (Finish, or the last hold removed). Called once, when nothing
  // is being written or about to be read and the stream is closing.
  virtual void end_stream() = 0;
  // The peer sends nothing more.
  virtual void read_ended() = 0;
  // Makes what is under way fail soon.
  virtual void cancel_call() = 0;

  // A server stops reading when the stream closes, for a read must not follow Finish. A client
  // reads to the end, for only behind the last frame comes the status.
  void start_read() {
    {
      std::lock_guard lock(mutex_);
      if (closing_ && !kIsClient) return;
      ++starting_reads_;
    }
    this->StartRead(&in_);
    {
      std::lock_guard lock(mutex_);
      --starting_reads_;
    }
    settle();
  }
  void begin_closing() {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  void settle() {
    {
      std::lock_guard lock(mutex_);
      if (!closing_ || writing_ || flushing_ || starting_reads_ > 0 || ended_) return;
      ended_ = true;
    }
    end_stream();
  }
  // The last reaction. `this` may be gone when it returns.
  void done(Status status) {
    if (is_overflowed()) status = absl::ResourceExhaustedError("the peer reads too slowly");
    const auto executor = options_.executor;
    std::unique_lock lock(mutex_);
    std::shared_ptr<LinkReactor> me = std::move(self_);
    lock.unlock();
    boost::asio::post(executor, [me = std::move(me), status = std::move(status)]() mutable {
      // Moved out: breaks cycles through captured owners, and lets go of the context's work.
      LinkOptions<In, Out> options;
      {
        const std::lock_guard closed(me->mutex_);
        me->closing_ = true;  // Also when the call ended before anything else noticed.
        options = std::move(me->options_);
        me->options_ = {};
      }
      options.on_closed(std::move(status));
    });
  }
  void hold_self(std::shared_ptr<LinkReactor> me) {
    std::lock_guard lock(mutex_);
    self_ = std::move(me);
  }

  In in_;  // Owned by gRPC while a read is under way.

 private:
  [[nodiscard]] std::shared_ptr<LinkReactor> self() {
    std::lock_guard lock(mutex_);
    return self_;
  }
  [[nodiscard]] bool is_overflowed() {
    std::lock_guard lock(mutex_);
    return overflowed_;
  }
  static constexpr bool kIsClient = std::is_base_of_v<grpc::ClientBidiReactor<Out, In>, Base>;

  // A posted flush(). If the executor's context is destroyed with it the stream can still end.
  class Flush {
   public:
    explicit Flush(std::shared_ptr<LinkReactor> link) : link_(std::move(link)) {}
    Flush(Flush&&) noexcept = default;
    Flush& operator=(Flush&&) = delete;
    ~Flush() {
      if (link_) link_->flush(Write::kNo);
    }
    void operator()() { std::exchange(link_, nullptr)->flush(Write::kYes); }

   private:
    std::shared_ptr<LinkReactor> link_;
  };
  enum class Write : std::uint8_t { kYes, kNo };

  void flush(Write write) {
    bool is_started = false;
    {
      std::lock_guard lock(mutex_);
      flushing_ = false;
      // Also when the stream closes: what was sent before close_with() shall arrive.
      if (write == Write::kYes && !ended_ && pending_.messages_size() > 0) {
        begin_write();
        is_started = true;
      }
    }
    if (is_started) {
      this->StartWrite(&out_);
    } else {
      settle();
    }
  }

  void begin_write() {  // Under mutex_.
    writing_ = true;
    out_.Swap(&pending_);
    pending_bytes_ = 0;
    if (options_.stamp) options_.stamp(out_);
  }

  LinkOptions<In, Out> options_;  // Constant until done().
  std::mutex mutex_;
  std::shared_ptr<LinkReactor> self_;  // Guarded by mutex_, as are the rest but out_.
  Out out_;                            // Owned by gRPC while writing_.
  Out pending_;
  std::size_t pending_bytes_ = 0;
  int starting_reads_ = 0;  // Calls of StartRead that have not returned.
  bool writing_ = false;
  bool flushing_ = false;  // A Flush is posted; nothing is written meanwhile.
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
    link->start_read();
    link->StartCall();
    return link;
  }

  void close() override {
    this->begin_closing();
    cancel_call();  // The read then ends.
    this->settle();
  }
  void OnDone(const grpc::Status& status) override { this->done(from_grpc(status)); }

 private:
  void end_stream() override { this->RemoveHold(); }
  void read_ended() override {
    this->begin_closing();
    this->settle();
  }
  void cancel_call() override { context_.TryCancel(); }

  grpc::ClientContext context_;
};

// The answering end: returned from the callback service's method.
template <class In, class Out>
class ServerLink final : public internal::LinkReactor<grpc::ServerBidiReactor<In, Out>, In, Out> {
  using Base = internal::LinkReactor<grpc::ServerBidiReactor<In, Out>, In, Out>;

 public:
  using Base::Base;

  // Starts reading. Give the raw pointer (.get()) to gRPC; it stays alive until its OnDone. Without
  // the call's `context`, a stream whose peer reads nothing ends only when keepalive gives it up.
  static std::shared_ptr<ServerLink> start(LinkOptions<In, Out> options,
                                           grpc::CallbackServerContext* context = nullptr) {
    auto link = std::make_shared<ServerLink>(std::move(options));
    link->hold_self(link);
    link->context_ = context;
    link->start_read();
    return link;
  }

  void close() override { close_with(absl::UnavailableError("the other side closed the stream")); }
  // The peer sees this status, after what was being written.
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
    context_ = nullptr;  // gRPC frees it when this returns.
    Status status = status_;
    lock.unlock();
    this->done(std::move(status));
  }

 private:
  void end_stream() override {
    std::unique_lock lock(status_mutex_);
    if (status_.ok()) status_ = absl::CancelledError("the peer is gone");  // A write failed.
    const grpc::Status status = to_grpc(status_);
    lock.unlock();
    this->Finish(status);
  }
  void read_ended() override { close_with(absl::CancelledError("the peer is gone")); }
  void cancel_call() override {
    std::lock_guard lock(status_mutex_);  // Reactions run elsewhere, so this ends before OnDone.
    if (context_ != nullptr) context_->TryCancel();
  }

  std::mutex status_mutex_;
  Status status_;                                   // Guarded by status_mutex_.
  grpc::CallbackServerContext* context_ = nullptr;  // The same; null after OnDone.
};

}  // namespace mimeo::rpc
