// The other end of hub_service.h's Publish stream, over real gRPC.

#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/link.h"
#include "control-plane/testing/test_loop.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::control {

// A worker's end of the Publish stream. Its callbacks run on the test's loop.
class FakeWorker {
 public:
  using Link = rpc::ClientLink<v1::HubFrame, v1::PublishFrame>;

  FakeWorker(TestLoop& loop, v1::EventHub::Stub& stub, const std::string& token) : loop_(loop) {
    rpc::LinkOptions<v1::HubFrame, v1::PublishFrame> options;
    options.executor = loop.executor();
    options.on_frame = [this](v1::HubFrame frame) {
      for (auto& message : *frame.mutable_messages()) received.push_back(std::move(message));
    };
    options.on_closed = [this](Status status) { closed = std::move(status); };
    link_ = Link::start(
        std::move(options),
        [&](auto* context, auto* reactor) { stub.async()->Publish(context, reactor); },
        [&](grpc::ClientContext& context) { context.AddMetadata("mimeo-worker-token", token); });
    v1::PublishMessage hello;
    hello.mutable_hello()->set_worker_id("w");
    link_->send(std::move(hello));
  }
  ~FakeWorker() {
    link_->close();
    loop_.drive([&] { return closed.has_value(); });
  }

  void event(PredictionId id, std::uint64_t seq, v1::Event::Kind kind, const std::string& data) {
    v1::PublishMessage message;
    v1::Event& event = *message.mutable_event();
    event.mutable_id()->set_prediction_id(id.str());
    event.mutable_id()->set_attempt(1);
    event.set_seq(seq);
    event.set_kind(kind);
    event.set_data(data);
    link_->send(std::move(message));
  }
  void complete(PredictionId id, const std::string& output) { link_->send(result_of(id, output)); }
  // Of an instance in training mode.
  void complete_training(PredictionId id, const std::string& output) {
    v1::PublishMessage message = result_of(id, output);
    message.mutable_complete()->set_is_training(true);
    link_->send(std::move(message));
  }
  template <class Wanted>
  v1::HubMessage wait_for(Wanted wanted) {
    loop_.drive([&] { return std::any_of(received.begin(), received.end(), wanted); });
    return *std::find_if(received.begin(), received.end(), wanted);
  }

  std::vector<v1::HubMessage> received;
  std::optional<Status> closed;

 private:
  static v1::PublishMessage result_of(PredictionId id, const std::string& output) {
    v1::PublishMessage message;
    v1::Complete& complete = *message.mutable_complete();
    complete.mutable_id()->set_prediction_id(id.str());
    complete.mutable_id()->set_attempt(1);
    complete.set_outcome(v1::OUTCOME_SUCCEEDED);
    complete.set_output(output);
    complete.set_logs("all of it\n");
    complete.set_ran_ms(40);
    complete.set_since_end_ms(10);
    return message;
  }

  TestLoop& loop_;
  std::shared_ptr<Link> link_;
};

}  // namespace mimeo::control
