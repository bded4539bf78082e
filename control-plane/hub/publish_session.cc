#include "control-plane/hub/publish_session.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "common/telemetry/log.h"
#include "control-plane/hub/event_wire.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::size_t kMaxEarlyFrames = 256;
constexpr std::chrono::seconds kReplayPause{1};
constexpr std::uint64_t kEventsPerAck = 256;  // A message of its own wakes the other side.
constexpr milliseconds kStopLimit{2000};

PredictionStatus status_of(v1::Outcome outcome) {
  switch (outcome) {
    case v1::OUTCOME_SUCCEEDED:
      return PredictionStatus::kSucceeded;
    case v1::OUTCOME_CANCELED:
      return PredictionStatus::kCanceled;
    default:
      return PredictionStatus::kFailed;
  }
}

v1::CompleteReply::Result reply_of(store::FinishOutcome outcome) {
  switch (outcome) {
    case store::FinishOutcome::kCommitted:
      return v1::CompleteReply::RESULT_COMMITTED;
    case store::FinishOutcome::kAlreadySame:
      return v1::CompleteReply::RESULT_ALREADY_SAME;
    case store::FinishOutcome::kSuperseded:
      return v1::CompleteReply::RESULT_SUPERSEDED;
    case store::FinishOutcome::kUnknown:
      return v1::CompleteReply::RESULT_UNKNOWN;
  }
  return v1::CompleteReply::RESULT_UNKNOWN;
}

// Times are ours: the worker sends durations only.
store::Finish finish_of(v1::Complete& complete, PredictionId id, WallTime now) {
  store::Finish finish;
  finish.id = id;
  finish.attempt = complete.id().attempt();
  finish.status = status_of(complete.outcome());
  if (finish.status == PredictionStatus::kFailed) {
    finish.error = std::move(*complete.mutable_error());
    if (finish.error.empty()) finish.error = "The prediction failed without a reason.";
  }
  // The id's own time is when it was created; clocks may differ by a little.
  finish.completed_at = std::max(now - milliseconds(complete.since_end_ms()), id.created_at());
  const milliseconds ran(complete.ran_ms());
  if (ran.count() > 0 || finish.status == PredictionStatus::kSucceeded) {
    finish.started_at = std::max(finish.completed_at - ran, id.created_at());
  }
  finish.output = std::move(*complete.mutable_output());
  finish.logs = std::move(*complete.mutable_logs());
  finish.metrics = std::move(*complete.mutable_metrics());
  const Result<InstanceId> instance = Uuid::parse(complete.instance_id());
  if (instance.ok()) finish.instance = *instance;
  finish.billed = ran;
  return finish;
}

}  // namespace

PublishSessions::PublishSessions(asio::any_io_executor executor, HubServiceParts& parts,
                                 WorkerTokens& tokens)
    : executor_(executor),
      parts_(parts),
      tokens_(tokens),
      streams_(parts.metrics.gauge("mimeo_control_plane_publish_streams",
                                   "Workers that publish to this process.")),
      events_(parts.metrics.counter("mimeo_control_plane_events_total",
                                    "Events received from workers.")),
      completes_(parts.metrics.counter("mimeo_control_plane_completes_total",
                                       "Results received from workers.")),
      finish_seconds_(parts.metrics.histogram("mimeo_control_plane_complete_seconds",
                                              "From a worker's result to its commit.")),
      self_(std::make_shared<PublishSessions*>(this)),
      tasks_(executor) {
  parts_.hub.on_interest([this](PredictionId id, Interest interest) { on_interest(id, interest); });
}

grpc::ServerBidiReactor<v1::PublishFrame, v1::HubFrame>* PublishSessions::accept(
    std::string token) {
  auto session = std::make_shared<Session>();
  session->token = std::move(token);
  const std::weak_ptr<PublishSessions*> weak = self_;
  rpc::LinkOptions<v1::PublishFrame, v1::HubFrame> options;
  options.executor = executor_;
  options.on_frame = [weak, session](v1::PublishFrame frame) {
    if (const auto self = weak.lock()) (*self)->on_frame(session, std::move(frame));
  };
  options.on_closed = [weak, session](Status status) {
    session->is_closed = true;
    session->link.reset();
    if (const auto self = weak.lock()) (*self)->on_closed(session, status);
  };
  const std::shared_ptr<PublishLink> link = PublishLink::start(std::move(options));
  // Frames may already have been posted before this: they wait in `early`.
  asio::post(executor_, [weak, session, link] {
    if (const auto self = weak.lock()) {
      (*self)->register_session(session, link);
    } else {
      link->close();
    }
  });
  return link.get();
}

void PublishSessions::register_session(const std::shared_ptr<Session>& session,
                                       std::shared_ptr<PublishLink> link) {
  if (session->is_closed) return;
  session->link = std::move(link);
  if (is_draining_) {
    session->link->close_with(absl::UnavailableError("going away"));
    return;
  }
  sessions_.insert(session);
  streams_.Set(static_cast<double>(sessions_.size()));
  if (!session->early.empty()) begin_check(session);
}

void PublishSessions::begin_check(const std::shared_ptr<Session>& session) {
  if (!session->link || std::exchange(session->is_checking, true)) return;
  tasks_.spawn("check a worker's token", check(session));
}

void PublishSessions::on_frame(const std::shared_ptr<Session>& session, v1::PublishFrame frame) {
  if (session->is_trusted) {
    handle(session, frame);
    return;
  }
  if (session->early.size() >= kMaxEarlyFrames) {
    if (session->link) session->link->close();
    return;
  }
  for (const v1::PublishMessage& message : frame.messages()) {
    if (message.has_hello() && session->token.empty()) session->token = message.hello().token();
  }
  session->early.push_back(std::move(frame));
  begin_check(session);
}

asio::awaitable<void> PublishSessions::check(std::shared_ptr<Session> session) {
  Status status = tokens_.check_known(session->token);
  if (!status.ok()) {
    auto work = [tokens = &tokens_, token = session->token] { return tokens->check(token); };
    status = co_await parts_.pool.run(std::move(work));
  }
  if (!session->link) co_return;
  if (!status.ok()) {
    log::warn("refusing a worker's stream: {}", status.ToString());
    session->link->close_with(status);
    co_return;
  }
  session->is_trusted = true;
  std::vector<v1::PublishFrame> early = std::exchange(session->early, {});
  for (v1::PublishFrame& frame : early) handle(session, frame);
}

void PublishSessions::on_closed(const std::shared_ptr<Session>& session, const Status& status) {
  for (const PredictionId id : session->predictions) {
    const auto it = routes_.find(id);
    if (it != routes_.end() && it->second.session.lock() == session) routes_.erase(it);
  }
  sessions_.erase(session);
  streams_.Set(static_cast<double>(sessions_.size()));
  log::debug("publish stream closed worker={}: {}", session->worker, status.ToString());
}

void PublishSessions::handle(const std::shared_ptr<Session>& session, v1::PublishFrame& frame) {
  for (v1::PublishMessage& message : *frame.mutable_messages()) {
    switch (message.body_case()) {
      case v1::PublishMessage::kHello:
        session->worker = message.hello().worker_id();
        log::info("worker publishes worker={} incarnation={}", session->worker,
                  message.hello().incarnation());
        break;
      case v1::PublishMessage::kEvent:
        on_event(session, *message.mutable_event());
        break;
      case v1::PublishMessage::kComplete:
        on_complete(session, *message.mutable_complete());
        break;
      case v1::PublishMessage::BODY_NOT_SET:
        break;
    }
  }
}

void PublishSessions::on_event(const std::shared_ptr<Session>& session, v1::Event& event) {
  events_.Increment();
  const Result<PredictionId> id = Uuid::parse(event.id().prediction_id());
  if (!id.ok()) return;
  const std::uint64_t seq = event.seq();
  Route& route = routes_[*id];
  const bool is_new = route.session.lock() != session || route.attempt != event.id().attempt();
  if (is_new) {
    route.session = session;
    route.attempt = event.id().attempt();
    route.acked = 0;
    session->predictions.insert(*id);
  }
  HubEvent hub_event;
  hub_event.attempt = event.id().attempt();
  hub_event.seq = seq;
  hub_event.kind = kind_from_wire(event.kind()).value_or(EventKind::kMetric);
  if (kind_from_wire(event.kind())) hub_event.data = std::move(*event.mutable_data());
  hub_event.at = parts_.clock.now();
  if (hub_event.kind == EventKind::kStarted) {
    store::Started started;
    started.id = *id;
    started.attempt = hub_event.attempt;
    started.started_at = std::max(hub_event.at, id->created_at());
    parts_.committer.started(started);
  }
  route.highest = parts_.hub.publish(*id, std::move(hub_event));
  const Interest interest = parts_.hub.interest(*id);
  const bool has_gap = route.highest < seq;
  const SteadyTime now = parts_.clock.steady();
  if (has_gap && now - route.replay_asked_at >= kReplayPause) {
    route.replay_asked_at = now;
    // Workers replay for readers only; what is missing is also missed by whoever polls.
    if (interest == Interest::kNone) {
      send_flush(*session, event.id(), route.highest, Interest::kClients);
    }
    send_flush(*session, event.id(), route.highest, interest);
  } else if (is_new && interest != Interest::kNone) {
    send_flush(*session, event.id(), route.highest, interest);
  }
  if (route.highest >= route.acked + kEventsPerAck && session->link) {
    route.acked = route.highest;
    v1::HubMessage message;
    *message.mutable_ack()->mutable_id() = event.id();
    message.mutable_ack()->set_seq(route.highest);
    session->link->send(std::move(message));
  }
}

void PublishSessions::on_complete(const std::shared_ptr<Session>& session, v1::Complete& complete) {
  completes_.Increment();
  const v1::AttemptId attempt = complete.id();
  const std::weak_ptr<Session> weak = session;
  const auto reply = [weak, attempt](v1::CompleteReply::Result result) {
    const std::shared_ptr<Session> alive = weak.lock();
    if (!alive || !alive->link) return;  // It sends the result again, elsewhere or here.
    v1::HubMessage message;
    *message.mutable_completed()->mutable_id() = attempt;
    message.mutable_completed()->set_result(result);
    alive->link->send(std::move(message));
  };
  const Result<PredictionId> id = Uuid::parse(attempt.prediction_id());
  if (!id.ok()) {
    reply(v1::CompleteReply::RESULT_UNKNOWN);
    return;
  }
  routes_.erase(*id);
  session->predictions.erase(*id);
  const SteadyTime begin = parts_.clock.steady();
  store::Finish finish = finish_of(complete, *id, parts_.clock.now());
  const auto done = [this, weak, reply, begin](Result<store::FinishOutcome> outcome) {
    const std::chrono::duration<double> took = parts_.clock.steady() - begin;
    finish_seconds_.Observe(took.count());
    if (outcome.ok()) {
      reply(reply_of(*outcome));
      return;
    }
    // Unanswered results are sent again on the next stream.
    const std::shared_ptr<Session> alive = weak.lock();
    if (alive && alive->link) alive->link->close_with(absl::UnavailableError("no database"));
  };
  const bool makes_version = complete.is_training() && parts_.trainings != nullptr &&
                             finish.status == PredictionStatus::kSucceeded;
  if (makes_version) {
    parts_.trainings->complete(std::move(finish), done,
                               [reply] { reply(v1::CompleteReply::RESULT_IN_PROGRESS); });
  } else {
    parts_.committer.complete(std::move(finish), done);
  }
}

void PublishSessions::on_interest(PredictionId id, Interest interest) {
  const auto it = routes_.find(id);
  if (it == routes_.end()) return;
  const std::shared_ptr<Session> session = it->second.session.lock();
  if (!session) return;
  v1::AttemptId attempt;
  attempt.set_prediction_id(id.str());
  attempt.set_attempt(it->second.attempt);
  send_flush(*session, attempt, it->second.highest, interest);
}

void PublishSessions::send_flush(Session& session, const v1::AttemptId& id,
                                 std::uint64_t resume_after, Interest interest) {
  if (!session.link) return;
  v1::HubMessage message;
  v1::FlushMode& flush = *message.mutable_flush();
  *flush.mutable_id() = id;
  flush.set_live(interest != Interest::kNone);
  flush.set_resume_after(resume_after);
  session.link->send(std::move(message));
}

void PublishSessions::drain() {
  is_draining_ = true;
  for (const std::shared_ptr<Session>& session : sessions_) {
    if (session->link) session->link->close_with(absl::UnavailableError("going away"));
  }
}

asio::awaitable<void> PublishSessions::stop() {
  drain();
  tasks_.cancel();
  const Status status = co_await tasks_.wait(kStopLimit);
  if (!status.ok()) log::warn("stopping publish streams: {}", status.ToString());
  self_.reset();
  sessions_.clear();
  routes_.clear();
}

}  // namespace mimeo::control
