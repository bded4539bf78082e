// Unary methods between gRPC's callback API and coroutines: for rare calls (Locate, PullToken).
// What is frequent travels on a link (link.h); content is streamed (streams.h).

#pragma once

#include <grpcpp/grpcpp.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/rpc/link.h"
#include "common/rpc/reaction.h"

namespace mimeo::rpc {

struct CallOptions {
  std::chrono::milliseconds deadline{10'000};                 // Of the whole call.
  std::vector<std::pair<std::string, std::string>> metadata;  // Lower-case names.
};

// First value of this metadata of a call, or "".
[[nodiscard]] inline std::string metadata_of(const grpc::CallbackServerContext& context,
                                             std::string_view name) {
  const auto at = context.client_metadata().find(grpc::string_ref(name.data(), name.size()));
  if (at == context.client_metadata().end()) return {};
  return {at->second.data(), at->second.size()};
}

namespace internal {

inline void prepare(grpc::ClientContext& context, const CallOptions& options) {
  const std::chrono::system_clock::time_point deadline = SystemClock().now() + options.deadline;
  context.set_deadline(deadline);
  for (const auto& [name, value] : options.metadata) context.AddMetadata(name, value);
}

template <class Request, class Reply>
struct UnaryCall {
  grpc::ClientContext context;
  Request request;
  Reply reply;
  grpc::Status status;
  Reaction done;
};

template <class Request, class Reply>
boost::asio::awaitable<Result<Reply>> finish_unary(std::shared_ptr<UnaryCall<Request, Reply>> call,
                                                   std::function<void()> start) {
  std::function<void()> cancel = [call] { call->context.TryCancel(); };
  co_await call->done.wait(std::move(start), std::move(cancel));
  if (!call->status.ok()) co_return from_grpc(call->status);
  co_return std::move(call->reply);
}

}  // namespace internal

// Calls a method and suspends until its reply or its deadline; cancelling the coroutine cancels the
// call. `async` (of a stub that outlives the call) and the method:
//   auto reply = co_await rpc::call_unary(
//       stub->async(), &v1::WorkerSession::StubInterface::async_interface::Locate, request,
//       options);
template <class Async, class Interface, class Request, class Reply>
boost::asio::awaitable<Result<Reply>> call_unary(
    Async* async,
    void (Interface::*method)(grpc::ClientContext*, const Request*, Reply*,
                              std::function<void(grpc::Status)>),
    Request request, CallOptions options) {
  auto call = std::make_shared<internal::UnaryCall<Request, Reply>>();
  internal::prepare(call->context, options);
  call->request = std::move(request);
  std::function<void()> start = [call, async, method] {
    (static_cast<Interface*>(async)->*method)(&call->context, &call->request, &call->reply,
                                              [call](grpc::Status status) {
                                                call->status = std::move(status);
                                                call->done.complete(true);
                                              });
  };
  return internal::finish_unary<Request, Reply>(std::move(call), std::move(start));
}

namespace internal {

// Finishes a call exactly once, whatever becomes of the coroutine that serves it: it throws, is
// never started, or is destroyed with its context.
class Finisher {
 public:
  explicit Finisher(std::function<void(const grpc::Status&)> finish) : finish_(std::move(finish)) {}
  Finisher(const Finisher&) = delete;
  Finisher& operator=(const Finisher&) = delete;
  ~Finisher() {
    finish(absl::UnavailableError("the call was dropped: this process stops, or it failed"));
  }
  void finish(const Status& status) {
    if (auto finish = std::exchange(finish_, nullptr)) finish(to_grpc(status));
  }

 private:
  std::function<void(const grpc::Status&)> finish_;
};

template <class Request, class Reply>
boost::asio::awaitable<void> run_unary(
    std::shared_ptr<Finisher> finisher, Reply* reply, Request request,
    std::function<boost::asio::awaitable<Result<Reply>>(Request)> handler) {
  auto result = co_await handler(std::move(request));
  if (result.ok()) *reply = std::move(*result);
  finisher->finish(result.status());
}

}  // namespace internal

// Serves a unary method by a coroutine of `tasks`, on its executor. In the service's method:
//   return rpc::serve_unary<Reply>(context, &tasks_, *request, reply,
//                                  [this](Request r) { return locate(std::move(r)); });
// The handler is a function that *returns* an awaitable, not a lambda coroutine. `tasks` outlives
// the server.
template <class Reply, class Request>
grpc::ServerUnaryReactor* serve_unary(
    grpc::CallbackServerContext* context, TaskGroup* tasks, Request request, Reply* reply,
    std::type_identity_t<std::function<boost::asio::awaitable<Result<Reply>>(Request)>> handler) {
  auto* reactor = context->DefaultReactor();
  auto finisher = std::make_shared<internal::Finisher>(
      [reactor](const grpc::Status& status) { reactor->Finish(status); });
  boost::asio::post(
      tasks->executor(), [tasks, finisher = std::move(finisher), reply,
                          request = std::move(request), handler = std::move(handler)]() mutable {
        tasks->spawn("serve a call",
                     internal::run_unary<Request, Reply>(std::move(finisher), reply,
                                                         std::move(request), std::move(handler)));
      });
  return reactor;
}

}  // namespace mimeo::rpc
