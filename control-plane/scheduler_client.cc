#include "control-plane/scheduler_client.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/rpc/link.h"
#include "common/rpc/server.h"
#include "common/telemetry/log.h"
#include "proto/scheduler.grpc.pb.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using Frame = v1::SchedulerLinkFrame;
using OutFrame = v1::ControlPlaneFrame;
using Sender = rpc::LinkSender<OutFrame>;

constexpr milliseconds kRedialAfter{100};
constexpr milliseconds kStopLimit{2000};

std::uint32_t wire_ms(milliseconds duration) {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(0, duration.count()));
}

// One scheduler that is, or was a moment ago, in the table of replicas.
struct Peer {
  std::string addr;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::SchedulerLink::Stub> stub;
  std::shared_ptr<Sender> sender;  // Null while not connected.
  std::uint64_t link = 0;          // Number of the current connection.
  std::set<CellId> cells;          // What it said it owns.
  SteadyTime redial_at;
  bool is_listed = true;
  bool is_welcomed = false;
};

// A call of reserve() or snapshot() that waits for its answer.
template <class Answer>
struct Question {
  explicit Question(const asio::any_io_executor& executor) : timer(executor) {}
  asio::steady_timer timer;  // Cancelled when the answer is there.
  std::uint64_t link = 0;
  std::optional<Answer> answer;

  asio::awaitable<void> wait(milliseconds limit) {
    timer.expires_after(limit);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
};

std::optional<HeldSlot> slot_of(const v1::ReserveReply& reply, std::uint64_t link) {
  const Result<InstanceId> instance = Uuid::parse(reply.instance_id());
  const Result<WorkerId> worker = Uuid::parse(reply.worker_id());
  const Result<VersionId> version = VersionId::from_bytes(reply.version_id());
  if (!instance.ok() || !worker.ok() || !version.ok()) return std::nullopt;
  HeldSlot slot;
  slot.link = link;
  slot.grant_id = reply.grant_id();
  slot.hold = milliseconds(reply.hold_ms());
  slot.grant.fence.cell = static_cast<CellId>(reply.cell_id());
  slot.grant.fence.epoch = reply.epoch();
  slot.grant.instance = *instance;
  slot.grant.worker = *worker;
  slot.grant.incarnation = reply.incarnation();
  slot.grant.version = *version;
  slot.grant.release = static_cast<std::int32_t>(reply.release());
  return slot;
}

class Client final : public LinkedSchedulerClient {
 public:
  Client(asio::any_io_executor executor, BlockingPool& pool, store::FleetStore& fleet,
         const Clock& clock, Metrics& metrics, SchedulerClientOptions options)
      : executor_(executor),
        pool_(pool),
        fleet_(fleet),
        clock_(clock),
        options_(std::move(options)),
        links_(metrics.gauge("mimeo_control_plane_scheduler_links",
                             "Schedulers that this process is connected to.")),
        late_(metrics.counter("mimeo_control_plane_late_grants_total",
                              "Slots that came after nobody waited any more.")),
        look_again_(executor),
        tasks_(executor) {}

  void start() override { tasks_.spawn("scheduler links", run()); }

  asio::awaitable<void> stop() override {
    is_stopping_ = true;
    tasks_.cancel();
    for (const auto& [addr, peer] : peers_) {
      if (peer->sender) peer->sender->close();
    }
    const Status status = co_await tasks_.wait(kStopLimit);
    if (!status.ok()) log::warn("stopping scheduler links: {}", status.ToString());
    peers_.clear();  // Callbacks of links that still close find nothing and do nothing.
    by_cell_.clear();
  }

  bool owns(CellId cell) const override { return by_cell_.contains(cell); }

  asio::awaitable<std::optional<HeldSlot>> reserve(ReserveRequest request,
                                                   milliseconds limit) override {
    Sender* sender = sender_of_cell(request.cell);
    if (sender == nullptr) co_return std::nullopt;
    const std::uint64_t number = ++last_request_;
    Question<HeldSlot> question(executor_);
    question.link = by_cell_.at(request.cell)->link;
    v1::ControlPlaneMessage message;
    v1::Reserve& reserve = *message.mutable_reserve();
    reserve.set_request_id(number);
    reserve.set_target_id(request.target);
    reserve.set_account_id(request.account);
    reserve.set_run_limit_ms(wire_ms(request.run_limit));
    if (!sender->send(std::move(message))) co_return std::nullopt;
    reserves_.emplace(number, &question);
    co_await question.wait(limit);
    reserves_.erase(number);
    co_return question.answer;
  }

  void granted(const HeldSlot& slot, const Dispatch& dispatch, std::string input) override {
    v1::ControlPlaneMessage message;
    v1::Granted& granted = *message.mutable_granted();
    granted.set_grant_id(slot.grant_id);
    granted.set_prediction_id(dispatch.id.str());
    granted.set_target_id(dispatch.target);
    granted.set_account_id(dispatch.account);
    granted.set_input(std::move(input));
    granted.set_run_limit_ms(wire_ms(dispatch.run_limit));
    granted.set_deadline_ms(wire_ms(dispatch.deadline_left));
    granted.set_progress_ms(wire_ms(dispatch.progress));
    send_to_link(slot, std::move(message));
  }

  void dropped(const HeldSlot& slot) override {
    v1::ControlPlaneMessage message;
    message.mutable_grant_dropped()->set_grant_id(slot.grant_id);
    send_to_link(slot, std::move(message));
  }

  void queued(const Dispatch& dispatch) override {
    Sender* sender = sender_of_cell(dispatch.cell);
    if (sender == nullptr) return;  // Whoever takes the cell finds the row.
    v1::ControlPlaneMessage message;
    v1::Queued& queued = *message.mutable_queued();
    queued.set_prediction_id(dispatch.id.str());
    queued.set_target_id(dispatch.target);
    queued.set_account_id(dispatch.account);
    queued.set_priority(static_cast<std::uint32_t>(dispatch.priority));
    queued.set_run_limit_ms(wire_ms(dispatch.run_limit));
    queued.set_deadline_ms(wire_ms(dispatch.deadline_left));
    sender->send(std::move(message));
  }

  void canceled(PredictionId id, TargetId target, ActiveStates states_before) override {
    v1::ControlPlaneMessage message;
    v1::CancelPoke& cancel = *message.mutable_cancel();
    cancel.set_prediction_id(id.str());
    cancel.set_target_id(target);
    cancel.set_was_queued(states_before.bits == kOnlyQueued.bits);
    send_to_all(message);
  }

  void target_changed(TargetId target) override {
    v1::ControlPlaneMessage message;
    message.mutable_target()->set_target_id(target);
    send_to_all(message);
  }

  asio::awaitable<std::optional<TargetSnapshot>> snapshot(TargetId target,
                                                          milliseconds limit) override {
    v1::ControlPlaneMessage message;
    message.mutable_target()->set_target_id(target);
    message.mutable_target()->set_want_snapshot(true);
    if (send_to_all(message) == 0) co_return std::nullopt;
    Question<TargetSnapshot> question(executor_);
    const auto entry = snapshots_.emplace(target, &question);
    co_await question.wait(limit);
    snapshots_.erase(entry);
    co_return question.answer;
  }

 private:
  asio::awaitable<void> run() {
    SteadyTime refresh_at = clock_.steady();
    while (true) {
      if (clock_.steady() >= refresh_at) {
        co_await refresh();
        refresh_at = clock_.steady() + options_.refresh_every;
      }
      SteadyTime next = refresh_at;
      for (auto it = peers_.begin(); it != peers_.end();) {
        const std::shared_ptr<Peer> peer = it->second;
        if (!peer->is_listed && !peer->sender) {
          it = peers_.erase(it);
          continue;
        }
        ++it;
        if (peer->sender) continue;
        if (peer->redial_at <= clock_.steady()) {
          dial(peer);
        } else {
          next = std::min(next, peer->redial_at);
        }
      }
      const auto pause = std::chrono::ceil<milliseconds>(next - clock_.steady());
      look_again_.reset();
      const bool is_asked = co_await look_again_.wait_for(std::max(pause, milliseconds(1)));
      if (!is_asked && clock_.steady() < next) co_return;  // Cancelled.
    }
  }

  asio::awaitable<void> refresh() {
    auto read = [this] { return fleet_.list_replicas(store::ReplicaRole::kScheduler); };
    const Result<std::vector<store::Replica>> replicas = co_await pool_.run(std::move(read));
    if (!replicas.ok()) {
      log::debug("reading the schedulers: {}", replicas.status().ToString());
      co_return;
    }
    for (const auto& [addr, peer] : peers_) peer->is_listed = false;
    for (const store::Replica& replica : *replicas) {
      std::shared_ptr<Peer>& peer = peers_[replica.addr];
      if (!peer) {
        peer = std::make_shared<Peer>();
        peer->addr = replica.addr;
        peer->channel = rpc::make_channel(replica.addr);
        peer->stub = v1::SchedulerLink::NewStub(peer->channel);
      }
      peer->is_listed = true;
    }
    // A connected scheduler that is not listed stays until its stream breaks: it may only have been
    // late with its heartbeat.
  }

  void dial(const std::shared_ptr<Peer>& peer) {
    peer->link = ++last_link_;
    const std::weak_ptr<Peer> weak = peer;
    const std::uint64_t link = peer->link;
    rpc::LinkOptions<Frame, OutFrame> link_options;
    link_options.executor = executor_;
    link_options.on_frame = [this, weak, link](Frame frame) {
      const std::shared_ptr<Peer> alive = weak.lock();
      if (alive && alive->link == link) on_frame(alive, frame);
    };
    link_options.on_closed = [this, weak, link](Status status) {
      const std::shared_ptr<Peer> alive = weak.lock();
      if (alive && alive->link == link) on_closed(alive, status);
    };
    v1::SchedulerLink::Stub* stub = peer->stub.get();
    peer->sender = rpc::ClientLink<Frame, OutFrame>::start(
        std::move(link_options),
        [stub](auto* context, auto* reactor) { stub->async()->Link(context, reactor); });
    v1::ControlPlaneMessage hello;
    hello.mutable_hello()->set_replica_id(options_.replica.str());
    hello.mutable_hello()->set_hub_addr(options_.hub_addr);
    peer->sender->send(std::move(hello));
  }

  void on_frame(const std::shared_ptr<Peer>& peer, const Frame& frame) {
    for (const v1::SchedulerLinkMessage& message : frame.messages()) {
      switch (message.body_case()) {
        case v1::SchedulerLinkMessage::kWelcome:
          on_welcome(peer, message.welcome());
          break;
        case v1::SchedulerLinkMessage::kReserved:
          on_reserved(*peer, message.reserved());
          break;
        case v1::SchedulerLinkMessage::kTarget:
          on_snapshot(message.target());
          break;
        case v1::SchedulerLinkMessage::BODY_NOT_SET:
          break;
      }
    }
  }

  void on_welcome(const std::shared_ptr<Peer>& peer, const v1::LinkWelcome& welcome) {
    forget_cells(*peer);
    for (const std::uint32_t cell : welcome.cells()) {
      peer->cells.insert(static_cast<CellId>(cell));
      by_cell_[static_cast<CellId>(cell)] = peer;  // The newest claim; epochs fence a stale one.
    }
    if (!peer->is_welcomed) {
      peer->is_welcomed = true;
      links_.Increment();
      log::info("scheduler connected addr={} cells={}", peer->addr, peer->cells.size());
    }
  }

  void on_reserved(Peer& peer, const v1::ReserveReply& reply) {
    const auto it = reserves_.find(reply.request_id());
    const bool is_waited_for = it != reserves_.end() && it->second->link == peer.link;
    std::optional<HeldSlot> slot;
    if (reply.granted()) slot = slot_of(reply, peer.link);
    if (!is_waited_for) {
      if (!slot) return;
      late_.Increment();
      dropped(*slot);
      return;
    }
    it->second->answer = std::move(slot);
    it->second->timer.cancel();
  }

  void on_snapshot(const v1::TargetSnapshot& target) {
    TargetSnapshot snapshot;
    snapshot.queued = target.queued();
    snapshot.running = target.running();
    snapshot.instances_ready = target.instances_ready();
    snapshot.instances_starting = target.instances_starting();
    snapshot.unmet_reason = target.unmet_reason();
    const auto [begin, end] = snapshots_.equal_range(target.target_id());
    for (auto it = begin; it != end; ++it) {
      it->second->answer = snapshot;
      it->second->timer.cancel();
    }
  }

  void on_closed(const std::shared_ptr<Peer>& peer, const Status& status) {
    if (peer->is_welcomed) {
      links_.Decrement();
      if (!is_stopping_)
        log::warn("scheduler disconnected addr={}: {}", peer->addr, status.ToString());
    }
    peer->is_welcomed = false;
    peer->sender.reset();
    forget_cells(*peer);
    for (const auto& [number, question] : reserves_) {
      if (question->link == peer->link) question->timer.cancel();
    }
    peer->redial_at = clock_.steady() + kRedialAfter;
    look_again_.set();
  }

  void forget_cells(Peer& peer) {
    for (const CellId cell : peer.cells) {
      const auto it = by_cell_.find(cell);
      if (it != by_cell_.end() && it->second.get() == &peer) by_cell_.erase(it);
    }
    peer.cells.clear();
  }

  Sender* sender_of_cell(CellId cell) {
    const auto it = by_cell_.find(cell);
    return it == by_cell_.end() ? nullptr : it->second->sender.get();
  }

  // A slot is known only to the connection that it came from.
  void send_to_link(const HeldSlot& slot, v1::ControlPlaneMessage message) {
    for (const auto& [addr, peer] : peers_) {
      if (peer->link == slot.link && peer->sender) {
        peer->sender->send(std::move(message));
        return;
      }
    }
  }

  std::size_t send_to_all(const v1::ControlPlaneMessage& message) {
    std::size_t sent = 0;
    for (const auto& [addr, peer] : peers_) {
      v1::ControlPlaneMessage copy = message;
      if (peer->is_welcomed && peer->sender && peer->sender->send(std::move(copy))) ++sent;
    }
    return sent;
  }

  const asio::any_io_executor executor_;
  BlockingPool& pool_;
  store::FleetStore& fleet_;
  const Clock& clock_;
  const SchedulerClientOptions options_;
  prometheus::Gauge& links_;
  prometheus::Counter& late_;
  std::map<std::string, std::shared_ptr<Peer>> peers_;  // By address; callbacks hold weak ones.
  std::map<CellId, std::shared_ptr<Peer>> by_cell_;
  std::unordered_map<std::uint64_t, Question<HeldSlot>*> reserves_;  // Owned by their coroutines.
  std::unordered_multimap<TargetId, Question<TargetSnapshot>*> snapshots_;
  std::uint64_t last_request_ = 0;
  std::uint64_t last_link_ = 0;
  bool is_stopping_ = false;
  SignalEvent look_again_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace

std::unique_ptr<LinkedSchedulerClient> make_scheduler_client(asio::any_io_executor executor,
                                                             BlockingPool& pool,
                                                             store::FleetStore& fleet,
                                                             const Clock& clock, Metrics& metrics,
                                                             SchedulerClientOptions options) {
  return std::make_unique<Client>(std::move(executor), pool, fleet, clock, metrics,
                                  std::move(options));
}

}  // namespace mimeo::control
