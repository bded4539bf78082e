// Stands in for the event hub of a control plane, over real gRPC.

#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/link.h"
#include "common/rpc/server.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::worker {

// One thread, the test's, for everything but the calls of gRPC.
class FakeHub final : public v1::EventHub::CallbackService {
 public:
  using ServerStream = rpc::ServerLink<v1::PublishFrame, v1::HubFrame>;

  explicit FakeHub(boost::asio::any_io_executor executor)
      : executor_(std::move(executor)), server_(rpc::RpcServerOptions{}, {this}) {
    EXPECT_TRUE(server_.start().ok());
  }
  ~FakeHub() override { stop(); }
  void stop() {
    for (auto& stream : streams) stream->close();
    server_.stop(std::chrono::milliseconds{0});
  }
  [[nodiscard]] std::string address() const { return server_.address(); }

  grpc::ServerBidiReactor<v1::PublishFrame, v1::HubFrame>* Publish(
      grpc::CallbackServerContext* context) override {
    const auto& metadata = context->client_metadata();
    const auto token = metadata.find("mimeo-worker-token");
    has_token = token != metadata.end() && token->second == "join";
    rpc::LinkOptions<v1::PublishFrame, v1::HubFrame> options;
    options.executor = executor_;
    options.on_frame = [this](v1::PublishFrame frame) {
      for (auto& message : *frame.mutable_messages()) {
        if (answers_all && message.has_complete()) {
          answer(message.complete().id(), v1::CompleteReply::RESULT_COMMITTED);
        }
        messages.push_back(std::move(message));
      }
    };
    options.on_closed = [this](const Status&) { ++closed; };
    auto stream = ServerStream::start(std::move(options));
    std::lock_guard lock(mutex_);
    streams.push_back(stream);
    return stream.get();
  }

  grpc::ServerUnaryReactor* PullToken(grpc::CallbackServerContext* context,
                                      const v1::PullTokenRequest* request,
                                      v1::PullTokenReply* reply) override {
    reply->set_registry("registry.example.com");
    reply->set_token("token-for-" + request->repository());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  void answer(const v1::AttemptId& id, v1::CompleteReply::Result result) {
    v1::HubMessage message;
    *message.mutable_completed()->mutable_id() = id;
    message.mutable_completed()->set_result(result);
    streams.back()->send(std::move(message));
  }
  void set_live(const v1::AttemptId& id, std::uint64_t resume_after) {
    v1::HubMessage message;
    *message.mutable_flush()->mutable_id() = id;
    message.mutable_flush()->set_live(true);
    message.mutable_flush()->set_resume_after(resume_after);
    streams.back()->send(std::move(message));
  }
  [[nodiscard]] std::vector<std::uint64_t> seqs() const {
    std::vector<std::uint64_t> out;
    for (const auto& message : messages) {
      if (message.has_event()) out.push_back(message.event().seq());
    }
    return out;
  }
  // The result of this attempt, or null while there is none.
  [[nodiscard]] const v1::Complete* result_of(const v1::AttemptId& id) const {
    for (const auto& message : messages) {
      if (message.has_complete() && message.complete().id().prediction_id() == id.prediction_id()) {
        return &message.complete();
      }
    }
    return nullptr;
  }
  [[nodiscard]] std::size_t results() const {
    std::size_t count = 0;
    for (const auto& message : messages) count += message.has_complete() ? 1 : 0;
    return count;
  }

  std::deque<v1::PublishMessage> messages;  // On the test's thread.
  int closed = 0;
  bool answers_all = false;  // Commits every result at once.
  std::atomic<bool> has_token{false};
  std::vector<std::shared_ptr<ServerStream>> streams;

 private:
  boost::asio::any_io_executor executor_;
  std::mutex mutex_;
  rpc::RpcServer server_;
};

}  // namespace mimeo::worker
