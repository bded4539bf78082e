#include "control-plane/predictions/training_finisher.h"

#include "common/base/clock.h"
#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using store::Finish;
using store::FinishOutcome;

// Only what another try cannot change ends a training.
Status as_retried(const Status& status) {
  const bool is_final = status.ok() || absl::IsInvalidArgument(status) ||
                        absl::IsFailedPrecondition(status) || absl::IsCancelled(status);
  return is_final ? status : absl::UnavailableError(status.message());
}

// A result that is committed already is offered as it was committed: what this process shows of it
// must not become what the trainer returned. One that ended otherwise stays as it is: superseded.
Finish as_committed(Finish finish, const store::PredictionView& view) {
  if (view.status != finish.status) return finish;
  finish.error = view.error;
  finish.output = view.output;
  finish.logs = view.logs;
  finish.metrics = view.metrics;
  finish.started_at = view.started_at;
  finish.completed_at = view.completed_at.value_or(finish.completed_at);
  return finish;
}

bool may_be_repeated(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

}  // namespace

TrainingFinisher::TrainingFinisher(asio::any_io_executor executor, BlockingPool& pool,
                                   store::PredictionStore& predictions,
                                   store::TrainingStore& trainings, ResultCommitter& committer,
                                   MakeVersion make, Random& random, Metrics& metrics,
                                   TrainingFinisherOptions options)
    : pool_(pool),
      predictions_(predictions),
      trainings_(trainings),
      committer_(committer),
      make_(std::move(make)),
      random_(random),
      options_(options),
      under_way_(metrics.gauge("mimeo_control_plane_trained_versions_under_way",
                               "Trainings that succeeded and whose version is being made.")),
      made_(metrics.counter("mimeo_control_plane_trained_versions_total",
                            "Trainings that succeeded, by whether a version was made.",
                            {{"outcome", "made"}})),
      failed_(metrics.counter("mimeo_control_plane_trained_versions_total",
                              "Trainings that succeeded, by whether a version was made.",
                              {{"outcome", "failed"}})),
      tasks_(executor) {
  tasks_.spawn("tell of trainings under way", report_progress());
}

void TrainingFinisher::complete(Finish finish, Done done, Progress progress) {
  progress();
  committer_.ended(finish.id);
  const Key key{finish.id, finish.attempt.value_or(0)};
  std::shared_ptr<Work>& work = works_[key];
  const bool is_new = work == nullptr;
  if (is_new) {
    work = std::make_shared<Work>();
    work->finish = std::move(finish);
  }
  work->waiting.push_back({std::move(done), std::move(progress)});
  under_way_.Set(static_cast<double>(works_.size()));
  if (is_new) tasks_.spawn("end a training", work_on(work));
}

asio::awaitable<void> TrainingFinisher::work_on(std::shared_ptr<Work> work) {
  Result<FinishOutcome> outcome = co_await settle(work);
  if (absl::IsCancelled(outcome.status())) co_return;  // This process stops: the next one does it.
  const Key key{work->finish.id, work->finish.attempt.value_or(0)};
  works_.erase(key);
  under_way_.Set(static_cast<double>(works_.size()));
  for (const Waiting& waiting : work->waiting) waiting.done(outcome);
}

asio::awaitable<Result<FinishOutcome>> TrainingFinisher::settle(std::shared_ptr<Work> work) {
  const PredictionId id = work->finish.id;
  Status status = co_await make_version(work);
  if (absl::IsCancelled(status)) co_return status;
  const bool is_over = is_terminal(work->view.status);  // Canceled, or committed before a restart.
  const bool has_version = status.ok() && work->view.is_training && !is_over;
  if (has_version) {
    Finish finish = work->finish;
    finish.output = work->made.output;
    ResultCommitter::WriteWith write = [this, work](const Finish& given) {
      return trainings_.finish_with_version(given, work->made.version);
    };
    Result<FinishOutcome> outcome =
        co_await committer_.finish_with(std::move(finish), std::move(write));
    if (outcome.ok()) note_version(*work, *outcome);
    if (outcome.ok() || may_be_repeated(outcome.status())) co_return outcome;
    status = outcome.status();
  }
  Finish finish = work->finish;
  if (is_over && work->view.is_training) finish = as_committed(std::move(finish), work->view);
  if (!status.ok()) {
    failed_.Increment();
    log::warn("no version of training={}: {}", id.str(), status.ToString());
    finish.status = PredictionStatus::kFailed;
    finish.error = "The training ended, but no version could be made of it: ";
    finish.error += std::string(status.message());
  }
  Result<FinishOutcome> outcome = co_await committer_.finish(std::move(finish));
  co_return outcome;
}

void TrainingFinisher::note_version(const Work& work, FinishOutcome outcome) {
  const bool is_there =
      outcome == FinishOutcome::kCommitted || outcome == FinishOutcome::kAlreadySame;
  if (!is_there) return;  // Canceled meanwhile: nobody refers to the image.
  made_.Increment();
  if (on_version_) on_version_(work.view.destination);
  log::info("a training became a version training={} version={}:{}", work.finish.id.str(),
            work.view.destination, work.made.version.id.hex());
}

asio::awaitable<Status> TrainingFinisher::make_version(std::shared_ptr<Work> work) {
  const std::function<asio::awaitable<Status>()> operation = [this, work] {
    return make_once(work);
  };
  const std::function<std::chrono::milliseconds()> waited = [work] { return work->waited; };
  const Status status = co_await retry(options_.retry, &random_, operation, waited);
  co_return status;
}

asio::awaitable<Status> TrainingFinisher::make_once(std::shared_ptr<Work> work) {
  const SystemClock clock;
  // Shared with the pool: its work runs to its end also when this coroutine is cancelled.
  auto make = [this, work, asked_at = clock.steady()]() -> Status {
    const SystemClock clock_there;
    work->waited +=
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_there.steady() - asked_at);
    return as_retried(make_now(*work));
  };
  Status status = co_await pool_.run(std::move(make));
  if (absl::IsUnavailable(status)) {
    log::warn("the version of training={} is tried again: {}", work->finish.id.str(),
              status.ToString());
  }
  co_return status;
}

Status TrainingFinisher::make_now(Work& work) const {
  auto view = predictions_.get(work.finish.id, /*account=*/0);
  if (absl::IsNotFound(view.status())) return absl::OkStatus();  // The committer says so.
  MIMEO_RETURN_IF_ERROR(view.status());
  work.view = std::move(*view);
  if (!work.view.is_training || is_terminal(work.view.status)) return absl::OkStatus();
  if (!make_) return absl::FailedPreconditionError("this installation has no image registry");
  auto made = make_(work.view, work.finish.attempt.value_or(0), work.finish.output);
  MIMEO_RETURN_IF_ERROR(made.status());
  work.made = std::move(*made);
  return absl::OkStatus();
}

asio::awaitable<void> TrainingFinisher::report_progress() {
  while (co_await sleep_for(options_.report_every)) {
    for (const auto& [key, work] : works_) {
      for (const Waiting& waiting : work->waiting) waiting.progress();
    }
  }
}

asio::awaitable<Status> TrainingFinisher::stop(std::chrono::milliseconds limit) {
  tasks_.cancel();
  const Status ended = co_await tasks_.wait(limit);
  co_return ended;
}

}  // namespace mimeo::control
