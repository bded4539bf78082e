// Output and log streams of running predictions: a ring per prediction with replay and fan-out.
// Filled by hub_service.h (from workers), read by http (SSE), by PredictionIntake::view and by the
// webhook sender. Knows no gRPC and no HTTP.
//
// Lives on the HTTP thread; every method is called there.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/domain/prediction.h"

namespace mimeo::control {

enum class EventKind : std::uint8_t { kStarted, kOutput, kLog, kMetric, kDone };
struct HubEvent {
  std::uint32_t attempt = 0;
  std::uint64_t seq = 0;  // From 1 per attempt, without gaps; kDone has the last one + 1.
  EventKind kind = EventKind::kLog;
  std::string data;  // kOutput: JSON value; kLog: text; kMetric: JSON object; kDone: status word.
  WallTime at;
};

// What is known of a prediction that runs.
struct LiveState {
  std::uint32_t attempt = 0;
  std::optional<WallTime> started_at;
  std::vector<std::string> outputs;  // JSON values in order.
  std::string logs;
  bool is_done = false;  // The terminal row is committed; read the store.
};

struct EventHubLimits {
  std::size_t ring_events = 4096;  // Per prediction.
  std::size_t ring_bytes = 1U << 20;
  std::size_t total_bytes = 256U << 20;  // Least recently used rings go first.
  std::chrono::seconds keep_after_done{300};
};

class EventHub {
 public:
  // One reader. next() gives events after the position given at subscribe(), from the ring first,
  // then live; a slow reader never blocks others.
  class Subscription {
   public:
    virtual ~Subscription() = default;
    // The next events (at least one), or empty after `limit` without any (send a keep-alive), or
    // nullopt when the prediction's ring is gone (read the store instead).
    virtual boost::asio::awaitable<std::optional<std::vector<HubEvent>>> next(
        std::chrono::milliseconds limit) = 0;
  };

  virtual ~EventHub() = default;

  // Adds an event of an attempt; duplicates (seq already seen) and events of older attempts are
  // dropped. Returns the highest contiguous seq.
  virtual std::uint64_t publish(PredictionId id, HubEvent event) = 0;
  // The prediction's terminal row is committed; wakes subscribers with kDone. Also for predictions
  // that never had an event.
  virtual void finish(PredictionId id, PredictionStatus status) = 0;

  [[nodiscard]] virtual std::optional<LiveState> state(PredictionId id) const = 0;
  // Also for a prediction without events yet (it is queued): its ring is made. `after` = {0, 0}
  // from the first event.
  virtual std::unique_ptr<Subscription> subscribe(PredictionId id, std::uint32_t after_attempt,
                                                  std::uint64_t after_seq) = 0;
  // Called when the first subscriber of a prediction comes (true) or the last one leaves (false).
  virtual void on_interest(std::function<void(PredictionId, bool live)> callback) = 0;
  // Called for each accepted event; for webhooks.
  virtual void on_event(std::function<void(PredictionId, const HubEvent&)> callback) = 0;
};

std::unique_ptr<EventHub> make_event_hub(boost::asio::any_io_executor executor, const Clock& clock,
                                         EventHubLimits limits = {});

}  // namespace mimeo::control
