#include "control-plane/predictions/event_hub.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <list>
#include <unordered_map>
#include <utility>

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kRingOverhead = 512;        // Of an empty ring, roughly.
constexpr std::size_t kEventsPerRead = 256;       // So that one reader's turn stays short.
constexpr std::size_t kBytesPerRead = 256 << 10;  // The same for its size.
constexpr const char* kDroppedLogs = "[earlier log lines are in the final log]\n";

std::size_t cost_of(const HubEvent& event) { return sizeof(HubEvent) + event.data.size(); }

class Hub;
class HubSubscription;

// The events of one prediction's current attempt. Outputs stay; logs and metrics leave at the
// front when there are too many, so the two are kept apart, each in order of seq.
struct Ring {
  std::uint32_t attempt = 0;
  std::uint64_t last_seq = 0;  // All up to it were seen.
  std::optional<WallTime> started_at;
  std::deque<HubEvent> outputs;
  std::deque<HubEvent> others;
  std::size_t others_bytes = 0;
  std::size_t bytes = kRingOverhead;
  bool has_dropped_logs = false;
  bool is_output_delivered = false;
  std::optional<HubEvent> done;
  bool is_gone = false;  // Evicted; readers that still hold it must go to the store.
  std::vector<HubSubscription*> readers;
  std::list<PredictionId>::iterator recency;

  void clear_events() {
    outputs.clear();
    others.clear();
    others_bytes = 0;
    bytes = kRingOverhead;
    has_dropped_logs = false;
    is_output_delivered = false;
    last_seq = 0;
    started_at.reset();
  }
};

struct Position {
  std::uint32_t attempt = 0;
  std::uint64_t seq = 0;
};

class HubSubscription final : public EventHub::Subscription {
 public:
  HubSubscription(Hub& hub, PredictionId id, std::shared_ptr<Ring> ring, Position after,
                  Reader reader, const asio::any_io_executor& executor)
      : hub_(hub), id_(id), ring_(std::move(ring)), at_(after), reader_(reader), timer_(executor) {}
  ~HubSubscription() override;

  asio::awaitable<std::optional<std::vector<HubEvent>>> next(
      std::chrono::milliseconds limit) override {
    const auto deadline = std::chrono::steady_clock::now() + limit;  // Real time: of a timer.
    while (true) {
      if (ring_->is_gone || has_ended_) co_return std::nullopt;
      std::vector<HubEvent> events = collect();
      if (!events.empty()) co_return events;
      if (has_ended_) co_return std::nullopt;
      if (std::chrono::steady_clock::now() >= deadline) {  // Real time: as above.
        co_return std::vector<HubEvent>();
      }
      timer_.expires_at(deadline);
      co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) co_return std::vector<HubEvent>();
    }
  }

  void wake() { timer_.cancel(); }
  [[nodiscard]] Reader reader() const { return reader_; }

 private:
  std::vector<HubEvent> collect();

  Hub& hub_;
  const PredictionId id_;
  const std::shared_ptr<Ring> ring_;
  Position at_;
  const Reader reader_;
  bool has_ended_ = false;    // kDone was delivered.
  asio::steady_timer timer_;  // Cancelled by wake().
};

class Hub final : public EventHub {
 public:
  Hub(asio::any_io_executor executor, const Clock& clock, EventHubLimits limits)
      : executor_(std::move(executor)), clock_(clock), limits_(limits) {}

  std::uint64_t publish(PredictionId id, HubEvent event) override {
    expire();
    const std::uint64_t seq = event.seq;
    if (ended_.contains(id)) return seq;
    Ring& ring = *ring_of(id);
    if (ring.done || event.attempt < ring.attempt) return seq;
    if (event.attempt > ring.attempt) {
      total_bytes_ -= ring.bytes - kRingOverhead;
      ring.clear_events();
      ring.attempt = event.attempt;
    }
    if (seq != ring.last_seq + 1) return ring.last_seq;  // A repeat, or a gap.
    ring.last_seq = seq;
    if (event.kind == EventKind::kStarted && !ring.started_at) ring.started_at = event.at;
    for (const auto& callback : on_event_) callback(id, event);
    store(ring, std::move(event));
    wake(ring);
    touch(ring);
    enforce_total(ring);
    return seq;
  }

  void finish(PredictionId id, PredictionStatus status) override {
    expire();
    const auto it = rings_.find(id);
    if (it == rings_.end()) {
      remember_end(id, status);
      return;
    }
    Ring& ring = *it->second;
    if (ring.done) return;
    set_done(ring, status);
    done_order_.emplace_back(clock_.steady(), id);
    wake(ring);
  }

  void forget(PredictionId id) override {
    const auto it = rings_.find(id);
    if (it != rings_.end() && it->second->done) drop(id);
  }

  std::optional<LiveState> state(PredictionId id) const override {
    const auto it = rings_.find(id);
    if (it == rings_.end()) return std::nullopt;
    const Ring& ring = *it->second;
    LiveState state;
    state.attempt = ring.attempt;
    state.last_seq = ring.last_seq;
    state.started_at = ring.started_at;
    state.is_done = ring.done.has_value();
    state.outputs.reserve(ring.outputs.size());
    for (const HubEvent& event : ring.outputs) state.outputs.push_back(event.data);
    if (ring.has_dropped_logs) state.logs = kDroppedLogs;
    for (const HubEvent& event : ring.others) {
      if (event.kind == EventKind::kLog) state.logs += event.data;
    }
    return state;
  }

  std::unique_ptr<Subscription> subscribe(PredictionId id, std::uint32_t after_attempt,
                                          std::uint64_t after_seq, Reader reader) override {
    expire();
    std::shared_ptr<Ring> ring = ring_of(id);
    if (const auto ended = ended_.find(id); ended != ended_.end() && !ring->done) {
      set_done(*ring, ended->second);
      done_order_.emplace_back(clock_.steady(), id);
    }
    touch(*ring);
    const Interest before = interest_of(*ring);
    Position after;
    after.attempt = after_attempt;
    after.seq = after_seq;
    auto subscription =
        std::make_unique<HubSubscription>(*this, id, ring, after, reader, executor_);
    ring->readers.push_back(subscription.get());
    tell_interest(id, before, interest_of(*ring));
    return subscription;
  }

  Interest interest(PredictionId id) const override {
    const auto it = rings_.find(id);
    return it == rings_.end() ? Interest::kNone : interest_of(*it->second);
  }
  void on_interest(std::function<void(PredictionId, Interest)> callback) override {
    on_interest_.push_back(std::move(callback));
  }
  void on_event(std::function<void(PredictionId, const HubEvent&)> callback) override {
    on_event_.push_back(std::move(callback));
  }
  void on_output_delivered(std::function<void(PredictionId)> callback) override {
    on_output_delivered_.push_back(std::move(callback));
  }

  void delivered_output(PredictionId id, Ring& ring) {
    if (std::exchange(ring.is_output_delivered, true) || ring.done) return;
    for (const auto& callback : on_output_delivered_) callback(id);
  }

  void leave(PredictionId id, const std::shared_ptr<Ring>& ring, HubSubscription* reader) {
    const Interest before = interest_of(*ring);
    std::erase(ring->readers, reader);
    if (ring->is_gone) return;
    tell_interest(id, before, interest_of(*ring));
    const bool is_empty = ring->attempt == 0 && !ring->done && ring->readers.empty();
    if (is_empty && !ring->is_gone) drop(id);
  }

 private:
  static Interest interest_of(const Ring& ring) {
    Interest interest = Interest::kNone;
    for (const HubSubscription* reader : ring.readers) {
      if (reader->reader() == Reader::kClient) return Interest::kClients;
      interest = Interest::kPeersOnly;
    }
    return interest;
  }
  void tell_interest(PredictionId id, Interest before, Interest now) {
    if (before == now) return;
    for (const auto& callback : on_interest_) callback(id, now);
  }

  const std::shared_ptr<Ring>& ring_of(PredictionId id) {
    std::shared_ptr<Ring>& ring = rings_[id];
    if (!ring) {
      ring = std::make_shared<Ring>();
      ring->recency = by_recency_.insert(by_recency_.begin(), id);
      total_bytes_ += ring->bytes;
    }
    return ring;
  }

  void store(Ring& ring, HubEvent event) {
    const std::size_t cost = cost_of(event);
    ring.bytes += cost;
    total_bytes_ += cost;
    if (event.kind == EventKind::kOutput) {
      ring.outputs.push_back(std::move(event));
      return;
    }
    ring.others_bytes += cost;
    ring.others.push_back(std::move(event));
    while (ring.others.size() > limits_.ring_events || ring.others_bytes > limits_.ring_bytes) {
      const HubEvent& oldest = ring.others.front();
      if (oldest.kind == EventKind::kLog) ring.has_dropped_logs = true;
      const std::size_t freed = cost_of(oldest);
      ring.others_bytes -= freed;
      ring.bytes -= freed;
      total_bytes_ -= freed;
      ring.others.pop_front();
    }
  }

  void set_done(Ring& ring, PredictionStatus status) const {
    HubEvent event;
    event.attempt = ring.attempt;
    event.seq = ring.last_seq + 1;
    event.kind = EventKind::kDone;
    event.data = to_string(status);
    event.at = clock_.now();
    ring.done = std::move(event);
  }

  static void wake(const Ring& ring) {
    for (HubSubscription* reader : ring.readers) reader->wake();
  }
  void touch(Ring& ring) { by_recency_.splice(by_recency_.begin(), by_recency_, ring.recency); }

  // Drops the longest unused rings until the rest fits; never `keep`, which is in use.
  void enforce_total(const Ring& keep) {
    while (total_bytes_ > limits_.total_bytes && !by_recency_.empty()) {
      const PredictionId id = by_recency_.back();
      if (rings_.at(id).get() == &keep) return;
      drop(id);
    }
  }

  void drop(PredictionId id) {
    const auto it = rings_.find(id);
    if (it == rings_.end()) return;
    const std::shared_ptr<Ring> ring = std::move(it->second);
    rings_.erase(it);
    by_recency_.erase(ring->recency);
    total_bytes_ -= ring->bytes;
    ring->is_gone = true;
    tell_interest(id, interest_of(*ring), Interest::kNone);
    wake(*ring);
  }

  void expire() {
    const SteadyTime now = clock_.steady();
    while (!done_order_.empty() && done_order_.front().first + limits_.keep_after_done <= now) {
      drop(done_order_.front().second);
      done_order_.pop_front();
    }
  }

  void remember_end(PredictionId id, PredictionStatus status) {
    if (!ended_.emplace(id, status).second) return;
    ended_order_.push_back(id);
    if (ended_order_.size() > limits_.remembered_ends) {
      ended_.erase(ended_order_.front());
      ended_order_.pop_front();
    }
  }

  const asio::any_io_executor executor_;
  const Clock& clock_;
  const EventHubLimits limits_;
  std::vector<std::function<void(PredictionId, Interest)>> on_interest_;
  std::vector<std::function<void(PredictionId, const HubEvent&)>> on_event_;
  std::vector<std::function<void(PredictionId)>> on_output_delivered_;
  std::unordered_map<PredictionId, std::shared_ptr<Ring>> rings_;  // Shared with subscriptions.
  std::list<PredictionId> by_recency_;                             // Most recently used first.
  std::size_t total_bytes_ = 0;
  std::deque<std::pair<SteadyTime, PredictionId>>
      done_order_;                                            // Rings that are done, oldest first.
  std::unordered_map<PredictionId, PredictionStatus> ended_;  // Ended without a ring.
  std::deque<PredictionId> ended_order_;
};

HubSubscription::~HubSubscription() { hub_.leave(id_, ring_, this); }

std::vector<HubEvent> HubSubscription::collect() {
  std::vector<HubEvent> events;
  Ring& ring = *ring_;
  std::uint64_t after = 0;
  if (at_.attempt == ring.attempt) after = at_.seq;
  if (at_.attempt > ring.attempt) after = ring.last_seq;  // A position that never was: only news.
  const auto newer = [](std::uint64_t seq, const HubEvent& event) { return seq < event.seq; };
  auto output = std::upper_bound(ring.outputs.begin(), ring.outputs.end(), after, newer);
  auto other = std::upper_bound(ring.others.begin(), ring.others.end(), after, newer);
  std::size_t bytes = 0;
  bool has_output = false;
  while (output != ring.outputs.end() || other != ring.others.end()) {
    if (events.size() >= kEventsPerRead || bytes >= kBytesPerRead) break;
    const bool take_output =
        other == ring.others.end() || (output != ring.outputs.end() && output->seq < other->seq);
    const HubEvent& event = take_output ? *output++ : *other++;
    has_output = has_output || take_output;
    bytes += cost_of(event);
    events.push_back(event);
  }
  if (!events.empty()) {
    at_.attempt = ring.attempt;
    at_.seq = events.back().seq;
  }
  if (has_output) hub_.delivered_output(id_, ring);
  const bool is_all = output == ring.outputs.end() && other == ring.others.end();
  if (!is_all || !ring.done) return events;
  if (events.empty() && at_.attempt == ring.done->attempt && at_.seq >= ring.done->seq) {
    has_ended_ = true;  // It resumed behind the end.
    return events;
  }
  events.push_back(*ring.done);
  has_ended_ = true;
  return events;
}

}  // namespace

std::unique_ptr<EventHub> make_event_hub(asio::any_io_executor executor, const Clock& clock,
                                         EventHubLimits limits) {
  return std::make_unique<Hub>(std::move(executor), clock, limits);
}

}  // namespace mimeo::control
