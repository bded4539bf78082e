// Stands in for a scheduler that owns (or does not own) a cell, over real gRPC.

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
#include "proto/worker_session.grpc.pb.h"

namespace mimeo::worker {

// One thread, the test's, for everything but the calls of gRPC.
class FakeScheduler final : public v1::WorkerSession::CallbackService {
 public:
  using ServerStream = rpc::ServerLink<v1::WorkerFrame, v1::SchedulerFrame>;

  explicit FakeScheduler(boost::asio::any_io_executor executor)
      : executor_(std::move(executor)), server_(rpc::RpcServerOptions{}, {this}) {
    EXPECT_TRUE(server_.start().ok());
    owner_address = server_.address();
  }
  ~FakeScheduler() override { stop(); }

  void stop() {
    for (auto& stream : streams) stream->close();
    server_.stop(std::chrono::milliseconds{0});
  }
  [[nodiscard]] std::string address() const { return server_.address(); }

  grpc::ServerUnaryReactor* Locate(grpc::CallbackServerContext* context,
                                   const v1::LocateRequest* /*request*/,
                                   v1::LocateReply* reply) override {
    reply->set_cell_id(7);
    reply->set_scheduler_addr(owner_address);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerBidiReactor<v1::WorkerFrame, v1::SchedulerFrame>* Session(
      grpc::CallbackServerContext* /*context*/) override {
    rpc::LinkOptions<v1::WorkerFrame, v1::SchedulerFrame> options;
    options.executor = executor_;
    options.on_frame = [this](v1::WorkerFrame frame) {
      for (const auto& message : frame.messages()) {
        if (message.has_hello()) hellos.push_back(message.hello());
        messages.push_back(message);
      }
    };
    options.on_closed = [this](const Status&) { ++closed; };
    options.stamp = [this](v1::SchedulerFrame& frame) { frame.set_epoch(epoch); };
    auto stream = ServerStream::start(std::move(options));
    std::lock_guard lock(mutex_);
    streams.push_back(stream);
    return stream.get();
  }

  void say(v1::SchedulerMessage message) {
    std::lock_guard lock(mutex_);
    streams.back()->send(std::move(message));
  }
  void welcome(std::uint32_t heartbeat_ms = 20, std::uint32_t lease_ms = 8000) {
    v1::SchedulerMessage message;
    message.mutable_welcome()->set_cell_id(7);
    message.mutable_welcome()->set_heartbeat_ms(heartbeat_ms);
    message.mutable_welcome()->set_lease_ms(lease_ms);
    say(std::move(message));
  }
  [[nodiscard]] std::size_t heartbeats() const {
    std::size_t count = 0;
    for (const auto& message : messages) count += message.has_heartbeat() ? 1 : 0;
    return count;
  }

  std::string owner_address;  // What Locate answers.
  std::atomic<std::uint64_t> epoch{5};
  std::deque<v1::Hello> hellos;  // On the test's thread, as the next two.
  std::deque<v1::WorkerMessage> messages;
  int closed = 0;
  std::vector<std::shared_ptr<ServerStream>> streams;

 private:
  boost::asio::any_io_executor executor_;
  std::mutex mutex_;
  rpc::RpcServer server_;
};

}  // namespace mimeo::worker
