#include "worker/hub_client.h"

#include <algorithm>
#include <utility>

#include "common/rpc/link.h"
#include "common/telemetry/log.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;
using PublishLink = rpc::ClientLink<v1::HubFrame, v1::PublishFrame>;

constexpr char kTokenKey[] = "mimeo-worker-token";

std::chrono::milliseconds since(SteadyTime then, SteadyTime now) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then);
}

}  // namespace

// One control plane.
struct HubClient::Connection {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::EventHub::Stub> stub;
  std::shared_ptr<PublishLink> link;  // Null while there is no stream.
  std::uint64_t generation = 0;       // Of `link`: callbacks of older ones are ignored.
  int failures = 0;
  bool is_waiting = false;  // For its next try.
};

// One attempt's way to a control plane.
struct HubClient::Route {
  AttemptKey key;
  HubRoute wish;
  Connection* connection = nullptr;
  std::vector<v1::Event> pending;
  std::uint64_t next_seq = 1;     // Of the next event to accept.
  std::uint64_t highest_seq = 0;  // Ever accepted, on any stream.
  bool is_replaying = false;      // Only events up to highest_seq until the first one came.
  bool is_live = false;           // Somebody reads.
  bool has_sent_events = false;   // On this stream.
  std::unique_ptr<v1::Complete> result;
  SteadyTime finished_at;
  SteadyTime sent_at;  // Of the result.
};

HubClient::HubClient(boost::asio::any_io_executor executor, const Clock& clock, Random& random,
                     HubOptions options, HubCallbacks callbacks)
    : executor_(executor),
      clock_(clock),
      random_(random),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      tasks_(executor) {
  tasks_.spawn("result answers", watch_answers());
}

HubClient::~HubClient() {
  for (auto& [address, connection] : connections_) {
    if (connection->link) connection->link->close();
  }
}

void HubClient::set_members(std::vector<std::string> addresses) {
  if (addresses == members_) return;
  members_ = std::move(addresses);
  for (auto& [key, route] : routes_) {
    if (route->connection == nullptr) attach(*route);
  }
  // Streams to control planes that left and that nobody needs.
  for (auto& [address, connection] : connections_) {
    const bool is_member = std::find(members_.begin(), members_.end(), address) != members_.end();
    const bool is_used = std::any_of(routes_.begin(), routes_.end(), [&](const auto& entry) {
      return entry.second->connection == connection.get();
    });
    if (!is_member && !is_used && connection->link) connection->link->close();
  }
}

std::vector<std::string> HubClient::candidates(const Route& route) const {
  std::vector<std::string> out = route.wish.hubs;
  for (const auto& member : members_) {
    if (std::find(out.begin(), out.end(), member) == out.end()) out.push_back(member);
  }
  return out;
}

std::vector<std::string> HubClient::addresses() const { return members_; }

std::vector<std::string> HubClient::addresses_for(AttemptKey key) const {
  const auto it = routes_.find(key);
  if (it == routes_.end()) return members_;
  std::vector<std::string> out = candidates(*it->second);
  if (it->second->connection != nullptr) {
    const auto used = std::find(out.begin(), out.end(), it->second->connection->address);
    if (used != out.end()) std::rotate(out.begin(), used, used + 1);
  }
  return out;
}

std::size_t HubClient::waiting_results() const {
  return static_cast<std::size_t>(
      std::count_if(routes_.begin(), routes_.end(),
                    [](const auto& entry) { return entry.second->result != nullptr; }));
}

HubClient::Route* HubClient::find(const v1::AttemptId& id) {
  const auto key = AttemptKey::parse(id);
  if (!key.ok()) return nullptr;
  const auto it = routes_.find(*key);
  return it == routes_.end() ? nullptr : it->second.get();
}

void HubClient::open(AttemptKey key, HubRoute route) {
  auto& entry = routes_[key];
  if (entry) return;
  entry = std::make_unique<Route>();
  entry->key = key;
  entry->wish = std::move(route);
  attach(*entry);
}

void HubClient::close(AttemptKey key) {
  routes_.erase(key);
  waiting_flush_.erase(key);
}

HubClient::Connection& HubClient::connection_to(const std::string& address) {
  auto& entry = connections_[address];
  if (!entry) {
    entry = std::make_unique<Connection>();
    entry->address = address;
    entry->channel = rpc::make_channel(address, options_.tls);
    entry->stub = v1::EventHub::NewStub(entry->channel);
  }
  return *entry;
}

// Picks the best control plane that is not known to be down; if all are, the one whose turn it is.
void HubClient::attach(Route& route) {
  const std::vector<std::string> all = candidates(route);
  if (all.empty()) {
    route.connection = nullptr;
    return;
  }
  Connection* chosen = nullptr;
  for (const auto& address : all) {
    Connection& candidate = connection_to(address);
    if (candidate.is_waiting) continue;
    chosen = &candidate;
    break;
  }
  if (chosen == nullptr) {
    const std::string previous = route.connection == nullptr ? "" : route.connection->address;
    auto it = std::find(all.begin(), all.end(), previous);
    if (it != all.end()) ++it;
    chosen = &connection_to(it == all.end() ? all.front() : *it);
  }
  route.connection = chosen;
  if (chosen->link == nullptr && !chosen->is_waiting) {
    connect(*chosen);  // Brings everything that is attached up to date, this route too.
  } else if (chosen->link != nullptr) {
    resynchronize(route);
  }
}

void HubClient::connect(Connection& connection) {
  if (is_stopping_) return;
  const std::uint64_t generation = ++connection.generation;
  const std::string address = connection.address;
  rpc::LinkOptions<v1::HubFrame, v1::PublishFrame> link;
  link.executor = executor_;
  const std::weak_ptr<int> alive = alive_;
  link.on_frame = [this, alive, address, generation](v1::HubFrame frame) {
    if (!alive.expired()) on_frame(address, generation, std::move(frame));
  };
  link.on_closed = [this, alive, address, generation](Status reason) {
    if (!alive.expired()) on_closed(address, generation, std::move(reason));
  };
  auto* stub = connection.stub.get();
  connection.link = PublishLink::start(
      std::move(link),
      [stub](auto* context, auto* reactor) { stub->async()->Publish(context, reactor); },
      [this](grpc::ClientContext& context) { context.AddMetadata(kTokenKey, options_.token); });
  v1::PublishMessage hello;
  hello.mutable_hello()->set_worker_id(options_.worker_id);
  hello.mutable_hello()->set_incarnation(incarnation_);
  hello.mutable_hello()->set_token(options_.token);
  connection.link->send(std::move(hello));
  for (auto& [key, route] : routes_) {
    if (route->connection == &connection) resynchronize(*route);
  }
}

// After a change of stream: what this one must be told of the attempt.
void HubClient::resynchronize(Route& route) {
  route.has_sent_events = false;
  route.is_live = false;
  if (route.result) {
    send_result(route);
    return;
  }
  if (route.highest_seq == 0) return;  // Nothing was ever published.
  route.pending.clear();
  waiting_flush_.erase(route.key);
  route.next_seq = 1;
  route.is_replaying = true;
  callbacks_.on_replay_wanted(route.key, 0);
}

void HubClient::on_closed(const std::string& address, std::uint64_t generation, Status reason) {
  if (is_stopping_) return;
  Connection& connection = *connections_.at(address);
  if (connection.generation != generation) return;
  connection.link.reset();
  connection.is_waiting = true;
  const auto pause = backoff(options_.reconnect, connection.failures++, random_);
  log::info("stream to control plane closed address={} reason=\"{}\" retry_ms={}", address,
            reason.ToString(), pause.count());
  tasks_.spawn("reconnect to control plane", connect_later(address, pause));
  for (auto& [key, route] : routes_) {
    if (route->connection == &connection) attach(*route);
  }
}

awaitable<void> HubClient::connect_later(std::string address, std::chrono::milliseconds pause) {
  const bool is_awake = co_await sleep_for(pause);
  if (!is_awake || is_stopping_) co_return;
  Connection& connection = *connections_.at(address);
  connection.is_waiting = false;
  const bool is_used = std::any_of(routes_.begin(), routes_.end(), [&](const auto& entry) {
    return entry.second->connection == &connection;
  });
  if (is_used && connection.link == nullptr) connect(connection);
}

void HubClient::on_frame(const std::string& address, std::uint64_t generation, v1::HubFrame frame) {
  if (is_stopping_) return;
  Connection& connection = *connections_.at(address);
  if (connection.generation != generation) return;
  connection.failures = 0;
  for (const auto& message : frame.messages()) {
    switch (message.body_case()) {
      case v1::HubMessage::kCompleted:
        on_reply(message.completed());
        break;
      case v1::HubMessage::kFlush:
        on_flush_mode(message.flush());
        break;
      case v1::HubMessage::kAck:
        break;  // A hub's ring is lost with it: the spools keep all events until the result is in.
      case v1::HubMessage::BODY_NOT_SET:
        break;
    }
  }
}

void HubClient::on_reply(const v1::CompleteReply& reply) {
  Route* route = find(reply.id());
  if (route == nullptr || route->result == nullptr) return;
  if (reply.result() == v1::CompleteReply::RESULT_IN_PROGRESS) {
    route->sent_at = clock_.steady();  // No reason to offer it elsewhere.
    return;
  }
  const AttemptKey key = route->key;
  close(key);
  callbacks_.on_completed(key, reply.result());
}

void HubClient::on_flush_mode(const v1::FlushMode& mode) {
  Route* route = find(mode.id());
  if (route == nullptr || route->result != nullptr) return;
  route->is_live = mode.live();
  if (!mode.live()) return;
  flush(*route);
  if (mode.resume_after() + 1 < route->next_seq && !route->is_replaying) {
    route->next_seq = mode.resume_after() + 1;
    route->is_replaying = true;
    callbacks_.on_replay_wanted(route->key, mode.resume_after());
  }
}

void HubClient::publish(v1::Event event) {
  Route* route = find(event.id());
  if (route == nullptr || route->result != nullptr) return;
  const std::uint64_t seq = event.seq();
  if (seq < route->next_seq) return;
  // What comes from the running model while a replay is on its way will be part of the replay.
  if (route->is_replaying && seq > route->highest_seq) return;
  route->is_replaying = false;
  route->next_seq = seq + 1;
  route->highest_seq = std::max(route->highest_seq, seq);
  const bool is_start_for_reader =
      event.kind() == v1::Event::KIND_STARTED && route->wish.progress.count() > 0;
  route->pending.push_back(std::move(event));
  if (route->is_live || is_start_for_reader) {
    flush(*route);
    return;
  }
  waiting_flush_.insert(route->key);
  arm_flush();
}

void HubClient::flush(Route& route) {
  waiting_flush_.erase(route.key);
  if (route.connection == nullptr || route.connection->link == nullptr) {
    route.pending.clear();  // Replayed once there is a stream.
    return;
  }
  for (auto& event : route.pending) {
    v1::PublishMessage message;
    message.mutable_event()->Swap(&event);
    route.connection->link->send(std::move(message));
    route.has_sent_events = true;
  }
  route.pending.clear();
}

void HubClient::complete(v1::Complete result, SteadyTime finished_at) {
  Route* route = find(result.id());
  if (route == nullptr || route->result != nullptr) return;
  // Nobody was told that it started: nobody needs to be told so now. Everything else goes ahead of
  // the result, for those who read the stream.
  const bool is_only_start = !route->has_sent_events && route->pending.size() == 1 &&
                             route->pending.front().kind() == v1::Event::KIND_STARTED;
  if (is_only_start) route->pending.clear();
  flush(*route);
  route->result = std::make_unique<v1::Complete>(std::move(result));
  route->finished_at = finished_at;
  send_result(*route);
}

void HubClient::send_result(Route& route) {
  route.sent_at = clock_.steady();
  if (route.connection == nullptr || route.connection->link == nullptr) return;
  v1::PublishMessage message;
  *message.mutable_complete() = *route.result;
  message.mutable_complete()->set_since_end_ms(
      static_cast<std::uint32_t>(since(route.finished_at, route.sent_at).count()));
  route.connection->link->send(std::move(message));
}

void HubClient::arm_flush() {
  if (is_flush_armed_ || is_stopping_) return;
  is_flush_armed_ = true;
  tasks_.spawn("flush events", flush_later());
}

awaitable<void> HubClient::flush_later() {
  auto pause = options_.coalesce;
  for (const auto& key : waiting_flush_) {
    const auto progress = routes_.at(key)->wish.progress;
    if (progress.count() > 0) pause = std::min(pause, progress);
  }
  const bool is_awake = co_await sleep_for(pause);
  is_flush_armed_ = false;
  if (!is_awake) co_return;
  const std::set<AttemptKey> waiting = std::exchange(waiting_flush_, {});
  for (const auto& key : waiting) {
    if (const auto it = routes_.find(key); it != routes_.end()) flush(*it->second);
  }
}

// A control plane that took a result and says nothing may have lost it: it goes to the next one.
awaitable<void> HubClient::watch_answers() {
  const auto pause = std::max(options_.answer_limit / 4, std::chrono::milliseconds{10});
  while (co_await sleep_for(pause)) {
    const SteadyTime now = clock_.steady();
    for (auto& [key, route] : routes_) {
      if (!route->result || since(route->sent_at, now) < options_.answer_limit) continue;
      const std::vector<std::string> all = candidates(*route);
      const std::string used = route->connection == nullptr ? "" : route->connection->address;
      auto it = std::find(all.begin(), all.end(), used);
      if (it != all.end()) ++it;
      if (it == all.end()) it = all.begin();
      route->sent_at = now;
      if (it == all.end()) continue;
      route->connection = &connection_to(*it);
      if (route->connection->link != nullptr) {
        send_result(*route);
      } else if (!route->connection->is_waiting) {
        connect(*route->connection);
      }
    }
  }
}

awaitable<void> HubClient::stop() {
  is_stopping_ = true;
  for (auto& [address, connection] : connections_) {
    if (connection->link) connection->link->close();
  }
  tasks_.cancel();
  const Status ended = co_await tasks_.wait(std::chrono::seconds{2});
  if (!ended.ok()) log::warn("streams to control planes: {}", ended.ToString());
}

}  // namespace mimeo::worker
