#include "control-plane/webhooks/ledger.h"

#include <span>
#include <utility>

#include "common/async/task_group.h"
#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMaxNotes = 1000;
constexpr BatcherLimits kLimits{.max_batch = 128, .max_pending = 10'000, .in_flight = 1};

}  // namespace

WebhookLedger::WebhookLedger(asio::any_io_executor executor, BlockingPool& pool,
                             store::OutboxStore& outbox, std::chrono::milliseconds linger)
    : linger_(linger),
      has_notes_(executor),
      batcher_(
          executor, pool,
          [&outbox](
              std::span<const store::WebhookSettlement> batch) -> Result<std::vector<Answer>> {
            MIMEO_RETURN_IF_ERROR(outbox.settle(batch));
            return std::vector<Answer>(batch.size());
          },
          kLimits) {}

asio::awaitable<Status> WebhookLedger::settle(store::WebhookSettlement item) {
  write_notes();
  const Result<Answer> written = co_await batcher_.submit(std::move(item));
  co_return written.status();
}

asio::awaitable<Status> WebhookLedger::flush() {
  // One batch after the other: what says nothing is written after all that says something.
  store::WebhookSettlement nothing;
  const Status written = co_await settle(std::move(nothing));
  co_return written;
}

void WebhookLedger::note(store::WebhookSettlement item) {
  if (notes_.size() >= kMaxNotes) return;
  notes_.push_back(std::move(item));
  has_notes_.set();
}

void WebhookLedger::write_notes() {
  for (store::WebhookSettlement& note : notes_) {
    batcher_.enqueue(std::move(note), [](const Result<Answer>& written) {
      if (!written.ok()) log::debug("logging a webhook: {}", written.status().ToString());
    });
  }
  notes_.clear();
  has_notes_.reset();
}

asio::awaitable<void> WebhookLedger::run() {
  for (;;) {
    const bool has_some = co_await has_notes_.wait();
    if (!has_some) co_return;
    const bool goes_on = co_await sleep_for(linger_);
    write_notes();
    if (!goes_on) co_return;
  }
}

}  // namespace mimeo::control
