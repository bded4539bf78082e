#include "control-plane/predictions/result_watch.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kIdsPerRead = 1000;

}  // namespace

// Keeps a waiter in the table for as long as its coroutine waits, however that ends.
class ResultWatch::Registration {
 public:
  Registration(ResultWatch& watch, PredictionId id, Waiter& waiter) : watch_(watch) {
    entry_ = watch_.waiters_.emplace(id, &waiter);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() { watch_.waiters_.erase(entry_); }

 private:
  ResultWatch& watch_;
  std::unordered_multimap<PredictionId, Waiter*>::iterator entry_;
};

ResultWatch::ResultWatch(asio::any_io_executor executor, BlockingPool& pool,
                         store::PredictionStore& predictions, EventHub& hub,
                         const RecentPredictions& recent)
    : executor_(executor),
      pool_(pool),
      predictions_(predictions),
      hub_(hub),
      recent_(recent),
      check_now_(std::move(executor)) {
  hub_.on_interest([this](PredictionId id, Interest interest) {
    if (interest == Interest::kNone) {
      streamed_.erase(id);
    } else {
      streamed_.insert(id);
    }
  });
}

asio::awaitable<bool> ResultWatch::wait(PredictionId id, std::chrono::milliseconds limit) {
  if (recent_.find_terminal(id) != nullptr) co_return true;
  Waiter waiter(executor_);
  const Registration registration(*this, id, waiter);
  waiter.timer.expires_after(limit);
  co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return waiter.is_done;
}

void ResultWatch::finished(PredictionId id, PredictionStatus status) {
  soon_.erase(id);
  for (const auto& callback : on_end_) callback(id, status);
  wake(id);
  hub_.finish(id, status);
  streamed_.erase(id);
}

void ResultWatch::on_end(std::function<void(PredictionId, PredictionStatus)> callback) {
  on_end_.push_back(std::move(callback));
}

void ResultWatch::check_soon(PredictionId id) {
  if (!waiters_.contains(id) && !streamed_.contains(id)) return;
  soon_.insert(id);
  check_now_.set();
}

void ResultWatch::wake(PredictionId id) {
  const auto [begin, end] = waiters_.equal_range(id);
  for (auto it = begin; it != end; ++it) {
    it->second->is_done = true;
    it->second->timer.cancel();
  }
}

asio::awaitable<void> ResultWatch::run(std::chrono::milliseconds every) {
  while (true) {
    const bool is_asked = co_await check_now_.wait_for(every);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return;
    check_now_.reset();
    std::unordered_set<PredictionId> wanted = std::exchange(soon_, {});
    if (!is_asked) {
      for (const auto& [id, waiter] : waiters_) wanted.insert(id);
      wanted.insert(streamed_.begin(), streamed_.end());
    }
    std::vector<PredictionId> ids(wanted.begin(), wanted.end());
    for (std::size_t from = 0; from < ids.size(); from += kIdsPerRead) {
      const std::size_t to = std::min(from + kIdsPerRead, ids.size());
      std::vector<PredictionId> some(ids.begin() + static_cast<std::ptrdiff_t>(from),
                                     ids.begin() + static_cast<std::ptrdiff_t>(to));
      co_await look(std::move(some));
    }
  }
}

asio::awaitable<void> ResultWatch::look(std::vector<PredictionId> ids) {
  auto read = [this, ids = std::move(ids)] { return predictions_.which_are_terminal(ids); };
  Result<std::vector<PredictionId>> ended = co_await pool_.run(std::move(read));
  if (!ended.ok()) {
    log::warn("reading which predictions ended: {}", ended.status().ToString());
    co_return;
  }
  for (const PredictionId id : *ended) {
    wake(id);
    if (!streamed_.contains(id)) continue;
    auto get = [this, id] { return predictions_.get(id, 0); };
    Result<store::PredictionView> view = co_await pool_.run(std::move(get));
    if (view.ok() && is_terminal(view->status)) finished(id, view->status);
  }
}

}  // namespace mimeo::control
