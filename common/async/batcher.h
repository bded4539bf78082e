// Group commit without timers: while one batch is being written, what arrives forms the next one.
// One commit of latency when idle, large batches under load (decision D5; docs/adr explains why the
// number in flight defaults to one).

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/status.h"

namespace mimeo {

struct BatcherLimits {
  std::size_t max_batch = 256;
  std::size_t max_pending = 20'000;  // Above it submit() answers kResourceExhausted at once.
  std::size_t in_flight = 1;
};

// Item and Answer are values. `write` runs on a pool thread: gets a batch, returns one Answer per
// item in order, or an error for the whole batch. Used on one executor; must outlive its callers'
// coroutines, and the pool must outlive it.
template <class Item, class Answer>
class Batcher {
 public:
  using Write = std::function<Result<std::vector<Answer>>(std::span<const Item>)>;
  using Done = std::function<void(Result<Answer>)>;

  Batcher(boost::asio::any_io_executor executor, BlockingPool& pool, Write write,
          BatcherLimits limits = {})
      : executor_(std::move(executor)), pool_(pool), write_(std::move(write)), limits_(limits) {}

  // Suspends until the batch with this item is written.
  boost::asio::awaitable<Result<Answer>> submit(Item item) {
    auto initiate = [this](auto handler, Item moved) {
      auto shared = std::make_shared<decltype(handler)>(std::move(handler));
      enqueue(std::move(moved),
              [shared](Result<Answer> answer) { std::move (*shared)(std::move(answer)); });
    };
    co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>,
                                                   void(Result<Answer>)>(
        initiate, boost::asio::use_awaitable, std::move(item));
  }

  // The same without a coroutine: `done` is called on the executor.
  void enqueue(Item item, Done done) {
    if (pending_.size() >= limits_.max_pending) {
      boost::asio::post(executor_, [done = std::move(done)] {
        done(absl::ResourceExhaustedError("too many writes are waiting"));
      });
      return;
    }
    pending_.emplace_back(std::move(item), std::move(done));
    start();
  }

  [[nodiscard]] std::size_t pending() const { return pending_.size(); }

 private:
  struct Batch {
    std::vector<Item> items;
    std::vector<Done> done;
  };

  void start() {
    if (in_flight_ >= limits_.in_flight || pending_.empty()) return;
    auto batch = std::make_shared<Batch>();
    while (!pending_.empty() && batch->items.size() < limits_.max_batch) {
      batch->items.push_back(std::move(pending_.front().first));
      batch->done.push_back(std::move(pending_.front().second));
      pending_.pop_front();
    }
    ++in_flight_;
    pool_.post([this, batch] {
      auto answers = std::make_shared<Result<std::vector<Answer>>>(write_(batch->items));
      boost::asio::post(executor_, [this, batch, answers] { finish(*batch, *answers); });
    });
  }

  void finish(Batch& batch, Result<std::vector<Answer>>& answers) {
    --in_flight_;
    start();  // The next batch is on its way before callers of this one run.
    for (std::size_t i = 0; i < batch.done.size(); ++i) {
      if (!answers.ok()) {
        batch.done[i](answers.status());
      } else if (i < answers->size()) {
        batch.done[i](std::move((*answers)[i]));
      } else {
        batch.done[i](absl::InternalError("a batch came back with too few answers"));
      }
    }
  }

  boost::asio::any_io_executor executor_;
  BlockingPool& pool_;
  const Write write_;
  const BatcherLimits limits_;
  std::deque<std::pair<Item, Done>> pending_;  // On the executor only.
  std::size_t in_flight_ = 0;                  // On the executor only.
};

}  // namespace mimeo
