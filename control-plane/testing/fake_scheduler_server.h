// The other end of scheduler_client.h, over real gRPC: the test decides what it answers.

#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/link.h"
#include "common/rpc/server.h"
#include "common/store/predictions.h"
#include "control-plane/testing/test_loop.h"
#include "proto/scheduler.grpc.pb.h"

namespace mimeo::control {

// A scheduler that answers what the test says. Its callbacks run on the test's loop.
class FakeSchedulerServer final : public v1::SchedulerLink::CallbackService {
 public:
  using Stream = rpc::ServerLink<v1::ControlPlaneFrame, v1::SchedulerLinkFrame>;

  FakeSchedulerServer(TestLoop& loop, std::vector<std::uint32_t> cells)
      : loop_(loop), cells_(std::move(cells)) {}
  ~FakeSchedulerServer() override { stop(); }

  void start(const std::string& address = "127.0.0.1:0") {
    rpc::RpcServerOptions options;
    options.address = address;
    server_ = std::make_unique<rpc::RpcServer>(options, std::vector<grpc::Service*>{this});
    const Status status = server_->start();
    ASSERT_TRUE(status.ok()) << status;
  }
  void stop() {
    if (server_) server_->stop(std::chrono::milliseconds(0));
    server_.reset();
  }
  [[nodiscard]] std::string address() const { return server_->address(); }

  grpc::ServerBidiReactor<v1::ControlPlaneFrame, v1::SchedulerLinkFrame>* Link(
      grpc::CallbackServerContext*) override {
    rpc::LinkOptions<v1::ControlPlaneFrame, v1::SchedulerLinkFrame> options;
    options.executor = loop_.executor();
    const std::uint64_t number = ++last_link_;
    options.on_frame = [this, number](v1::ControlPlaneFrame frame) { on_frame(number, frame); };
    options.on_closed = [this, number](const Status&) {
      links_.erase(number);
      closed_.insert(number);
      link = links_.empty() ? nullptr : links_.rbegin()->second;
    };
    const auto made = Stream::start(std::move(options));
    boost::asio::post(loop_.executor(), [this, number, made] {
      if (closed_.contains(number)) return;
      links_[number] = made;
      link = made;
      for (const v1::ControlPlaneFrame& frame : std::exchange(early_[number], {})) {
        on_frame(number, frame);
      }
    });
    return made.get();
  }

  // To whoever was heard last, or connected last.
  void send(v1::SchedulerLinkMessage message) { link->send(std::move(message)); }
  void welcome() {
    v1::SchedulerLinkMessage message;
    for (const std::uint32_t cell : cells_) message.mutable_welcome()->add_cells(cell);
    send(std::move(message));
  }
  void answer(const v1::Reserve& reserve, std::optional<store::Grant> given) {
    v1::SchedulerLinkMessage message;
    v1::ReserveReply& reply = *message.mutable_reserved();
    reply.set_request_id(reserve.request_id());
    reply.set_granted(given.has_value());
    if (given) {
      reply.set_grant_id(77);
      reply.set_cell_id(static_cast<std::uint32_t>(given->fence.cell));
      reply.set_epoch(given->fence.epoch);
      reply.set_instance_id(given->instance.str());
      reply.set_worker_id(given->worker.str());
      reply.set_incarnation(given->incarnation);
      reply.set_version_id(given->version.raw());
      reply.set_hold_ms(2000);
    }
    send(std::move(message));
  }

  std::shared_ptr<Stream> link;  // Null while nobody is connected.
  std::vector<v1::ControlPlaneMessage> received;
  bool answers_reserves = true;
  std::optional<store::Grant> grant;  // Of every answer.

 private:
  void on_frame(std::uint64_t number, const v1::ControlPlaneFrame& frame) {
    if (!links_.contains(number)) {
      early_[number].push_back(frame);
      return;
    }
    link = links_.at(number);
    for (const v1::ControlPlaneMessage& message : frame.messages()) {
      received.push_back(message);
      if (message.has_hello()) welcome();
      if (message.has_reserve() && answers_reserves) answer(message.reserve(), grant);
    }
  }

  TestLoop& loop_;
  const std::vector<std::uint32_t> cells_;
  std::atomic<std::uint64_t> last_link_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Stream>> links_;             // One per control plane.
  std::map<std::uint64_t, std::vector<v1::ControlPlaneFrame>> early_;  // Before the link is known.
  std::set<std::uint64_t> closed_;
  std::unique_ptr<rpc::RpcServer> server_;
};

}  // namespace mimeo::control
