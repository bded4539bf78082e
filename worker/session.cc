#include "worker/session.h"

#include <algorithm>
#include <utility>

#include "common/rpc/link.h"
#include "common/telemetry/log.h"
#include "proto/worker_session.grpc.pb.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;
using SessionLink = rpc::ClientLink<v1::SchedulerFrame, v1::WorkerFrame>;

// Heartbeats without any answer until the stream is given up. The scheduler counts us as lost
// after 10 s, so that there is time for another try.
constexpr int kSilentHeartbeats = 4;

Result<v1::LocateReply> ask_owner(const std::string& address, const rpc::TlsFiles& tls,
                                  const v1::LocateRequest& request,
                                  std::chrono::milliseconds limit) {
  const auto channel = rpc::make_channel(address, tls);
  const auto stub = v1::WorkerSession::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                    gpr_time_from_millis(limit.count(), GPR_TIMESPAN)));
  v1::LocateReply reply;
  const Status status = rpc::from_grpc(stub->Locate(&context, request, &reply));
  if (!status.ok()) return with_context(status, "asking " + address + " for the owner of the cell");
  return reply;
}

}  // namespace

struct Session::Stream {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::WorkerSession::Stub> stub;
  std::shared_ptr<SessionLink> link;
};

Session::Session(boost::asio::any_io_executor executor, BlockingPool& pool, const Clock& clock,
                 Random& random, StateDir& state, SessionOptions options, SessionUser& user)
    : executor_(executor),
      pool_(pool),
      clock_(clock),
      random_(random),
      state_(state),
      options_(std::move(options)),
      user_(user),
      stream_ended_(executor),
      heartbeat_(options_.heartbeat),
      tasks_(executor) {
  lease_.set_length(options_.lease);
}

Session::~Session() {
  alive_.reset();
  close_stream();
}

void Session::start() { tasks_.spawn("session with the scheduler", run()); }

bool Session::has_lease() const { return lease_.is_fresh(clock_.steady()); }

void Session::send(v1::WorkerMessage message) {
  if (stream_) stream_->link->send(std::move(message));
}

awaitable<void> Session::stop() {
  is_stopping_ = true;
  close_stream();
  tasks_.cancel();
  const Status ended = co_await tasks_.wait(options_.locate_limit + std::chrono::seconds{1});
  if (!ended.ok()) log::warn("session: {}", ended.ToString());
}

awaitable<void> Session::run() {
  while (!is_stopping_) {
    std::string address = std::exchange(redirected_to_, {});
    if (address.empty()) {
      auto owner = co_await locate();
      if (owner.ok()) {
        address = owner->scheduler_addr();
        cell_ = owner->cell_id();
      } else if (failures_ == 0) {
        log::warn("no scheduler: {}", owner.status().ToString());
      }
    }
    if (!address.empty() && !is_stopping_) co_await serve(address);
    if (!redirected_to_.empty() && failures_ == 0) {
      ++failures_;  // Redirects in a circle must not spin.
      continue;
    }
    const bool is_awake = co_await sleep_for(backoff(options_.reconnect, failures_++, random_));
    if (!is_awake) co_return;
  }
}

awaitable<Result<v1::LocateReply>> Session::locate() {
  v1::LocateRequest request;
  request.set_worker_id(state_.worker().str());
  request.set_token(options_.token);
  Status status = absl::UnavailableError("no scheduler is configured");
  std::vector<std::string> addresses = options_.schedulers;
  // A different one each time: the first may be the one that hangs.
  for (std::size_t i = addresses.size(); i > 1; --i) {
    std::swap(addresses[i - 1], addresses[random_.below(i)]);
  }
  for (const auto& address : addresses) {
    auto ask = [address, tls = options_.tls, request, limit = options_.locate_limit] {
      return ask_owner(address, tls, request, limit);
    };
    auto reply = co_await pool_.run(std::move(ask));
    if (reply.ok()) co_return reply;
    status = reply.status();
  }
  co_return status;
}

void Session::open_stream(const std::string& address) {
  const std::uint64_t generation = ++generation_;
  stream_ = std::make_unique<Stream>();
  stream_->channel = rpc::make_channel(address, options_.tls);
  stream_->stub = v1::WorkerSession::NewStub(stream_->channel);
  const std::weak_ptr<int> alive = alive_;
  rpc::LinkOptions<v1::SchedulerFrame, v1::WorkerFrame> link;
  link.executor = executor_;
  link.on_frame = [this, alive, generation](v1::SchedulerFrame frame) {
    if (!alive.expired()) on_frame(generation, std::move(frame));
  };
  link.on_closed = [this, alive, generation](const Status& reason) {
    if (!alive.expired()) on_closed(generation, reason);
  };
  auto* stub = stream_->stub.get();
  stream_->link = SessionLink::start(std::move(link), [stub](auto* context, auto* reactor) {
    stub->async()->Session(context, reactor);
  });
  v1::WorkerMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_worker_id(state_.worker().str());
  hello.set_token(options_.token);
  hello.set_incarnation(state_.incarnation());
  hello.set_max_epoch_seen(state_.epoch(cell_));
  hello.set_protocol(kSessionProtocol);
  user_.fill_hello(hello);
  stream_->link->send(std::move(message));
}

void Session::close_stream() {
  is_welcome_ = false;
  if (!stream_) return;
  ++generation_;
  stream_->link->close();
  stream_.reset();
  stream_ended_.set();
}

awaitable<void> Session::serve(std::string address) {
  stream_ended_.reset();
  heard_at_ = clock_.steady();
  open_stream(address);
  while (stream_) {
    const bool has_ended = co_await stream_ended_.wait_for(heartbeat_);
    if (has_ended || !stream_ || is_stopping_) break;
    if (clock_.steady() - heard_at_ > heartbeat_ * kSilentHeartbeats) {
      log::warn("scheduler is silent address={}", address);
      break;
    }
    beat();
  }
  close_stream();
}

void Session::beat() {
  if (!is_welcome_) return;  // Nobody there yet who would count.
  v1::WorkerMessage message;
  v1::Heartbeat& heartbeat = *message.mutable_heartbeat();
  heartbeat.set_sequence(++heartbeat_sequence_);
  user_.fill_heartbeat(heartbeat);
  send(std::move(message));
}

void Session::on_closed(std::uint64_t generation, const Status& reason) {
  if (generation != generation_ || !stream_) return;
  log::warn("session with the scheduler ended reason=\"{}\"", reason.ToString());
  close_stream();
}

void Session::on_frame(std::uint64_t generation, v1::SchedulerFrame frame) {
  if (generation != generation_ || !stream_) return;
  heard_at_ = clock_.steady();
  // Before the epoch is looked at: whoever redirects owns nothing and has none, and the cell of a
  // Welcome decides which epoch counts.
  for (const auto& message : frame.messages()) {
    if (message.has_redirect()) return on_scheduler_message(message);
    if (message.has_welcome()) cell_ = message.welcome().cell_id();
  }
  if (!accept_epoch(frame.epoch())) return;
  for (auto& message : *frame.mutable_messages()) {
    if (generation != generation_) return;  // The message before ended this stream.
    on_scheduler_message(std::move(message));
  }
}

bool Session::accept_epoch(std::uint64_t epoch) {
  const std::uint64_t highest = state_.epoch(cell_);
  if (epoch < highest) {
    log::warn("ignored a scheduler of an old epoch cell={} epoch={} newest={}", cell_, epoch,
              highest);
    close_stream();
    return false;
  }
  if (epoch == highest) return true;
  // On disk before anything of this epoch is obeyed: a restarted daemon must not go back.
  const Status saved = state_.set_epoch(cell_, epoch);
  if (!saved.ok()) {
    log::error("cannot remember the epoch: {}", saved.ToString());
    close_stream();
    return false;
  }
  return true;
}

void Session::on_welcome(const v1::Welcome& welcome) {
  if (welcome.heartbeat_ms() > 0) heartbeat_ = std::chrono::milliseconds{welcome.heartbeat_ms()};
  if (welcome.lease_ms() > 0) lease_.set_length(std::chrono::milliseconds{welcome.lease_ms()});
  lease_.renew(clock_.steady());
  is_welcome_ = true;
  failures_ = 0;
  log::info("welcomed by the scheduler cell={}", welcome.cell_id());
  beat();
}

void Session::on_scheduler_message(v1::SchedulerMessage message) {
  switch (message.body_case()) {
    case v1::SchedulerMessage::kLease:
      lease_.renew(clock_.steady());
      return;
    case v1::SchedulerMessage::kRedirect:
      redirected_to_ = message.redirect().scheduler_addr();
      close_stream();
      return;
    case v1::SchedulerMessage::kNewIncarnation: {
      const Status saved = state_.set_incarnation(message.new_incarnation().incarnation());
      if (!saved.ok()) {
        log::error("cannot remember the incarnation: {}", saved.ToString());
        close_stream();
        return;
      }
      break;
    }
    case v1::SchedulerMessage::kWelcome:
      on_welcome(message.welcome());
      break;
    default:
      break;
  }
  user_.on_message(std::move(message));
}

}  // namespace mimeo::worker
