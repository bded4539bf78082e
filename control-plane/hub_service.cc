#include "control-plane/hub_service.h"

#include <boost/asio/post.hpp>
#include <set>
#include <utility>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/rpc/link.h"
#include "common/telemetry/log.h"
#include "control-plane/event_wire.h"
#include "control-plane/file_calls.h"
#include "control-plane/publish_session.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kReadLimit{1000};  // How soon a cancelled Subscribe is noticed.
constexpr milliseconds kStopLimit{2000};

// Another control plane reads one prediction's events. Everything but the reactions on the HTTP
// thread; lives until gRPC is done with it and the coroutine that serves it ended.
class SubscribeCall final : public grpc::ServerWriteReactor<v1::EventBatch> {
 public:
  explicit SubscribeCall(const asio::any_io_executor& executor)
      : executor_(executor), written_(executor) {}

  void hold(std::shared_ptr<SubscribeCall> self) { self_ = std::move(self); }

  // Suspends until the batch is on its way. False: the reader is gone.
  asio::awaitable<bool> write(v1::EventBatch batch) {
    if (is_gone_) co_return false;
    batch_ = std::move(batch);
    written_.reset();
    StartWrite(&batch_);
    co_await written_.wait();
    co_return !is_gone_;
  }
  void finish(const Status& status) {
    if (!std::exchange(is_finished_, true)) Finish(rpc::to_grpc(status));
  }
  [[nodiscard]] bool is_gone() const { return is_gone_; }

  void OnWriteDone(bool ok) override {
    asio::post(executor_, [self = self_, ok] {
      if (!ok) self->is_gone_ = true;
      self->written_.set();
    });
  }
  void OnCancel() override {
    asio::post(executor_, [self = self_] {
      self->is_gone_ = true;
      self->written_.set();
    });
  }
  void OnDone() override {
    asio::post(executor_, [self = std::move(self_)] {});  // The last reference may go there.
  }

 private:
  const asio::any_io_executor executor_;
  std::shared_ptr<SubscribeCall> self_;  // Until OnDone.
  v1::EventBatch batch_;                 // Owned by gRPC while a write is under way.
  SignalEvent written_;
  bool is_gone_ = false;
  bool is_finished_ = false;
};

// Finishes a call however its coroutine ends.
class FinishGuard {
 public:
  explicit FinishGuard(SubscribeCall& call) : call_(call) {}
  FinishGuard(const FinishGuard&) = delete;
  FinishGuard& operator=(const FinishGuard&) = delete;
  ~FinishGuard() { call_.finish(absl::CancelledError("going away")); }

 private:
  SubscribeCall& call_;
};

class Service final : public HubService, private v1::EventHub::CallbackService {
 public:
  Service(asio::any_io_executor executor, HubServiceParts parts, HubServiceOptions options)
      : executor_(executor),
        parts_(std::move(parts)),
        options_(std::move(options)),
        tokens_(parts_.fleet, parts_.clock),
        sessions_(executor, parts_, tokens_),
        tasks_(executor) {
    parts_.hub.on_output_delivered(
        [&committer = parts_.committer](PredictionId id) { committer.output_delivered(id); });
  }

  grpc::Service* service() override { return this; }
  void drain() override { sessions_.drain(); }
  asio::awaitable<void> stop() override {
    co_await sessions_.stop();
    tasks_.cancel();
    const Status status = co_await tasks_.wait(kStopLimit);
    if (!status.ok()) log::warn("stopping the event hub's calls: {}", status.ToString());
  }

 private:
  grpc::ServerBidiReactor<v1::PublishFrame, v1::HubFrame>* Publish(
      grpc::CallbackServerContext* context) override {
    return sessions_.accept(worker_token_of(*context));
  }

  grpc::ServerWriteReactor<v1::EventBatch>* Subscribe(
      grpc::CallbackServerContext* context, const v1::SubscribeRequest* request) override {
    auto call = std::make_shared<SubscribeCall>(executor_);
    call->hold(call);
    const auto& metadata = context->client_metadata();
    const auto it = metadata.find("mimeo-replica");
    std::string replica;
    if (it != metadata.end()) replica.assign(it->second.data(), it->second.size());
    asio::post(executor_, [this, call, replica = std::move(replica), copy = *request]() mutable {
      tasks_.spawn("events for another control plane",
                   serve(std::move(call), std::move(replica), std::move(copy)));
    });
    return call.get();
  }

  grpc::ServerWriteReactor<v1::Chunk>* FetchInput(grpc::CallbackServerContext* context,
                                                  const v1::FetchInputRequest* request) override {
    return fetch_input(files_, *context, *request);
  }
  grpc::ServerReadReactor<v1::Chunk>* StoreOutput(grpc::CallbackServerContext* context,
                                                  v1::StoredOutput* reply) override {
    return store_output(files_, *context, reply);
  }
  grpc::ServerUnaryReactor* PullToken(grpc::CallbackServerContext* context,
                                      const v1::PullTokenRequest* request,
                                      v1::PullTokenReply* reply) override {
    return pull_token(files_, *context, *request, reply);
  }

  asio::awaitable<void> serve(std::shared_ptr<SubscribeCall> call, std::string replica,
                              v1::SubscribeRequest request) {
    const FinishGuard guard(*call);
    const Status allowed = co_await check_peer(std::move(replica));
    const Result<PredictionId> id = Uuid::parse(request.prediction_id());
    if (!allowed.ok() || !id.ok()) {
      call->finish(allowed.ok() ? id.status() : allowed);
      co_return;
    }
    const std::unique_ptr<EventHub::Subscription> subscription =
        parts_.hub.subscribe(*id, request.after_attempt(), request.after_seq(), Reader::kPeer);
    while (!call->is_gone()) {
      const std::optional<std::vector<HubEvent>> events = co_await subscription->next(kReadLimit);
      if (!events) {
        call->finish(absl::NotFoundError("the events are gone"));
        co_return;
      }
      v1::EventBatch batch;
      bool is_done = false;
      for (const HubEvent& event : *events) {
        if (event.kind == EventKind::kDone) {
          is_done = true;
        } else {
          *batch.add_events() = to_wire(*id, event);
        }
      }
      if (batch.events_size() > 0) {
        const bool is_read = co_await call->write(std::move(batch));
        if (!is_read) break;
      }
      if (is_done) {
        call->finish(absl::OkStatus());
        co_return;
      }
    }
    call->finish(absl::CancelledError("the reader is gone"));
  }

  // Only another control plane knows the id of one that is alive.
  asio::awaitable<Status> check_peer(std::string replica) {
    const Result<ReplicaId> id = Uuid::parse(replica);
    if (!id.ok()) co_return absl::UnauthenticatedError("only for control planes");
    if (known_peers_.contains(*id)) co_return absl::OkStatus();
    auto read = [this] { return parts_.fleet.list_replicas(store::ReplicaRole::kControlPlane); };
    const Result<std::vector<store::Replica>> replicas = co_await parts_.pool.run(std::move(read));
    if (!replicas.ok()) co_return replicas.status();
    known_peers_.clear();
    for (const store::Replica& one : *replicas) known_peers_.insert(one.id);
    if (known_peers_.contains(*id)) co_return absl::OkStatus();
    co_return absl::UnauthenticatedError("only for control planes");
  }

  const asio::any_io_executor executor_;
  HubServiceParts parts_;
  const HubServiceOptions options_;
  WorkerTokens tokens_;
  const FileCallContext files_{parts_, options_, tokens_};
  std::set<ReplicaId> known_peers_;
  PublishSessions sessions_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace

std::unique_ptr<HubService> make_hub_service(asio::any_io_executor executor, HubServiceParts parts,
                                             HubServiceOptions options) {
  return std::make_unique<Service>(std::move(executor), std::move(parts), std::move(options));
}

}  // namespace mimeo::control
