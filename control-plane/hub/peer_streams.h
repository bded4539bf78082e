// Brings events from other control planes: when a client reads a prediction here whose worker
// publishes elsewhere, every other control plane is asked for its events (proto/event_hub.proto,
// Subscribe) and what comes is put into our own hub, which drops what it has seen.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/store/fleet.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/result_watch.h"

namespace mimeo::control {

struct PeerStreamsOptions {
  ReplicaId replica;                              // Ours: peers are all the others.
  std::chrono::milliseconds refresh_every{1000};  // How often `replicas` is read.
};

// On the HTTP thread only.
class PeerStreams {
 public:
  virtual ~PeerStreams() = default;
  virtual void start() = 0;
  virtual boost::asio::awaitable<void> stop() = 0;
  // Streams that are open now; for tests and metrics.
  [[nodiscard]] virtual std::size_t open_streams() const = 0;
};

std::unique_ptr<PeerStreams> make_peer_streams(boost::asio::any_io_executor executor,
                                               BlockingPool& pool, store::FleetStore& fleet,
                                               EventHub& hub, ResultWatch& watch,
                                               const Clock& clock, PeerStreamsOptions options);

}  // namespace mimeo::control
