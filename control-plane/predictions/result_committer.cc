#include "control-plane/predictions/result_committer.h"

#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "common/store/outbox.h"
#include "common/store/text.h"
#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using store::Finish;
using store::FinishOutcome;

constexpr std::size_t kStartsPerWrite = 500;
const std::vector<double> kBatchBuckets{1, 2, 4, 8, 16, 32, 64, 128, 256};

std::string_view word(FinishOutcome outcome) {
  switch (outcome) {
    case FinishOutcome::kCommitted:
      return "committed";
    case FinishOutcome::kAlreadySame:
      return "already_same";
    case FinishOutcome::kSuperseded:
      return "superseded";
    case FinishOutcome::kUnknown:
      return "unknown";
  }
  return "unknown";
}

// Without the escape for NUL, which Postgres' jsonb refuses. `json` is valid, so that a backslash
// always begins an escape.
std::string without_nul(const std::string& json) {
  std::string without;
  without.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '\\') {
      without += json[i];
    } else if (json.compare(i, 6, "\\u0000") == 0) {
      i += 5;
    } else {
      without += json[i];
      if (i + 1 < json.size()) without += json[++i];
    }
  }
  return without;
}

bool needs_cleaning(const Finish& finish) {
  for (const std::string* text : {&finish.error, &finish.logs, &finish.output, &finish.metrics}) {
    if (!store::is_storable(*text)) return true;
  }
  if (finish.metrics.find("\\u0000") != std::string::npos) return true;
  return (!finish.output.empty() && !nlohmann::json::accept(finish.output)) ||
         (!finish.metrics.empty() && !nlohmann::json::accept(finish.metrics));
}

// The same result with everything that a database would refuse replaced. What a model returns is
// not under our control, and one bad result must not hold up the others of its batch.
Finish cleaned(const Finish& finish) {
  Finish clean = finish;
  for (std::string* text : {&clean.error, &clean.logs, &clean.output, &clean.metrics}) {
    *text = store::sanitize_text(*text);
  }
  if (nlohmann::json::accept(clean.metrics)) {
    clean.metrics = without_nul(clean.metrics);
  } else {
    clean.metrics.clear();
  }
  if (clean.output.empty() || nlohmann::json::accept(clean.output)) return clean;
  clean.output.clear();
  if (clean.status == PredictionStatus::kSucceeded) {
    clean.status = PredictionStatus::kFailed;
    clean.error = "The model returned an output that is not valid JSON.";
  }
  return clean;
}

}  // namespace

ResultCommitter::ResultCommitter(asio::any_io_executor executor, BlockingPool& pool,
                                 store::PredictionStore& predictions, RecentPredictions& recent,
                                 ResultWatch& watch, Random& random, Metrics& metrics,
                                 CommitterOptions options)
    : pool_(pool),
      predictions_(predictions),
      recent_(recent),
      watch_(watch),
      random_(random),
      options_(options),
      commit_seconds_(metrics.histogram("mimeo_control_plane_finish_commit_seconds",
                                        "One statement that commits a batch of results.")),
      batch_size_(metrics.histogram("mimeo_control_plane_finish_batch_size",
                                    "Results in one statement.", {}, kBatchBuckets)),
      refused_results_(metrics.counter("mimeo_control_plane_results_refused_total",
                                       "Results that could not be stored as they were.")),
      batcher_(
          executor, pool, [this](std::span<const Finish> batch) { return write(batch); },
          BatcherLimits{options.max_batch, BatcherLimits{}.max_pending, options.batches_in_flight}),
      has_starts_(executor),
      has_delivered_(executor),
      tasks_(executor) {
  for (const FinishOutcome outcome : {FinishOutcome::kCommitted, FinishOutcome::kAlreadySame,
                                      FinishOutcome::kSuperseded, FinishOutcome::kUnknown}) {
    const std::map<std::string, std::string> labels{{"outcome", std::string(word(outcome))}};
    outcomes_[outcome] =
        &metrics.counter("mimeo_control_plane_results_total",
                         "Results offered for commit, by what became of them.", labels);
  }
}

void ResultCommitter::ended(PredictionId id) {
  starts_.erase(id);
  if (const auto it = starts_in_flight_.find(id); it != starts_in_flight_.end()) {
    it->second = InFlight::kOver;
  }
}

void ResultCommitter::complete(Finish finish, Done done) {
  ended(finish.id);
  delivered_.erase(finish.id);
  // Shared, because std::function wants a copyable callable.
  auto given = std::make_shared<Finish>(std::move(finish));
  auto then = std::make_shared<Done>(std::move(done));
  Finish item = *given;
  batcher_.enqueue(std::move(item), [this, given, then](Result<Written> written) {
    if (written.ok()) {
      settle(*given, *written);
      (*then)(written->outcome);
      return;
    }
    tasks_.spawn("commit a result again",
                 complete_with_retries(std::move(*given), std::move(*then)));
  });
}

asio::awaitable<Result<FinishOutcome>> ResultCommitter::finish(Finish finish) {
  ended(finish.id);
  delivered_.erase(finish.id);
  Finish item = finish;
  Result<Written> written = co_await batcher_.submit(std::move(item));
  if (!written.ok()) co_return written.status();
  settle(finish, *written);
  co_return written->outcome;
}

asio::awaitable<Result<FinishOutcome>> ResultCommitter::finish_with(Finish given, WriteWith write) {
  ended(given.id);
  delivered_.erase(given.id);
  if (needs_cleaning(given)) given = cleaned(given);
  Result<FinishOutcome> outcome = absl::UnavailableError("not tried");
  const std::function<asio::awaitable<Status>()> operation = [&]() -> asio::awaitable<Status> {
    return run_write(&given, &write, &outcome);
  };
  const Status status = co_await retry(options_.retry, &random_, operation);
  if (!status.ok()) co_return status;
  Written written;
  written.outcome = *outcome;
  settle(given, written);
  co_return written.outcome;
}

asio::awaitable<Status> ResultCommitter::run_write(const Finish* given, const WriteWith* write,
                                                   Result<FinishOutcome>* outcome) {
  auto work = [finish = *given, with = *write] { return with(finish); };
  *outcome = co_await pool_.run(std::move(work));
  co_return outcome->status();
}

asio::awaitable<Status> ResultCommitter::try_once(const Finish* given,
                                                  Result<FinishOutcome>* outcome) {
  Finish item = *given;
  *outcome = co_await finish(std::move(item));
  co_return outcome->status();
}

asio::awaitable<void> ResultCommitter::complete_with_retries(Finish given, Done done) {
  Result<FinishOutcome> outcome = absl::UnavailableError("not tried");
  const std::function<asio::awaitable<Status>()> operation = [this, &given, &outcome] {
    return try_once(&given, &outcome);
  };
  const Status status = co_await retry(options_.retry, &random_, operation);
  if (!status.ok()) {
    log::warn("committing the result of prediction={}: {}", given.id.str(), status.ToString());
  }
  done(std::move(outcome));
}

void ResultCommitter::settle(const Finish& given, const Written& written) {
  outcomes_.at(written.outcome)->Increment();
  const Finish& finish = written.instead ? *written.instead : given;
  switch (written.outcome) {
    case FinishOutcome::kCommitted:
    case FinishOutcome::kAlreadySame:
      // The store shows the first start that it got; which one that was is not known now.
      if (starts_in_flight_.contains(finish.id)) recent_.forget(finish.id);
      recent_.finished(finish);
      watch_.finished(finish.id, finish.status);
      return;
    case FinishOutcome::kSuperseded:
    case FinishOutcome::kUnknown:
      recent_.forget(finish.id);
      watch_.check_soon(finish.id);
      return;
  }
}

// On a pool thread.
Result<std::vector<ResultCommitter::Written>> ResultCommitter::write(
    std::span<const Finish> batch) {
  std::vector<Written> written(batch.size());
  std::vector<Finish> clean;
  clean.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!needs_cleaning(batch[i])) {
      clean.push_back(batch[i]);
      continue;
    }
    written[i].instead = std::make_shared<Finish>(cleaned(batch[i]));
    clean.push_back(*written[i].instead);
  }
  batch_size_.Observe(static_cast<double>(batch.size()));
  const auto begin = std::chrono::steady_clock::now();  // Real time: on a thread of the pool.
  const Result<std::vector<FinishOutcome>> outcomes = predictions_.finish(clean);
  const auto end = std::chrono::steady_clock::now();  // Real time: the same.
  const std::chrono::duration<double> took = end - begin;
  commit_seconds_.Observe(took.count());
  if (outcomes.ok()) {
    for (std::size_t i = 0; i < written.size(); ++i) written[i].outcome = (*outcomes)[i];
    return written;
  }
  const Status status = outcomes.status();
  if (absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError(status.message());
  }
  // One of them cannot be stored: find out which, so that the others are not held up.
  log::error("committing {} results: {}", batch.size(), status.ToString());
  for (std::size_t i = 0; i < written.size(); ++i) {
    MIMEO_ASSIGN_OR_RETURN(Written alone, write_alone(clean[i]));
    if (!alone.instead) alone.instead = written[i].instead;
    written[i] = std::move(alone);
  }
  return written;
}

// One result by itself; as a failure without content if it cannot be stored as it is.
Result<ResultCommitter::Written> ResultCommitter::write_alone(const Finish& finish) {
  Written written;
  Result<std::vector<FinishOutcome>> outcome = predictions_.finish(std::span(&finish, 1));
  if (!outcome.ok() && !absl::IsUnavailable(outcome.status())) {
    refused_results_.Increment();
    Finish bare = finish;
    bare.output.clear();
    bare.metrics.clear();
    bare.logs.clear();
    bare.status = PredictionStatus::kFailed;
    bare.error = "The result could not be stored.";
    outcome = predictions_.finish(std::span(&bare, 1));
    written.instead = std::make_shared<Finish>(std::move(bare));
  }
  if (!outcome.ok()) return absl::UnavailableError(outcome.status().message());
  written.outcome = outcome->front();
  return written;
}

void ResultCommitter::started(const store::Started& started) { write_later(started); }

void ResultCommitter::write_later(const store::Started& started) {
  PendingStart pending;
  pending.started = started;
  pending.due = std::chrono::steady_clock::now() + options_.start_delay;  // Real time: of a timer.
  if (!starts_.insert_or_assign(started.id, pending).second) return;
  start_order_.push_back(started.id);
  has_starts_.set();
}

asio::awaitable<void> ResultCommitter::write_starts() {
  for (;;) {
    const bool goes_on = co_await has_starts_.wait();
    if (!goes_on) co_return;
    std::vector<store::Started> due;
    const SteadyTime now = std::chrono::steady_clock::now();  // Real time: as above.
    std::chrono::milliseconds pause{0};
    while (!start_order_.empty() && due.size() < kStartsPerWrite) {
      const auto it = starts_.find(start_order_.front());
      if (it != starts_.end()) {
        if (it->second.due > now) {
          pause = std::chrono::ceil<std::chrono::milliseconds>(it->second.due - now);
          break;
        }
        due.push_back(it->second.started);
        starts_.erase(it);
      }
      start_order_.pop_front();
    }
    if (start_order_.empty()) has_starts_.reset();
    if (!due.empty()) {
      co_await write_some_starts(std::move(due));
    }
    if (pause.count() == 0) continue;
    const bool is_rested = co_await sleep_for(pause);
    if (!is_rested) co_return;
  }
}

asio::awaitable<void> ResultCommitter::write_some_starts(std::vector<store::Started> starts) {
  for (const store::Started& start : starts) starts_in_flight_[start.id] = InFlight::kWanted;
  auto work = [this, starts] { return predictions_.mark_started(starts); };
  const Result<std::vector<bool>> written = co_await pool_.run(std::move(work));
  if (!written.ok()) log::warn("writing down starts: {}", written.status().ToString());
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const bool is_over = starts_in_flight_.at(starts[i].id) == InFlight::kOver;
    starts_in_flight_.erase(starts[i].id);
    if (!written.ok()) {
      recent_.forget(starts[i].id);  // It may have been written all the same.
      const bool is_wanted = !is_over && !starts_.contains(starts[i].id);  // A newer one, else.
      if (is_wanted) write_later(starts[i]);
    } else if ((*written)[i]) {
      recent_.started(starts[i].id, starts[i].started_at);
    }
  }
}

void ResultCommitter::output_delivered(PredictionId id) {
  delivered_.insert(id);
  has_delivered_.set();
}

asio::awaitable<void> ResultCommitter::write_deliveries() {
  for (;;) {
    const bool goes_on = co_await has_delivered_.wait();
    if (!goes_on) co_return;
    const bool is_rested = co_await sleep_for(options_.start_delay);
    if (!is_rested) co_return;
    has_delivered_.reset();
    std::vector<PredictionId> ids(delivered_.begin(), delivered_.end());
    delivered_.clear();
    if (ids.empty()) continue;
    auto work = [this, ids = std::move(ids)] { return predictions_.mark_output_seen(ids); };
    const Status status = co_await pool_.run(std::move(work));
    if (!status.ok()) log::warn("writing down deliveries: {}", status.ToString());
  }
}

}  // namespace mimeo::control
