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
  bool from_peer = false;  // Through another control plane, which sees to everything else about it.
};

// What is known of a prediction that runs.
struct LiveState {
  std::uint32_t attempt = 0;
  std::uint64_t last_seq = 0;  // Of that attempt: every event up to it is in here. Subscribing
                               // after (attempt, last_seq) gives the rest without gap or repeat.
  std::optional<WallTime> started_at;
  std::vector<std::string> outputs;  // JSON values in order.
  std::string logs;
  bool is_done = false;  // The terminal row is committed; read the store.
};

// Outputs stay in a ring until it goes as a whole: a reader that comes late must get all of them.
// Log and metric events beyond the limits below leave it, oldest first.
struct EventHubLimits {
  std::size_t ring_events = 4096;        // Log and metric events per prediction.
  std::size_t ring_bytes = 1U << 20;     // Bytes of those.
  std::size_t total_bytes = 256U << 20;  // Of all rings. Least recently used ones go first.
  std::chrono::seconds keep_after_done{300};
  std::size_t remembered_ends = 65'536;  // Predictions without a ring whose end is remembered.
};

// On whose behalf somebody reads.
enum class Reader : std::uint8_t {
  kClient,  // A client of this process.
  kPeer,    // Another control plane, for a client of its own: must not be proxied any further.
};

// Who reads a prediction now.
enum class Interest : std::uint8_t { kNone, kPeersOnly, kClients };

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
  // Its data was removed: its ring goes at once, if there is one and it has ended.
  virtual void forget(PredictionId id) = 0;

  [[nodiscard]] virtual std::optional<LiveState> state(PredictionId id) const = 0;
  // Also for a prediction without events yet (it is queued): its ring is made. `after` = {0, 0}
  // from the first event. A ring made late (this process was restarted, or another one got the
  // events) may lack outputs: at kDone compare with the store's row.
  virtual std::unique_ptr<Subscription> subscribe(PredictionId id, std::uint32_t after_attempt,
                                                  std::uint64_t after_seq,
                                                  Reader reader = Reader::kClient) = 0;
  // Who reads this prediction now.
  [[nodiscard]] virtual Interest interest(PredictionId id) const = 0;
  // Called when that changes. Several callbacks may be added.
  virtual void on_interest(std::function<void(PredictionId, Interest)> callback) = 0;
  // Called for each accepted event. Several callbacks may be added.
  virtual void on_event(std::function<void(PredictionId, const HubEvent&)> callback) = 0;
  // Called when the first output of an attempt is given to a reader. Several callbacks may be
  // added.
  virtual void on_output_delivered(std::function<void(PredictionId)> callback) = 0;
};

std::unique_ptr<EventHub> make_event_hub(boost::asio::any_io_executor executor, const Clock& clock,
                                         EventHubLimits limits = {});

}  // namespace mimeo::control
