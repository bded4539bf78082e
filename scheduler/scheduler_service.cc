#include "scheduler/scheduler_service.h"

#include <boost/asio/post.hpp>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/async/task_group.h"
#include "common/rpc/link.h"
#include "common/telemetry/log.h"
#include "proto/scheduler.grpc.pb.h"
#include "scheduler/wire.h"

namespace mimeo::scheduler {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

using ControlLink = rpc::ServerLink<v1::ControlPlaneFrame, v1::SchedulerLinkFrame>;

constexpr milliseconds kStopLimit{3000};

// One control plane.
struct Peer {
  std::shared_ptr<ControlLink> link;  // Null before registration with the service and after close.
  bool is_closed = false;
  std::string hub_addr;
  HubHint hub = 0;
};

// Remaining time on the wire: 0 = none.
std::optional<milliseconds> deadline_from(std::uint32_t ms) {
  return ms == 0 ? std::nullopt : std::optional(milliseconds{ms});
}

Priority priority_from(std::uint32_t number) {
  return number > 2 ? Priority::kDefault : static_cast<Priority>(number);
}

class Service final : public SchedulerService, private v1::SchedulerLink::CallbackService {
 public:
  Service(asio::any_io_executor executor, SchedulerParts& parts, Leadership& leadership,
          HubDirectory& hubs)
      : executor_(executor),
        parts_(parts),
        leadership_(leadership),
        hubs_(hubs),
        granted_(parts.metrics.counter("mimeo_scheduler_reserves_total", "Answers to reserves.",
                                       {{"answer", "granted"}})),
        refused_(parts.metrics.counter("mimeo_scheduler_reserves_total", "Answers to reserves.",
                                       {{"answer", "queue"}})),
        links_(parts.metrics.gauge("mimeo_scheduler_control_plane_links",
                                   "Control planes connected to this process.")),
        self_(std::make_shared<Service*>(this)),
        tasks_(executor) {}

  grpc::Service* service() override { return this; }

  void cells_changed() override {
    for (const auto& peer : peers_) welcome(*peer);
  }

  asio::awaitable<void> stop() override {
    is_stopping_ = true;
    for (const auto& peer : std::set<std::shared_ptr<Peer>>(peers_)) {
      if (peer->link) peer->link->close_with(absl::UnavailableError("the scheduler stops"));
    }
    tasks_.cancel();
    const Status status = co_await tasks_.wait(kStopLimit);
    if (!status.ok()) log::warn("stopping control plane links: {}", status.ToString());
  }

 private:
  grpc::ServerBidiReactor<v1::ControlPlaneFrame, v1::SchedulerLinkFrame>* Link(
      grpc::CallbackServerContext* /*context*/) override {
    auto peer = std::make_shared<Peer>();
    const std::weak_ptr<Service*> weak = self_;
    rpc::LinkOptions<v1::ControlPlaneFrame, v1::SchedulerLinkFrame> options;
    options.executor = executor_;
    options.on_frame = [weak, peer](v1::ControlPlaneFrame frame) {
      if (const auto self = weak.lock()) (*self)->on_frame(peer, frame);
    };
    options.on_closed = [weak, peer](const Status& status) {
      peer->is_closed = true;
      peer->link.reset();
      if (const auto self = weak.lock()) (*self)->on_closed(peer, status);
    };
    const std::shared_ptr<ControlLink> link = ControlLink::start(std::move(options));
    asio::post(executor_, [weak, peer, link] {
      const auto self = weak.lock();
      if (self == nullptr || (*self)->is_stopping_) {
        link->close();
      } else if (!peer->is_closed) {
        (*self)->on_open(peer, link);
      }
    });
    return link.get();
  }

  void on_open(const std::shared_ptr<Peer>& peer, std::shared_ptr<ControlLink> link) {
    peer->link = std::move(link);
    peers_.insert(peer);
    links_.Set(static_cast<double>(peers_.size()));
    welcome(*peer);
  }

  void on_closed(const std::shared_ptr<Peer>& peer, const Status& status) {
    peers_.erase(peer);
    links_.Set(static_cast<double>(peers_.size()));
    if (!peer->hub_addr.empty()) hubs_.unlinked(peer->hub_addr);
    log::info("control plane hub={} closed its link: {}", peer->hub_addr, status.ToString());
  }

  void welcome(Peer& peer) {
    if (!peer.link) return;
    v1::SchedulerLinkMessage message;
    v1::LinkWelcome& welcome = *message.mutable_welcome();
    for (const auto& host : leadership_.live()) {
      welcome.add_cells(static_cast<std::uint32_t>(host->fence().cell));
    }
    peer.link->send(std::move(message));
  }

  void on_frame(const std::shared_ptr<Peer>& peer, v1::ControlPlaneFrame& frame) {
    std::set<std::shared_ptr<CellHost>> touched;
    for (v1::ControlPlaneMessage& message : *frame.mutable_messages()) {
      if (auto host = handle(*peer, message)) touched.insert(std::move(host));
    }
    for (const auto& host : touched) host->settle();
  }

  // The cell's host that has to settle, if any.
  std::shared_ptr<CellHost> handle(Peer& peer, v1::ControlPlaneMessage& message) {
    switch (message.body_case()) {
      case v1::ControlPlaneMessage::kHello:
        on_hello(peer, message.hello());
        return nullptr;
      case v1::ControlPlaneMessage::kReserve:
        return on_reserve(peer, message.reserve());
      case v1::ControlPlaneMessage::kGranted:
        return on_granted(peer, *message.mutable_granted());
      case v1::ControlPlaneMessage::kGrantDropped:
        for (const auto& host : leadership_.live()) {
          if (Cell* cell = host->live_cell()) cell->drop_grant(message.grant_dropped().grant_id());
          host->settle();
        }
        return nullptr;
      case v1::ControlPlaneMessage::kQueued:
        return on_queued(peer, message.queued());
      case v1::ControlPlaneMessage::kCancel:
        return on_cancel(message.cancel());
      case v1::ControlPlaneMessage::kTarget:
        on_target(peer, message.target());
        return nullptr;
      case v1::ControlPlaneMessage::BODY_NOT_SET:
        return nullptr;
    }
    return nullptr;
  }

  void on_hello(Peer& peer, const v1::LinkHello& hello) {
    if (!peer.hub_addr.empty()) hubs_.unlinked(peer.hub_addr);
    peer.hub_addr = hello.hub_addr();
    peer.hub = peer.hub_addr.empty() ? 0 : hubs_.hint(peer.hub_addr);
    if (!peer.hub_addr.empty()) hubs_.linked(peer.hub_addr);
    log::info("control plane replica={} hub={} linked", hello.replica_id(), hello.hub_addr());
  }

  std::shared_ptr<CellHost> on_reserve(Peer& peer, const v1::Reserve& reserve) {
    v1::SchedulerLinkMessage message;
    v1::ReserveReply& reply = *message.mutable_reserved();
    reply.set_request_id(reserve.request_id());
    const std::shared_ptr<CellHost> host = leadership_.find_by_target(reserve.target_id());
    if (Cell* cell = host ? host->live_cell() : nullptr) {
      const ReserveAnswer answer = cell->reserve(reserve.target_id(), reserve.account_id());
      if (answer.is_granted) fill(reply, *host, answer);
    } else {
      introduce(reserve.target_id());  // The next one may be lucky.
    }
    (reply.granted() ? granted_ : refused_).Increment();
    if (peer.link) peer.link->send(std::move(message));
    return host;
  }

  static void fill(v1::ReserveReply& reply, const CellHost& host, const ReserveAnswer& answer) {
    reply.set_granted(true);
    reply.set_grant_id(answer.grant);
    reply.set_cell_id(static_cast<std::uint32_t>(host.fence().cell));
    reply.set_epoch(host.fence().epoch);
    reply.set_instance_id(answer.instance.str());
    reply.set_worker_id(answer.worker.str());
    reply.set_incarnation(answer.incarnation);
    reply.set_version_id(answer.version.raw());
    reply.set_release(static_cast<std::uint32_t>(answer.release));
    reply.set_hold_ms(wire_ms(answer.hold));
  }

  std::shared_ptr<CellHost> on_granted(const Peer& peer, v1::Granted& granted) {
    const Result<PredictionId> id = Uuid::parse(granted.prediction_id());
    std::shared_ptr<CellHost> host = leadership_.find_by_target(granted.target_id());
    Cell* cell = host ? host->live_cell() : nullptr;
    if (!id.ok() || cell == nullptr) return nullptr;  // The new owner's scan finds the row.
    GrantedPrediction prediction;
    prediction.grant = granted.grant_id();
    prediction.id = *id;
    prediction.input = std::move(*granted.mutable_input());
    prediction.run_limit = milliseconds{granted.run_limit_ms()};
    prediction.deadline_in = deadline_from(granted.deadline_ms());
    prediction.progress = milliseconds{granted.progress_ms()};
    prediction.hub = peer.hub;
    cell->granted(std::move(prediction));
    return host;
  }

  std::shared_ptr<CellHost> on_queued(const Peer& peer, const v1::Queued& queued) {
    const Result<PredictionId> id = Uuid::parse(queued.prediction_id());
    if (!id.ok()) return nullptr;
    QueuedPrediction prediction;
    prediction.id = *id;
    prediction.target = queued.target_id();
    prediction.account = queued.account_id();
    prediction.priority = priority_from(queued.priority());
    prediction.run_limit = milliseconds{queued.run_limit_ms()};
    prediction.deadline_in = deadline_from(queued.deadline_ms());
    prediction.hub = peer.hub;
    std::shared_ptr<CellHost> host = leadership_.find_by_target(queued.target_id());
    if (Cell* cell = host ? host->live_cell() : nullptr) {
      cell->queued(prediction);
      return host;
    }
    introduce(queued.target_id(), prediction);
    return nullptr;
  }

  std::shared_ptr<CellHost> on_cancel(const v1::CancelPoke& cancel) {
    const Result<PredictionId> id = Uuid::parse(cancel.prediction_id());
    std::shared_ptr<CellHost> host = leadership_.find_by_target(cancel.target_id());
    Cell* cell = host ? host->live_cell() : nullptr;
    if (!id.ok() || cell == nullptr) return nullptr;
    cell->cancel(*id, cancel.was_queued() ? CancelCase::kWasQueued : CancelCase::kRequested);
    return host;
  }

  void on_target(Peer& peer, const v1::TargetPoke& poke) {
    const std::shared_ptr<CellHost> host = leadership_.find_by_target(poke.target_id());
    if (host == nullptr) {
      introduce(poke.target_id());
      return;
    }
    if (!poke.want_snapshot()) {
      tasks_.spawn("read a changed target", host->refresh_target(poke.target_id()));
      return;
    }
    Cell* cell = host->live_cell();
    if (cell == nullptr || !peer.link) return;
    const TargetCounts counts = cell->counts(poke.target_id());
    v1::SchedulerLinkMessage message;
    v1::TargetSnapshot& snapshot = *message.mutable_target();
    snapshot.set_target_id(poke.target_id());
    snapshot.set_queued(counts.queued);
    snapshot.set_running(counts.running);
    snapshot.set_instances_ready(counts.instances_ready);
    snapshot.set_instances_starting(counts.instances_starting);
    snapshot.set_unmet_reason(counts.unmet_reason);
    peer.link->send(std::move(message));
  }

  // --- Targets made since the last look ---------------------------------------------------------

  void introduce(TargetId target, std::optional<QueuedPrediction> waiting = std::nullopt) {
    if (leadership_.live().empty()) return;  // Whoever takes the cell finds everything.
    const auto [it, is_new] = newcomers_.try_emplace(target);
    if (waiting) it->second.push_back(*waiting);
    if (is_new) tasks_.spawn("read a new target", introduce_now(target));
  }

  asio::awaitable<void> introduce_now(TargetId target) {
    auto read = [&store = parts_.catalog, target] { return store.get_runnable_target(target); };
    const Result<store::RunnableTarget> found = co_await parts_.pool.run(std::move(read));
    const std::vector<QueuedPrediction> waiting = std::move(newcomers_[target]);
    newcomers_.erase(target);
    if (!found.ok() || found->releases.empty()) co_return;
    const std::shared_ptr<CellHost> host = leadership_.find(found->target.cell);
    Cell* cell = host ? host->live_cell() : nullptr;
    if (cell == nullptr) co_return;  // Not ours: its owner's scan finds the rows.
    if (!cell->knows_target(target)) cell->put_target(to_config(*found));
    for (const QueuedPrediction& prediction : waiting) cell->queued(prediction);
    host->settle();
  }

  const asio::any_io_executor executor_;
  SchedulerParts& parts_;
  Leadership& leadership_;
  HubDirectory& hubs_;
  prometheus::Counter& granted_;
  prometheus::Counter& refused_;
  prometheus::Gauge& links_;
  std::set<std::shared_ptr<Peer>> peers_;  // Open ones.
  // Targets being read and what waits for them.
  std::unordered_map<TargetId, std::vector<QueuedPrediction>> newcomers_;
  bool is_stopping_ = false;
  std::shared_ptr<Service*> self_;  // Links may end after us.
  TaskGroup tasks_;                 // Last: its tasks use everything above.
};

}  // namespace

std::unique_ptr<SchedulerService> make_scheduler_service(asio::any_io_executor executor,
                                                         SchedulerParts& parts,
                                                         Leadership& leadership,
                                                         HubDirectory& hubs) {
  return std::make_unique<Service>(std::move(executor), parts, leadership, hubs);
}

}  // namespace mimeo::scheduler
