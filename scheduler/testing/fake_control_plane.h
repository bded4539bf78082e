// Stands in for mimeo-control-plane's link to the scheduler: asks for slots and tells what it
// committed.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/rpc/link.h"
#include "common/rpc/server.h"
#include "proto/scheduler.grpc.pb.h"

namespace mimeo::scheduler::testing {

class FakeControlPlane {
 public:
  FakeControlPlane(boost::asio::any_io_executor executor, std::string hub)
      : executor_(std::move(executor)), hub_(std::move(hub)) {}
  ~FakeControlPlane() { disconnect(); }
  FakeControlPlane(const FakeControlPlane&) = delete;
  FakeControlPlane& operator=(const FakeControlPlane&) = delete;

  std::map<std::uint64_t, v1::ReserveReply> replies;  // By request.
  std::vector<v1::TargetSnapshot> snapshots;
  std::vector<std::uint32_t> cells;  // Of the last welcome.
  bool is_closed = true;

  void connect(const std::string& address) {
    disconnect();
    const std::uint64_t generation = ++generation_;
    channel_ = rpc::make_channel(address);
    stub_ = v1::SchedulerLink::NewStub(channel_);
    is_closed = false;
    rpc::LinkOptions<v1::SchedulerLinkFrame, v1::ControlPlaneFrame> options;
    options.executor = executor_;
    const std::weak_ptr<int> alive = alive_;
    options.on_frame = [this, alive, generation](const v1::SchedulerLinkFrame& frame) {
      if (!alive.expired() && generation == generation_) on_frame(frame);
    };
    options.on_closed = [this, alive, generation, stub = stub_](const Status&) {
      if (alive.expired() || generation != generation_) return;
      is_closed = true;
      link_.reset();
    };
    auto* stub = stub_.get();
    link_ = Link::start(std::move(options), [stub](auto* context, auto* reactor) {
      stub->async()->Link(context, reactor);
    });
    v1::ControlPlaneMessage message;
    message.mutable_hello()->set_replica_id("replica");
    message.mutable_hello()->set_hub_addr(hub_);
    send(std::move(message));
  }
  void disconnect() {
    ++generation_;
    is_closed = true;
    if (link_) link_->close();
    link_.reset();
  }
  void send(v1::ControlPlaneMessage message) {
    if (link_) link_->send(std::move(message));
  }

  // The number of the request; the answer comes into `replies`.
  std::uint64_t reserve(TargetId target, AccountId account) {
    v1::ControlPlaneMessage message;
    v1::Reserve& reserve = *message.mutable_reserve();
    reserve.set_request_id(++requests_);
    reserve.set_target_id(target);
    reserve.set_account_id(account);
    reserve.set_run_limit_ms(60'000);
    send(std::move(message));
    return requests_;
  }
  void granted(std::uint64_t grant, PredictionId id, TargetId target, const std::string& input) {
    v1::ControlPlaneMessage message;
    v1::Granted& granted = *message.mutable_granted();
    granted.set_grant_id(grant);
    granted.set_prediction_id(id.str());
    granted.set_target_id(target);
    granted.set_account_id(1);
    granted.set_input(input);
    granted.set_run_limit_ms(60'000);
    send(std::move(message));
  }
  void queued(PredictionId id, TargetId target, AccountId account) {
    v1::ControlPlaneMessage message;
    v1::Queued& queued = *message.mutable_queued();
    queued.set_prediction_id(id.str());
    queued.set_target_id(target);
    queued.set_account_id(account);
    queued.set_priority(1);
    queued.set_run_limit_ms(60'000);
    send(std::move(message));
  }
  void cancel(PredictionId id, TargetId target, bool was_queued) {
    v1::ControlPlaneMessage message;
    message.mutable_cancel()->set_prediction_id(id.str());
    message.mutable_cancel()->set_target_id(target);
    message.mutable_cancel()->set_was_queued(was_queued);
    send(std::move(message));
  }
  void poke(TargetId target, bool want_snapshot) {
    v1::ControlPlaneMessage message;
    message.mutable_target()->set_target_id(target);
    message.mutable_target()->set_want_snapshot(want_snapshot);
    send(std::move(message));
  }

 private:
  using Link = rpc::ClientLink<v1::SchedulerLinkFrame, v1::ControlPlaneFrame>;

  void on_frame(const v1::SchedulerLinkFrame& frame) {
    for (const auto& message : frame.messages()) {
      if (message.has_reserved()) replies[message.reserved().request_id()] = message.reserved();
      if (message.has_target()) snapshots.push_back(message.target());
      if (message.has_welcome()) {
        cells.assign(message.welcome().cells().begin(), message.welcome().cells().end());
      }
    }
  }

  boost::asio::any_io_executor executor_;
  std::string hub_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<v1::SchedulerLink::Stub> stub_;
  std::shared_ptr<Link> link_;
  std::uint64_t generation_ = 0;
  std::uint64_t requests_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace mimeo::scheduler::testing
