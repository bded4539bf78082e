#include "scheduler/session_service.h"

#include <atomic>
#include <boost/asio/post.hpp>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "common/async/task_group.h"
#include "common/crypto/crypto.h"
#include "common/rpc/link.h"
#include "common/rpc/unary.h"
#include "common/telemetry/log.h"
#include "proto/worker_session.grpc.pb.h"
#include "scheduler/wire.h"

namespace mimeo::scheduler {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

using SessionLink = rpc::ServerLink<v1::WorkerFrame, v1::SchedulerFrame>;

constexpr std::uint32_t kProtocol = 1;
constexpr std::size_t kMaxEarlyMessages = 10'000;
constexpr milliseconds kStopLimit{3000};

// One stream. Frames are stamped with the epoch on gRPC's threads, everything else happens on the
// executor.
struct Stream final : WorkerStream, std::enable_shared_from_this<Stream> {
  enum class Stage : std::uint8_t {
    kFresh,     // No Hello yet.
    kChecking,  // Token and registration are being looked at; messages wait in `early`.
    kServed,    // Belongs to a cell.
    kClosed,
  };

  void send(v1::SchedulerMessage message) override {
    if (link) link->send(std::move(message));
  }
  void close(const Status& reason) override {
    if (link) link->close_with(reason);
  }

  Stage stage = Stage::kFresh;
  std::shared_ptr<SessionLink> link;  // Null before registration with the service and after close.
  std::weak_ptr<CellHost> host;       // While kServed.
  WorkerId worker;
  std::deque<v1::WorkerMessage> early;
  std::shared_ptr<std::atomic<std::uint64_t>> epoch =
      std::make_shared<std::atomic<std::uint64_t>>(0);
};

class Service final : public SessionService, private v1::WorkerSession::CallbackService {
 public:
  Service(asio::any_io_executor executor, SchedulerParts& parts, Leadership& leadership,
          HubDirectory& hubs, SessionServiceOptions options)
      : executor_(executor),
        parts_(parts),
        leadership_(leadership),
        hubs_(hubs),
        options_(options),
        hellos_(
            parts.metrics.counter("mimeo_scheduler_hellos_total", "Sessions begun by workers.")),
        refused_(parts.metrics.counter("mimeo_scheduler_refused_sessions_total",
                                       "Sessions refused: bad token, or not our cell.")),
        self_(std::make_shared<Service*>(this)),
        tasks_(executor) {}

  grpc::Service* service() override { return this; }

  void hubs_changed() override {
    v1::SchedulerMessage message;
    for (const std::string& addr : hubs_.live()) message.mutable_hubs()->add_hub_addrs(addr);
    for (const auto& host : leadership_.live()) host->send_to_all(message);
  }

  asio::awaitable<void> stop() override {
    is_stopping_ = true;
    for (const auto& session : std::set<std::shared_ptr<Stream>>(sessions_)) {
      session->close(absl::UnavailableError("the scheduler stops"));
    }
    tasks_.cancel();
    const Status status = co_await tasks_.wait(kStopLimit);
    if (!status.ok()) log::warn("stopping sessions: {}", status.ToString());
  }

 private:
  // --- gRPC's side ------------------------------------------------------------------------------

  grpc::ServerUnaryReactor* Locate(grpc::CallbackServerContext* context,
                                   const v1::LocateRequest* request,
                                   v1::LocateReply* reply) override {
    return rpc::serve_unary<v1::LocateReply>(
        context, &tasks_, *request, reply,
        [this](v1::LocateRequest r) { return locate(std::move(r)); });
  }

  grpc::ServerBidiReactor<v1::WorkerFrame, v1::SchedulerFrame>* Session(
      grpc::CallbackServerContext* /*context*/) override {
    auto session = std::make_shared<Stream>();
    const std::weak_ptr<Service*> weak = self_;
    rpc::LinkOptions<v1::WorkerFrame, v1::SchedulerFrame> options;
    options.executor = executor_;
    options.on_frame = [weak, session](v1::WorkerFrame frame) {
      if (const auto self = weak.lock()) (*self)->on_frame(session, std::move(frame));
    };
    options.on_closed = [weak, session](const Status& status) {
      session->link.reset();
      if (const auto self = weak.lock()) (*self)->on_closed(session, status);
      session->stage = Stream::Stage::kClosed;
    };
    options.stamp = [epoch = session->epoch](v1::SchedulerFrame& frame) {
      frame.set_epoch(epoch->load());
    };
    const std::shared_ptr<SessionLink> link = SessionLink::start(std::move(options));
    // Frames may already have been posted before this: they wait in `early`.
    asio::post(executor_, [weak, session, link] {
      const auto self = weak.lock();
      if (self == nullptr || (*self)->is_stopping_) {
        link->close();
      } else if (session->stage != Stream::Stage::kClosed) {
        session->link = link;
        (*self)->sessions_.insert(session);
        (*self)->begin_check(session);
      }
    });
    return link.get();
  }

  // --- Who calls --------------------------------------------------------------------------------

  asio::awaitable<Result<v1::LocateReply>> locate(v1::LocateRequest request) {
    const Result<store::CellLease> owner = co_await owner_of(request.token());
    if (!owner.ok()) co_return owner.status();
    v1::LocateReply reply;
    reply.set_cell_id(static_cast<std::uint32_t>(owner->cell));
    reply.set_scheduler_addr(owner->owner_addr);
    co_return reply;
  }

  // The owner of the cell that the token joins; kUnauthenticated, or kUnavailable while there is
  // none.
  asio::awaitable<Result<store::CellLease>> owner_of(std::string token) {
    auto read = [&store = parts_.fleet, token = std::move(token)]() -> Result<store::CellLease> {
      MIMEO_ASSIGN_OR_RETURN(const CellId cell, store.check_worker_token(crypto::sha256(token)));
      MIMEO_ASSIGN_OR_RETURN(const std::vector<store::CellLease> cells, store.list_cells());
      for (const store::CellLease& lease : cells) {
        if (lease.cell == cell && lease.is_held) return lease;
      }
      store::CellLease nobody;
      nobody.cell = cell;
      return nobody;
    };
    Result<store::CellLease> lease = co_await parts_.pool.run(std::move(read));
    if (!lease.ok()) co_return lease.status();
    if (leadership_.find(lease->cell) != nullptr) {
      lease->owner_addr = leadership_.advertise();
    } else if (lease->owner_addr.empty() || lease->owner == leadership_.replica()) {
      co_return absl::UnavailableError("nobody owns the cell now");
    }
    co_return std::move(*lease);
  }

  // --- Sessions ---------------------------------------------------------------------------------

  void on_frame(const std::shared_ptr<Stream>& session, v1::WorkerFrame frame) {
    if (session->stage == Stream::Stage::kServed) {
      serve(session, frame);
      return;
    }
    if (session->early.size() >= kMaxEarlyMessages) {
      session->close(absl::ResourceExhaustedError("too many messages before the welcome"));
      return;
    }
    for (v1::WorkerMessage& message : *frame.mutable_messages()) {
      session->early.push_back(std::move(message));
    }
    begin_check(session);
  }

  void begin_check(const std::shared_ptr<Stream>& session) {
    if (session->stage != Stream::Stage::kFresh || !session->link || session->early.empty()) {
      return;
    }
    if (!session->early.front().has_hello()) {
      session->close(absl::InvalidArgumentError("the first message must be Hello"));
      return;
    }
    session->stage = Stream::Stage::kChecking;
    v1::Hello hello = std::move(*session->early.front().mutable_hello());
    session->early.pop_front();
    hellos_.Increment();
    tasks_.spawn("register a worker", check(session, std::move(hello)));
  }

  asio::awaitable<void> check(std::shared_ptr<Stream> session, v1::Hello hello) {
    const Result<WorkerId> id = Uuid::parse(hello.worker_id());
    if (!id.ok() || id->is_nil()) {
      refuse(*session, absl::InvalidArgumentError("worker_id is no id"));
      co_return;
    }
    Result<store::CellLease> owner = co_await owner_of(hello.token());
    if (!owner.ok()) {
      refuse(*session, owner.status());
      co_return;
    }
    std::shared_ptr<CellHost> host = leadership_.find(owner->cell);
    if (host == nullptr) {
      redirect(*session, owner->owner_addr);
      co_return;
    }
    if (hello.max_epoch_seen() > host->fence().epoch) {
      refuse(*session, absl::UnavailableError("the worker has seen a newer owner of the cell"));
      co_return;
    }
    store::WorkerRow row;
    row.id = *id;
    row.cell = owner->cell;
    row.incarnation = hello.incarnation();
    row.hostname = hello.inventory().hostname();
    row.inventory = inventory_json(hello.inventory());
    auto write = [&store = parts_.fleet, row] { return store.register_worker(row); };
    const Result<std::uint64_t> incarnation = co_await parts_.pool.run(std::move(write));
    if (!incarnation.ok()) {
      refuse(*session, incarnation.status());
      co_return;
    }
    Cell* cell = host->live_cell();
    if (cell == nullptr) {
      refuse(*session, absl::UnavailableError("the cell has another owner"));
      co_return;
    }
    if (session->link) welcome(session, host, *cell, hello, *id, *incarnation);
  }

  void refuse(Stream& session, const Status& status) {
    refused_.Increment();
    log::warn("refusing a worker: {}", status.ToString());
    session.close(status);
  }

  void redirect(Stream& session, const std::string& addr) {
    refused_.Increment();
    v1::SchedulerMessage message;
    message.mutable_redirect()->set_scheduler_addr(addr);
    session.send(std::move(message));
  }

  void welcome(const std::shared_ptr<Stream>& session, const std::shared_ptr<CellHost>& host,
               Cell& cell, const v1::Hello& hello, WorkerId id, std::uint64_t incarnation) {
    session->stage = Stream::Stage::kServed;
    session->host = host;
    session->worker = id;
    session->epoch->store(host->fence().epoch);
    host->attach(id, session);
    log::info("worker={} host={} incarnation={} instances={} attempts={}", id.str(),
              hello.inventory().hostname(), incarnation, hello.instances_size(),
              hello.attempts_size());
    if (incarnation != hello.incarnation()) {
      v1::SchedulerMessage message;
      message.mutable_new_incarnation()->set_incarnation(incarnation);
      session->send(std::move(message));
    }
    v1::SchedulerMessage message;
    v1::Welcome& welcome = *message.mutable_welcome();
    welcome.set_heartbeat_ms(wire_ms(options_.heartbeat));
    welcome.set_lease_ms(wire_ms(options_.worker_lease));
    for (const std::string& addr : hubs_.live()) welcome.add_hub_addrs(addr);
    welcome.set_cell_id(static_cast<std::uint32_t>(host->fence().cell));
    welcome.set_protocol(kProtocol);
    session->send(std::move(message));
    cell.worker_hello(from_wire(hello, id, incarnation));
    host->settle();

    v1::WorkerFrame early;
    for (v1::WorkerMessage& waiting : std::exchange(session->early, {})) {
      early.add_messages()->Swap(&waiting);
    }
    if (early.messages_size() > 0) serve(session, early);
  }

  void on_closed(const std::shared_ptr<Stream>& session, const Status& status) {
    sessions_.erase(session);
    if (session->stage != Stream::Stage::kServed) return;
    log::info("worker={} closed its session: {}", session->worker.str(), status.ToString());
    if (const auto host = session->host.lock()) host->detach(session->worker, session.get());
  }

  // --- Messages ---------------------------------------------------------------------------------

  void serve(const std::shared_ptr<Stream>& session, v1::WorkerFrame& frame) {
    const std::shared_ptr<CellHost> host = session->host.lock();
    Cell* cell = host ? host->live_cell() : nullptr;
    if (cell == nullptr) return;  // The stream is being closed.
    for (v1::WorkerMessage& message : *frame.mutable_messages()) {
      if (message.has_hello()) {  // It wants to start over on this stream.
        session->stage = Stream::Stage::kFresh;
        session->early.push_back(std::move(message));
      } else if (session->stage == Stream::Stage::kServed) {
        handle(*session, *cell, message);
      } else {
        session->early.push_back(std::move(message));
      }
    }
    host->settle();
    begin_check(session);
  }

  void handle(Stream& session, Cell& cell, const v1::WorkerMessage& message) {
    const WorkerId worker = session.worker;
    switch (message.body_case()) {
      case v1::WorkerMessage::kHeartbeat: {
        cell.heard(worker);
        v1::SchedulerMessage answer;
        answer.mutable_lease()->set_sequence(message.heartbeat().sequence());
        session.send(std::move(answer));
        return;
      }
      case v1::WorkerMessage::kAccepted:
        if (const auto key = from_wire(message.accepted().id())) cell.accepted(worker, *key);
        return;
      case v1::WorkerMessage::kRejected: {
        const v1::AttemptRejected& rejected = message.rejected();
        const auto key = from_wire(rejected.id());
        const Result<InstanceId> instance = Uuid::parse(rejected.instance_id());
        if (!key) return;
        log::info("worker={} rejected prediction={} attempt={} reason={}", worker.str(),
                  key->id.str(), key->attempt, v1::AttemptRejected::Reason_Name(rejected.reason()));
        cell.rejected(worker, *key, instance.ok() ? *instance : InstanceId{},
                      from_wire(rejected.reason()));
        return;
      }
      case v1::WorkerMessage::kStarted:
        if (const auto key = from_wire(message.started().id())) cell.started(worker, *key);
        return;
      case v1::WorkerMessage::kEnded: {
        const v1::AttemptEnded& ended = message.ended();
        const auto key = from_wire(ended.id());
        const Result<InstanceId> instance = Uuid::parse(ended.instance_id());
        if (!key) return;
        cell.ended(worker, {.key = *key,
                            .instance = instance.ok() ? *instance : InstanceId{},
                            .ran = milliseconds{ended.ran_ms()},
                            .is_service_time = ended.outcome() == v1::OUTCOME_SUCCEEDED ||
                                               ended.cause() == v1::FAILURE_CAUSE_MODEL});
        return;
      }
      case v1::WorkerMessage::kInstance:
        if (const auto status = from_wire(message.instance())) {
          cell.instance_changed(worker, *status);
        }
        return;
      case v1::WorkerMessage::kCache:
        images(cell, worker, message.cache());
        return;
      case v1::WorkerMessage::kDrain:
        log::info("worker={} drains", worker.str());
        cell.worker_draining(worker, milliseconds{message.drain().within_ms()});
        return;
      case v1::WorkerMessage::kHello:
      case v1::WorkerMessage::BODY_NOT_SET:
        return;
    }
  }

  static void images(Cell& cell, WorkerId worker, const v1::CacheReport& report) {
    const auto versions = [](const auto& raw) {
      std::vector<VersionId> parsed;
      for (const std::string& bytes : raw) {
        const Result<VersionId> version = VersionId::from_bytes(bytes);
        if (version.ok()) parsed.push_back(*version);
      }
      return parsed;
    };
    cell.images_changed(worker, versions(report.versions_added()),
                        versions(report.versions_removed()));
  }

  const asio::any_io_executor executor_;
  SchedulerParts& parts_;
  Leadership& leadership_;
  HubDirectory& hubs_;
  const SessionServiceOptions options_;
  prometheus::Counter& hellos_;
  prometheus::Counter& refused_;
  std::set<std::shared_ptr<Stream>> sessions_;  // Open ones.
  bool is_stopping_ = false;
  std::shared_ptr<Service*> self_;  // Streams may end after us.
  TaskGroup tasks_;                 // Last: its tasks use everything above.
};

}  // namespace

std::unique_ptr<SessionService> make_session_service(asio::any_io_executor executor,
                                                     SchedulerParts& parts, Leadership& leadership,
                                                     HubDirectory& hubs,
                                                     SessionServiceOptions options) {
  return std::make_unique<Service>(std::move(executor), parts, leadership, hubs, options);
}

}  // namespace mimeo::scheduler
