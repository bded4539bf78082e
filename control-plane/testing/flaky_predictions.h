// A PredictionStore that stands in for a database that fails at times: passes everything on to
// another store, but asks the test first and last.

#pragma once

#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "common/store/predictions.h"

namespace mimeo::control {

class FlakyPredictions final : public store::PredictionStore {
 public:
  explicit FlakyPredictions(store::PredictionStore& inner) : inner_(inner) {}

  // Called on the writers' threads; an error is answered instead of calling the store.
  std::function<Status(std::span<const store::NewPrediction>)> before_create;
  std::function<Status(std::span<const store::Finish>)> before_finish;
  std::function<Status()> before_start;
  // The same after the store was called: what it did is not heard of.
  std::function<Status()> after_create;
  std::function<Status()> after_finish;

  Result<std::vector<store::Created>> create(std::span<const store::NewPrediction> batch) override {
    if (before_create) MIMEO_RETURN_IF_ERROR(before_create(batch));
    auto answers = inner_.create(batch);
    if (after_create) MIMEO_RETURN_IF_ERROR(after_create());
    return answers;
  }
  Result<std::vector<store::FinishOutcome>> finish(std::span<const store::Finish> batch) override {
    if (before_finish) MIMEO_RETURN_IF_ERROR(before_finish(batch));
    auto answers = inner_.finish(batch);
    if (after_finish) MIMEO_RETURN_IF_ERROR(after_finish());
    return answers;
  }
  Result<std::vector<bool>> mark_started(std::span<const store::Started> batch) override {
    {
      const std::lock_guard lock(mutex_);
      started_ += batch.size();
      last_started_.clear();
      for (const store::Started& one : batch) last_started_.push_back(one.id);
    }
    if (before_start) MIMEO_RETURN_IF_ERROR(before_start());
    return inner_.mark_started(batch);
  }
  [[nodiscard]] std::size_t started() const {
    const std::lock_guard lock(mutex_);
    return started_;
  }
  // Of the newest call.
  [[nodiscard]] std::vector<PredictionId> last_started() const {
    const std::lock_guard lock(mutex_);
    return last_started_;
  }
  Result<store::PredictionView> get(PredictionId id, AccountId account) override {
    {
      const std::lock_guard lock(mutex_);
      ++gets_;
    }
    return inner_.get(id, account);
  }
  [[nodiscard]] std::size_t gets() const {
    const std::lock_guard lock(mutex_);
    return gets_;
  }

  Result<std::vector<store::Assigned>> assign(const store::Fence& fence,
                                              std::span<const store::Assignment> batch) override {
    return inner_.assign(fence, batch);
  }
  Result<std::vector<bool>> requeue(const store::Fence& fence,
                                    std::span<const store::Requeue> batch) override {
    return inner_.requeue(fence, batch);
  }
  Result<store::Canceled> cancel(PredictionId id, AccountId account, WallTime now) override {
    return inner_.cancel(id, account, now);
  }
  Status mark_output_seen(std::span<const PredictionId> ids) override {
    return inner_.mark_output_seen(ids);
  }
  Result<store::PredictionView> get_by_stream_token(PredictionId id,
                                                    std::string_view token) override {
    return inner_.get_by_stream_token(id, token);
  }
  Result<std::string> get_input(PredictionId id) override { return inner_.get_input(id); }
  Result<std::vector<store::PredictionView>> list(const store::PredictionFilter& filter) override {
    return inner_.list(filter);
  }
  Result<std::vector<PredictionId>> which_are_terminal(std::span<const PredictionId> ids) override {
    return inner_.which_are_terminal(ids);
  }
  Result<std::vector<store::ActiveRow>> scan_active(CellId cell, PredictionId after,
                                                    std::size_t limit) override {
    return inner_.scan_active(cell, after, limit);
  }
  Result<std::int64_t> count_active(AccountId account) override {
    return inner_.count_active(account);
  }

 private:
  store::PredictionStore& inner_;
  mutable std::mutex mutex_;
  std::size_t started_ = 0;                 // Guarded by mutex_.
  std::vector<PredictionId> last_started_;  // Guarded by mutex_.
  std::size_t gets_ = 0;                    // Guarded by mutex_.
};

}  // namespace mimeo::control
