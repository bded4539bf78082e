#include "control-plane/hub/hub_service.h"

#include <set>
#include <utility>

#include "common/async/task_group.h"
#include "common/rpc/streams.h"
#include "common/rpc/unary.h"
#include "common/telemetry/log.h"
#include "control-plane/hub/event_wire.h"
#include "control-plane/hub/file_calls.h"
#include "control-plane/hub/publish_session.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kReadLimit{1000};  // How soon an idle reader that left is noticed.
constexpr milliseconds kStopLimit{2000};

class Service final : public HubService, private v1::EventHub::CallbackService {
 public:
  Service(asio::any_io_executor executor, HubServiceParts parts, HubServiceOptions options)
      : parts_(std::move(parts)),
        options_(std::move(options)),
        tokens_(parts_.fleet, parts_.clock),
        files_(parts_, options_, tokens_),
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
  static std::string token_of(const grpc::CallbackServerContext& context) {
    return rpc::metadata_of(context, "mimeo-worker-token");
  }

  grpc::ServerBidiReactor<v1::PublishFrame, v1::HubFrame>* Publish(
      grpc::CallbackServerContext* context) override {
    return sessions_.accept(token_of(*context));
  }
  grpc::ServerWriteReactor<v1::EventBatch>* Subscribe(
      grpc::CallbackServerContext* context, const v1::SubscribeRequest* request) override {
    return rpc::serve_writes<v1::EventBatch>(
        context, &tasks_, *request,
        [this, context, replica = rpc::metadata_of(*context, "mimeo-replica")](
            v1::SubscribeRequest wanted, rpc::ServerWriter<v1::EventBatch>* out) {
          return send_events(replica, std::move(wanted), out, context);
        });
  }
  grpc::ServerWriteReactor<v1::Chunk>* FetchInput(grpc::CallbackServerContext* context,
                                                  const v1::FetchInputRequest* request) override {
    return rpc::serve_writes<v1::Chunk>(
        context, &tasks_, *request,
        [this, token = token_of(*context)](v1::FetchInputRequest wanted,
                                           rpc::ServerWriter<v1::Chunk>* out) {
          return files_.fetch_input(token, std::move(wanted), out);
        });
  }
  grpc::ServerReadReactor<v1::Chunk>* StoreOutput(grpc::CallbackServerContext* context,
                                                  v1::StoredOutput* reply) override {
    return rpc::serve_reads<v1::Chunk>(
        context, &tasks_, reply,
        [this, token = token_of(*context)](rpc::ServerReader<v1::Chunk>* in) {
          return files_.store_output(token, in);
        });
  }
  grpc::ServerUnaryReactor* PullToken(grpc::CallbackServerContext* context,
                                      const v1::PullTokenRequest* request,
                                      v1::PullTokenReply* reply) override {
    return rpc::serve_unary<v1::PullTokenReply>(
        context, &tasks_, *request, reply,
        [this, token = token_of(*context)](v1::PullTokenRequest wanted) {
          return files_.pull_token(token, std::move(wanted));
        });
  }

  // For another control plane, until the prediction's end or until that one has enough. `context`
  // lives as long as the call.
  asio::awaitable<Status> send_events(std::string replica, v1::SubscribeRequest request,
                                      rpc::ServerWriter<v1::EventBatch>* out,
                                      grpc::CallbackServerContext* context) {
    MIMEO_CO_RETURN_IF_ERROR(co_await check_peer(std::move(replica)));
    const Result<PredictionId> id = Uuid::parse(request.prediction_id());
    if (!id.ok()) co_return id.status();
    const std::unique_ptr<EventHub::Subscription> subscription =
        parts_.hub.subscribe(*id, request.after_attempt(), request.after_seq(), Reader::kPeer);
    while (!context->IsCancelled()) {
      const std::optional<std::vector<HubEvent>> events = co_await subscription->next(kReadLimit);
      if (!events) co_return absl::NotFoundError("the events are gone");
      v1::EventBatch batch;
      bool is_done = false;
      for (const HubEvent& event : *events) {
        if (event.kind == EventKind::kDone) {
          is_done = true;
        } else {
          *batch.add_events() = to_wire(*id, event);
        }
      }
      if (batch.events_size() > 0) MIMEO_CO_RETURN_IF_ERROR(co_await out->write(std::move(batch)));
      if (is_done) co_return absl::OkStatus();
    }
    co_return absl::CancelledError("the reader is gone");
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

  HubServiceParts parts_;
  const HubServiceOptions options_;
  WorkerTokens tokens_;
  FileCalls files_;
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
