// Writes down what became of webhooks, many in one statement: what settles the outbox at once, what
// is only for the log (`output` and `logs`) with the next of those or within a second.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <vector>

#include "common/async/batcher.h"
#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"
#include "common/base/status.h"
#include "common/store/outbox.h"

namespace mimeo::control {

// On the HTTP thread only; the pool and the store outlive it.
class WebhookLedger {
 public:
  WebhookLedger(boost::asio::any_io_executor executor, BlockingPool& pool,
                store::OutboxStore& outbox,
                std::chrono::milliseconds linger = std::chrono::seconds(1));

  // Suspends until it is written.
  boost::asio::awaitable<Status> settle(store::WebhookSettlement item);
  // Written soon, or never: beyond a thousand unwritten ones they are dropped.
  void note(store::WebhookSettlement item);
  // Suspends until all that came so far is written. Behind it nothing of the ledger is under way.
  boost::asio::awaitable<Status> flush();
  // Writes notes that nothing else takes along; runs until cancelled.
  boost::asio::awaitable<void> run();

 private:
  using Answer = std::uint8_t;  // Nothing to say but that it was written.

  void write_notes();

  const std::chrono::milliseconds linger_;
  std::vector<store::WebhookSettlement> notes_;
  SignalEvent has_notes_;
  Batcher<store::WebhookSettlement, Answer> batcher_;
};

}  // namespace mimeo::control
