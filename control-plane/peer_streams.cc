#include "control-plane/peer_streams.h"

#include <grpcpp/grpcpp.h>

#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/async/task_group.h"
#include "common/rpc/link.h"
#include "common/rpc/server.h"
#include "common/telemetry/log.h"
#include "control-plane/event_wire.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kStopLimit{2000};

// One Subscribe call. Its callbacks come on our executor; lives until gRPC is done with it.
class PeerStream final : public grpc::ClientReadReactor<v1::EventBatch> {
 public:
  using OnBatch = std::function<void(const v1::EventBatch&)>;
  using OnEnd = std::function<void(const Status&)>;

  static std::shared_ptr<PeerStream> open(const asio::any_io_executor& executor,
                                          v1::EventHub::Stub& stub, const std::string& replica,
                                          v1::SubscribeRequest request, OnBatch on_batch,
                                          OnEnd on_end) {
    auto stream = std::make_shared<PeerStream>(executor, std::move(request), std::move(on_batch),
                                               std::move(on_end));
    stream->self_ = stream;
    stream->context_.AddMetadata("mimeo-replica", replica);
    stub.async()->Subscribe(&stream->context_, &stream->request_, stream.get());
    stream->StartRead(&stream->batch_);
    stream->StartCall();
    return stream;
  }

  PeerStream(const asio::any_io_executor& executor, v1::SubscribeRequest request, OnBatch on_batch,
             OnEnd on_end)
      : executor_(asio::prefer(executor, asio::execution::outstanding_work.tracked)),
        request_(std::move(request)),
        on_batch_(std::move(on_batch)),
        on_end_(std::move(on_end)) {}

  void cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    asio::post(executor_, [self = self_, batch = std::move(batch_)] { self->on_batch_(batch); });
    batch_.Clear();
    StartRead(&batch_);
  }
  void OnDone(const grpc::Status& status) override {
    asio::post(executor_, [self = std::move(self_), status] {
      self->on_end_(rpc::from_grpc(status));
      self->on_batch_ = nullptr;
      self->on_end_ = nullptr;
    });
  }

 private:
  const asio::any_io_executor executor_;
  const v1::SubscribeRequest request_;
  OnBatch on_batch_;
  OnEnd on_end_;
  grpc::ClientContext context_;
  v1::EventBatch batch_;
  std::shared_ptr<PeerStream> self_;  // Until OnDone.
};

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
        self_(std::make_shared<Streams*>(this)),
        tasks_(executor) {
    hub_.on_interest([this](PredictionId id, Interest interest) {
      if (interest == Interest::kClients) {
        wanted_.try_emplace(id);
        open_missing(id);
      } else if (const auto it = wanted_.find(id); it != wanted_.end()) {
        for (const auto& [peer, stream] : it->second) {
          if (stream) stream->cancel();
        }
        wanted_.erase(it);
      }
    });
  }

  void start() override { tasks_.spawn("peers of the event hub", run()); }

  asio::awaitable<void> stop() override {
    tasks_.cancel();
    is_stopped_ = true;
    for (const auto& [id, streams] : wanted_) {
      for (const auto& [peer, stream] : streams) {
        if (stream) stream->cancel();
      }
    }
    const Status status = co_await tasks_.wait(kStopLimit);
    if (!status.ok()) log::warn("stopping streams from peers: {}", status.ToString());
    self_.reset();
    wanted_.clear();
  }

  std::size_t open_streams() const override {
    std::size_t open = 0;
    for (const auto& [id, streams] : wanted_) {
      for (const auto& [peer, stream] : streams) open += stream ? 1 : 0;
    }
    return open;
  }

 private:
  // By replica; null after the stream ended, until it is opened again.
  using PredictionStreams = std::map<ReplicaId, std::shared_ptr<PeerStream>>;

  asio::awaitable<void> run() {
    for (;;) {
      auto read = [this] { return fleet_.list_replicas(store::ReplicaRole::kControlPlane); };
      const Result<std::vector<store::Replica>> replicas = co_await pool_.run(std::move(read));
      if (!replicas.ok()) {
        log::debug("reading the control planes: {}", replicas.status().ToString());
      } else {
        update_peers(*replicas);
      }
      std::vector<PredictionId> ids;
      ids.reserve(wanted_.size());
      for (const auto& [id, streams] : wanted_) ids.push_back(id);
      for (const PredictionId id : ids) open_missing(id);
      const bool goes_on = co_await sleep_for(options_.refresh_every);
      if (!goes_on) co_return;
    }
  }

  void update_peers(const std::vector<store::Replica>& replicas) {
    std::map<ReplicaId, std::unique_ptr<v1::EventHub::Stub>> listed;
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
    const auto wanted = wanted_.find(id);
    if (is_stopped_ || wanted == wanted_.end()) return;
    for (const auto& [peer, stub] : stubs_) {
      std::shared_ptr<PeerStream>& stream = wanted->second[peer];
      if (!stream) stream = open(id, peer, *stub);
    }
  }

  std::shared_ptr<PeerStream> open(PredictionId id, ReplicaId peer, v1::EventHub::Stub& stub) {
    v1::SubscribeRequest request;
    request.set_prediction_id(id.str());
    if (const std::optional<LiveState> live = hub_.state(id)) {
      request.set_after_attempt(live->attempt);
      request.set_after_seq(live->last_seq);
    }
    const std::weak_ptr<Streams*> weak = self_;
    return PeerStream::open(
        executor_, stub, options_.replica.str(), std::move(request),
        [weak, id](const v1::EventBatch& batch) {
          if (const auto self = weak.lock()) (*self)->on_batch(id, batch);
        },
        [weak, id, peer](const Status& status) {
          if (const auto self = weak.lock()) (*self)->on_end(id, peer, status);
        });
  }

  void on_batch(PredictionId id, const v1::EventBatch& batch) {
    if (!wanted_.contains(id)) return;
    for (const v1::Event& wire : batch.events()) {
      HubEvent event;
      event.attempt = wire.id().attempt();
      event.seq = wire.seq();
      event.kind = kind_from_wire(wire.kind()).value_or(EventKind::kMetric);
      event.data = wire.data();
      event.at = clock_.now();
      event.from_peer = true;
      hub_.publish(id, std::move(event));
    }
  }

  void on_end(PredictionId id, ReplicaId peer, const Status& status) {
    if (const auto it = wanted_.find(id); it != wanted_.end()) it->second[peer].reset();
    if (status.ok()) watch_.check_soon(id);  // The peer saw the end.
  }

  const asio::any_io_executor executor_;
  BlockingPool& pool_;
  store::FleetStore& fleet_;
  EventHub& hub_;
  ResultWatch& watch_;
  const Clock& clock_;
  const PeerStreamsOptions options_;
  std::map<ReplicaId, std::unique_ptr<v1::EventHub::Stub>> stubs_;
  std::unordered_map<PredictionId, PredictionStreams> wanted_;  // Read by clients of ours.
  bool is_stopped_ = false;
  std::shared_ptr<Streams*> self_;  // Callbacks hold a weak one.
  TaskGroup tasks_;                 // Last: its tasks use everything above.
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
