#include "control-plane/hub/peer_streams.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/async/task_group.h"
#include "common/rpc/server.h"
#include "common/rpc/streams.h"
#include "common/rpc/unary.h"
#include "common/telemetry/log.h"
#include "control-plane/hub/event_wire.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kStopLimit{2000};
constexpr std::chrono::hours kLongestStream{25};  // Longer than any prediction.

class Streams final : public PeerStreams {
 public:
  Streams(asio::any_io_executor executor, BlockingPool& pool, store::FleetStore& fleet,
          EventHub& hub, ResultWatch& watch, const Clock& clock, PeerStreamsOptions options)
      : executor_(executor),
        pool_(pool),
        fleet_(fleet),
        hub_(hub),
        watch_(watch),
        clock_(clock),
        options_(std::move(options)),
        tasks_(executor) {
    hub_.on_interest([this](PredictionId id, Interest interest) {
      if (interest != Interest::kClients) {
        wanted_.erase(id);
        return;
      }
      std::shared_ptr<Wanted>& wanted = wanted_[id];
      if (!wanted) wanted = std::make_shared<Wanted>(executor_);
      open_missing(id);
    });
  }

  void start() override { tasks_.spawn("peers of the event hub", run()); }

  asio::awaitable<void> stop() override {
    is_stopped_ = true;
    tasks_.cancel();
    for (const auto& [id, wanted] : wanted_) wanted->tasks.cancel();
    const std::vector<PredictionId> ids = wanted_ids();
    for (const PredictionId id : ids) {
      const auto it = wanted_.find(id);
      if (it == wanted_.end()) continue;
      const std::shared_ptr<Wanted> wanted = it->second;
      co_await wanted->tasks.wait(kStopLimit);
    }
    const Status status = co_await tasks_.wait(kStopLimit);
    if (!status.ok()) log::warn("stopping streams from peers: {}", status.ToString());
    wanted_.clear();
  }

  std::size_t open_streams() const override {
    std::size_t open = 0;
    for (const auto& [id, wanted] : wanted_) open += wanted->open.size();
    return open;
  }

 private:
  // One prediction that clients of ours read: a task for each peer.
  struct Wanted {
    explicit Wanted(asio::any_io_executor executor) : tasks(std::move(executor)) {}
    std::set<ReplicaId> open;  // Peers whose stream is under way.
    TaskGroup tasks;           // Its end cancels the streams.
  };

  asio::awaitable<void> run() {
    for (;;) {
      auto read = [this] { return fleet_.list_replicas(store::ReplicaRole::kControlPlane); };
      const Result<std::vector<store::Replica>> replicas = co_await pool_.run(std::move(read));
      if (!replicas.ok()) {
        log::debug("reading the control planes: {}", replicas.status().ToString());
      } else {
        update_peers(*replicas);
      }
      for (const PredictionId id : wanted_ids()) open_missing(id);
      const bool goes_on = co_await sleep_for(options_.refresh_every);
      if (!goes_on) co_return;
    }
  }

  std::vector<PredictionId> wanted_ids() const {
    std::vector<PredictionId> ids;
    ids.reserve(wanted_.size());
    for (const auto& [id, wanted] : wanted_) ids.push_back(id);
    return ids;
  }

  void update_peers(const std::vector<store::Replica>& replicas) {
    std::map<ReplicaId, std::shared_ptr<v1::EventHub::Stub>> listed;
    for (const store::Replica& replica : replicas) {
      if (replica.id == options_.replica) continue;
      const auto known = stubs_.find(replica.id);
      listed[replica.id] = known != stubs_.end()
                               ? std::move(known->second)
                               : v1::EventHub::NewStub(rpc::make_channel(replica.addr));
    }
    stubs_ = std::move(listed);
  }

  void open_missing(PredictionId id) {
    const auto it = wanted_.find(id);
    if (is_stopped_ || it == wanted_.end()) return;
    const std::shared_ptr<Wanted> wanted = it->second;
    for (const auto& [peer, stub] : stubs_) {
      if (!wanted->open.insert(peer).second) continue;
      wanted->tasks.spawn("events from another control plane", read(id, peer, stub, wanted));
    }
  }

  asio::awaitable<void> read(PredictionId id, ReplicaId peer,
                             std::shared_ptr<v1::EventHub::Stub> stub,
                             std::weak_ptr<Wanted> wanted) {
    v1::SubscribeRequest request;
    request.set_prediction_id(id.str());
    if (const std::optional<LiveState> live = hub_.state(id)) {
      request.set_after_attempt(live->attempt);
      request.set_after_seq(live->last_seq);
    }
    rpc::CallOptions call;
    call.deadline = kLongestStream;
    call.metadata.emplace_back("mimeo-replica", options_.replica.str());
    const auto stream = rpc::StreamReader<v1::EventBatch>::open(
        [&](auto* context, auto* reactor) { stub->async()->Subscribe(context, &request, reactor); },
        call);
    for (;;) {
      Result<std::optional<v1::EventBatch>> batch = co_await stream->read();
      if (batch.ok() && *batch) {
        put(id, **batch);
        continue;
      }
      if (batch.ok()) watch_.check_soon(id);  // The peer saw the end.
      break;
    }
    if (const std::shared_ptr<Wanted> alive = wanted.lock()) alive->open.erase(peer);
  }

  void put(PredictionId id, v1::EventBatch& batch) {
    for (v1::Event& wire : *batch.mutable_events()) {
      HubEvent event;
      event.attempt = wire.id().attempt();
      event.seq = wire.seq();
      event.kind = kind_from_wire(wire.kind()).value_or(EventKind::kMetric);
      event.data = std::move(*wire.mutable_data());
      event.at = clock_.now();
      event.from_peer = true;
      hub_.publish(id, std::move(event));
    }
  }

  const asio::any_io_executor executor_;
  BlockingPool& pool_;
  store::FleetStore& fleet_;
  EventHub& hub_;
  ResultWatch& watch_;
  const Clock& clock_;
  const PeerStreamsOptions options_;
  std::map<ReplicaId, std::shared_ptr<v1::EventHub::Stub>> stubs_;
  std::unordered_map<PredictionId, std::shared_ptr<Wanted>> wanted_;
  bool is_stopped_ = false;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace

std::unique_ptr<PeerStreams> make_peer_streams(asio::any_io_executor executor, BlockingPool& pool,
                                               store::FleetStore& fleet, EventHub& hub,
                                               ResultWatch& watch, const Clock& clock,
                                               PeerStreamsOptions options) {
  return std::make_unique<Streams>(std::move(executor), pool, fleet, hub, watch, clock,
                                   std::move(options));
}

}  // namespace mimeo::control
