// One worker's Publish stream, and the table of all of them. Used by hub_service.cc alone.
//
// A stream's frames are handled in order; those that come before its token was checked wait.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/async/task_group.h"
#include "common/rpc/link.h"
#include "control-plane/hub/hub_service.h"
#include "control-plane/hub/worker_tokens.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::control {

using PublishLink = rpc::ServerLink<v1::PublishFrame, v1::HubFrame>;

// On the HTTP thread, except accept().
class PublishSessions {
 public:
  PublishSessions(boost::asio::any_io_executor executor, HubServiceParts& parts,
                  WorkerTokens& tokens);

  // On a gRPC thread: the reactor of a new stream.
  grpc::ServerBidiReactor<v1::PublishFrame, v1::HubFrame>* accept(std::string token);

  // Ends all streams and refuses new ones.
  void drain();
  boost::asio::awaitable<void> stop();

 private:
  struct Session {
    std::string token;
    std::string worker;                 // For logs.
    std::shared_ptr<PublishLink> link;  // Null before it is registered and after it closed.
    bool is_closed = false;
    bool is_trusted = false;
    bool is_checking = false;
    std::vector<v1::PublishFrame> early;  // Before it was trusted.
    std::unordered_set<PredictionId> predictions;
  };
  // Where a running prediction's events come from.
  struct Route {
    std::weak_ptr<Session> session;
    std::uint32_t attempt = 0;
    std::uint64_t highest = 0;  // Contiguous seq at the hub.
    std::uint64_t acked = 0;
    SteadyTime replay_asked_at;  // Not more than once a second.
  };

  void register_session(const std::shared_ptr<Session>& session, std::shared_ptr<PublishLink> link);
  void begin_check(const std::shared_ptr<Session>& session);
  void on_frame(const std::shared_ptr<Session>& session, v1::PublishFrame frame);
  void on_closed(const std::shared_ptr<Session>& session, const Status& status);
  boost::asio::awaitable<void> check(std::shared_ptr<Session> session);
  void handle(const std::shared_ptr<Session>& session, v1::PublishFrame& frame);
  void on_event(const std::shared_ptr<Session>& session, v1::Event& event);
  void on_complete(const std::shared_ptr<Session>& session, v1::Complete& complete);
  void on_interest(PredictionId id, Interest interest);
  void send_flush(Session& session, const v1::AttemptId& id, std::uint64_t resume_after,
                  Interest interest);

  const boost::asio::any_io_executor executor_;
  HubServiceParts& parts_;
  WorkerTokens& tokens_;
  prometheus::Gauge& streams_;
  prometheus::Counter& events_;
  prometheus::Counter& completes_;
  prometheus::Histogram& finish_seconds_;
  std::unordered_set<std::shared_ptr<Session>> sessions_;
  std::unordered_map<PredictionId, Route> routes_;
  bool is_draining_ = false;
  // Callbacks of streams that outlive this hold a weak one and then do nothing.
  std::shared_ptr<PublishSessions*> self_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::control
