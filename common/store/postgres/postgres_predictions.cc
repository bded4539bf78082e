// The part of PostgresStore that changes predictions.

#include <absl/strings/str_cat.h>

#include "common/store/postgres/batch.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/in_transaction.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_predictions.h"

namespace mimeo::store {
namespace {

using Round = std::vector<std::size_t>;

Status fence_is_gone() { return absl::AbortedError("another scheduler owns the cell"); }

pqxx::result run_create(Connection& connection, std::span<const NewPrediction> batch,
                        const Round& round) {
  SqlArray id, account, target, cell, model, version, deployment, source, prio, retry, is_training,
      created, deadline, run_limit, input, public_input, webhook, events, stream_token, destination,
      key, fence_cell, fence_epoch, instance, worker, incarnation, granted_version, release;
  for (const std::size_t index : round) {
    const NewPrediction& p = batch[index];
    id.add(p.id);
    account.add(p.account);
    target.add(p.target);
    cell.add(static_cast<std::int64_t>(p.cell));
    model.add(p.model);
    version.add(p.version);
    deployment.add(p.deployment);
    source.add(static_cast<std::int64_t>(p.source));
    prio.add(static_cast<std::int64_t>(p.priority));
    retry.add(static_cast<std::int64_t>(p.retry));
    is_training.add_bool(p.is_training);
    created.add(p.created_at);
    deadline.add(p.deadline_at);
    run_limit.add(static_cast<std::int64_t>(p.run_limit.count()));
    input.add_text(p.input);
    public_input.add_text_or_null(p.public_input);
    webhook.add_text_or_null(p.webhook);
    events.add(static_cast<std::int64_t>(p.webhook_events));
    stream_token.add_text_or_null(p.stream_token);
    destination.add_text_or_null(p.destination);
    key.add_text_or_null(p.idempotency_key);
    const Grant none;
    const Grant& grant = p.grant.has_value() ? *p.grant : none;
    if (p.grant.has_value()) {
      fence_cell.add(static_cast<std::int64_t>(grant.fence.cell));
    } else {
      fence_cell.add_null();
    }
    fence_epoch.add(static_cast<std::int64_t>(grant.fence.epoch));
    instance.add(grant.instance);
    worker.add(grant.worker);
    incarnation.add(static_cast<std::int64_t>(grant.incarnation));
    granted_version.add(grant.version);
    release.add(static_cast<std::int64_t>(grant.release));
  }
  return connection.run(kCreate, id.take(), account.take(), target.take(), cell.take(),
                        model.take(), version.take(), deployment.take(), source.take(), prio.take(),
                        retry.take(), is_training.take(), created.take(), deadline.take(),
                        run_limit.take(), input.take(), public_input.take(), webhook.take(),
                        events.take(), stream_token.take(), destination.take(), key.take(),
                        fence_cell.take(), fence_epoch.take(), instance.take(), worker.take(),
                        incarnation.take(), granted_version.take(), release.take());
}

// Tells a repeated create from a taken idempotency key, for those that were not inserted.
void explain_refused(Connection& connection, std::span<const NewPrediction> batch,
                     const Round& refused, std::vector<Created>& answers) {
  SqlArray id, account, key, created;
  for (const std::size_t index : refused) {
    answers[index] = {CreateOutcome::kAlreadyExists, {}};
    if (batch[index].idempotency_key.empty()) continue;
    id.add(batch[index].id);
    account.add(batch[index].account);
    key.add_text(batch[index].idempotency_key);
    created.add(batch[index].created_at);
  }
  const pqxx::result rows =
      connection.run(kFindExisting, id.take(), account.take(), key.take(), created.take());
  for (const pqxx::row& row : rows) {
    RowReader reader(row);
    const std::size_t index = index_of(batch, refused, reader.uuid());
    const Uuid existing = reader.uuid();
    if (index == kNotInRound || existing.is_nil() || existing == batch[index].id) continue;
    answers[index] = {CreateOutcome::kDuplicate, existing};
  }
}

void create_round(Connection& connection, std::span<const NewPrediction> batch, const Round& round,
                  std::vector<Created>& answers) {
  std::vector<bool> inserted(batch.size());
  for (const pqxx::row& row : run_create(connection, batch, round)) {
    RowReader reader(row);
    const std::size_t index = index_of(batch, round, reader.uuid());
    if (index == kNotInRound) continue;
    inserted[index] = true;
    answers[index].outcome = reader.boolean() ? CreateOutcome::kAssigned : CreateOutcome::kQueued;
  }
  Round refused;
  for (const std::size_t index : round) {
    if (!inserted[index]) refused.push_back(index);
  }
  if (!refused.empty()) explain_refused(connection, batch, refused, answers);
}

pqxx::result run_assign(Connection& connection, const Fence& fence,
                        std::span<const Assignment> batch, const Round& round) {
  SqlArray id, attempt, instance, worker, incarnation, version, release;
  for (const std::size_t index : round) {
    const Assignment& a = batch[index];
    id.add(a.id);
    attempt.add(static_cast<std::int64_t>(a.expected_attempt));
    instance.add(a.instance);
    worker.add(a.worker);
    incarnation.add(static_cast<std::int64_t>(a.incarnation));
    version.add(a.version);
    release.add(static_cast<std::int64_t>(a.release));
  }
  return connection.run(kAssign, fence.cell, static_cast<std::int64_t>(fence.epoch), id.take(),
                        attempt.take(), instance.take(), worker.take(), incarnation.take(),
                        version.take(), release.take(), batch[round.front()].id.hex(),
                        batch[round.back()].id.hex());
}

// What statements run on: a Connection (each by itself) or one of its transactions.
class InTransaction {
 public:
  InTransaction(Connection& connection, pqxx::transaction_base& transaction)
      : connection_(connection), transaction_(transaction) {}
  template <class... Params>
  pqxx::result run(const Statement& statement, Params&&... params) {
    return connection_.run_in(transaction_, statement, std::forward<Params>(params)...);
  }

 private:
  Connection& connection_;
  pqxx::transaction_base& transaction_;
};

template <class Runner>
pqxx::result run_finish(Runner& connection, std::span<const Finish> batch, const Round& round) {
  SqlArray id, attempt, expected, status, error, started, completed, output, logs, metrics,
      instance, billed;
  for (const std::size_t index : round) {
    const Finish& f = batch[index];
    id.add(f.id);
    if (f.attempt.has_value()) {
      attempt.add(static_cast<std::int64_t>(*f.attempt));
    } else {
      attempt.add_null();
    }
    expected.add(static_cast<std::int64_t>(f.expected.bits));
    status.add(static_cast<std::int64_t>(f.status));
    error.add_text_or_null(f.error);
    started.add(f.started_at);
    completed.add(f.completed_at);
    output.add_text_or_null(f.output);
    logs.add_text_or_null(f.logs);
    metrics.add_text_or_null(f.metrics);
    instance.add(f.instance);
    if (f.billed.has_value()) {
      billed.add(static_cast<std::int64_t>(f.billed->count()));
    } else {
      billed.add_null();
    }
  }
  return connection.run(kFinish, id.take(), attempt.take(), expected.take(), status.take(),
                        error.take(), started.take(), completed.take(), output.take(), logs.take(),
                        metrics.take(), instance.take(), billed.take());
}

// The outcome of those that changed nothing. A new statement, because the winner of a race may have
// committed after the snapshot of the first one.
template <class Runner>
void explain_unfinished(Runner& connection, std::span<const Finish> batch, const Round& lost,
                        std::vector<FinishOutcome>& answers) {
  SqlArray ids;
  for (const std::size_t index : lost) ids.add(batch[index].id);
  const pqxx::result rows = connection.run(
      kWhyNotFinished, ids.take(), batch[lost.front()].id.hex(), batch[lost.back()].id.hex());
  for (const pqxx::row& row : rows) {
    RowReader reader(row);
    const std::size_t index = index_of(batch, lost, reader.uuid());
    if (index == kNotInRound) continue;
    const bool exists = reader.boolean();
    const auto attempt = reader.maybe_integer();
    const auto status = reader.maybe_integer();
    const Finish& f = batch[index];
    answers[index] = exists ? FinishOutcome::kSuperseded : FinishOutcome::kUnknown;
    if (attempt.has_value() && (!f.attempt.has_value() || *f.attempt == *attempt) &&
        status == static_cast<std::int64_t>(f.status)) {
      answers[index] = FinishOutcome::kAlreadySame;
    }
  }
}

template <class Runner>
void finish_round(Runner& connection, std::span<const Finish> batch, const Round& round,
                  std::vector<FinishOutcome>& answers) {
  for (const pqxx::row& row : run_finish(connection, batch, round)) {
    const std::size_t index = index_of(batch, round, RowReader(row).uuid());
    if (index != kNotInRound) answers[index] = FinishOutcome::kCommitted;
  }
  Round lost;
  for (const std::size_t index : round) {
    if (answers[index] != FinishOutcome::kCommitted) lost.push_back(index);
  }
  if (!lost.empty()) explain_unfinished(connection, batch, lost, answers);
}

}  // namespace

Result<std::vector<Created>> PostgresStore::create(std::span<const NewPrediction> batch) {
  return pool_->with("creating predictions", [&](Connection& connection) {
    std::vector<Created> answers(batch.size());
    for (const Round& round : rounds_of(batch)) create_round(connection, batch, round, answers);
    return Result<std::vector<Created>>(std::move(answers));
  });
}

Result<std::vector<Assigned>> PostgresStore::assign(const Fence& fence,
                                                    std::span<const Assignment> batch) {
  using Answer = Result<std::vector<Assigned>>;
  return pool_->with("assigning predictions", [&](Connection& connection) -> Answer {
    std::vector<Assigned> answers(batch.size());
    for (const Round& round : rounds_of(batch)) {
      for (const pqxx::row& row : run_assign(connection, fence, batch, round)) {
        RowReader reader(row);
        if (!reader.boolean()) return fence_is_gone();
        if (reader.next_is_null()) continue;
        const std::size_t index = index_of(batch, round, reader.uuid());
        if (index == kNotInRound) continue;
        Assigned& answer = answers[index];
        answer.assigned = true;
        answer.attempt = reader.integer_as<std::uint32_t>();
        answer.run_limit = std::chrono::milliseconds(reader.integer());
        answer.deadline_at = reader.maybe_time();
        answer.webhook_events = reader.integer_as<std::uint8_t>();
        answer.is_training = reader.boolean();
        answer.input = reader.text();
      }
    }
    return answers;
  });
}

Result<std::vector<bool>> PostgresStore::mark_started(std::span<const Started> batch) {
  return pool_->with("marking predictions as started", [&](Connection& connection) {
    std::vector<bool> answers(batch.size());
    for (const Round& round : rounds_of(batch)) {
      SqlArray id, attempt, at;
      for (const std::size_t index : round) {
        id.add(batch[index].id);
        attempt.add(static_cast<std::int64_t>(batch[index].attempt));
        at.add(batch[index].started_at);
      }
      for (const pqxx::row& row :
           connection.run(kMarkStarted, id.take(), attempt.take(), at.take())) {
        const std::size_t index = index_of(batch, round, RowReader(row).uuid());
        if (index != kNotInRound) answers[index] = true;
      }
    }
    return Result<std::vector<bool>>(std::move(answers));
  });
}

Result<std::vector<FinishOutcome>> PostgresStore::finish(std::span<const Finish> batch) {
  return pool_->with("finishing predictions", [&](Connection& connection) {
    std::vector<FinishOutcome> answers(batch.size(), FinishOutcome::kUnknown);
    for (const Round& round : rounds_of(batch)) finish_round(connection, batch, round, answers);
    return Result<std::vector<FinishOutcome>>(std::move(answers));
  });
}

FinishOutcome finish_in(Connection& connection, pqxx::transaction_base& transaction,
                        const Finish& finish) {
  InTransaction runner(connection, transaction);
  std::vector<FinishOutcome> answers(1, FinishOutcome::kUnknown);
  finish_round(runner, std::span(&finish, 1), Round{0}, answers);
  return answers.front();
}

Result<std::vector<bool>> PostgresStore::requeue(const Fence& fence,
                                                 std::span<const Requeue> batch) {
  using Answer = Result<std::vector<bool>>;
  return pool_->with("putting predictions back", [&](Connection& connection) -> Answer {
    std::vector<bool> answers(batch.size());
    for (const Round& round : rounds_of(batch)) {
      SqlArray id, attempt, worker, incarnation, failures;
      for (const std::size_t index : round) {
        id.add(batch[index].id);
        attempt.add(static_cast<std::int64_t>(batch[index].attempt));
        worker.add(batch[index].worker);
        incarnation.add(static_cast<std::int64_t>(batch[index].incarnation));
        failures.add(static_cast<std::int64_t>(batch[index].infra_failures));
      }
      const pqxx::result rows =
          connection.run(kRequeue, fence.cell, static_cast<std::int64_t>(fence.epoch), id.take(),
                         attempt.take(), worker.take(), incarnation.take(), failures.take());
      for (const pqxx::row& row : rows) {
        RowReader reader(row);
        if (!reader.boolean()) return fence_is_gone();
        if (reader.next_is_null()) continue;
        const std::size_t index = index_of(batch, round, reader.uuid());
        if (index != kNotInRound) answers[index] = true;
      }
    }
    return answers;
  });
}

Result<Canceled> PostgresStore::cancel(PredictionId id, AccountId account, WallTime now) {
  // The row may be assigned or put back between two steps: look again, a few times.
  for (int attempt = 0; attempt < 10; ++attempt) {
    Canceled answer;
    std::optional<std::int64_t> state;
    MIMEO_RETURN_IF_ERROR(pool_->with("canceling", [&](Connection& connection) -> Status {
      const pqxx::result rows = connection.run(kCancelLook, id.hex(), account);
      if (rows.empty()) return absl::OkStatus();
      const pqxx::row row = rows[0];
      RowReader reader(row);
      answer.target = reader.integer();
      state = reader.maybe_integer();
      answer.outcome = state.has_value() ? CancelOutcome::kRequested : CancelOutcome::kTerminal;
      return absl::OkStatus();
    }));
    if (answer.outcome != CancelOutcome::kRequested) return answer;
    if (*state == static_cast<std::int64_t>(ActiveState::kQueued)) {
      Finish finish_queued;
      finish_queued.id = id;
      finish_queued.expected = kOnlyQueued;
      finish_queued.status = PredictionStatus::kCanceled;
      finish_queued.completed_at = now;
      MIMEO_ASSIGN_OR_RETURN(const auto outcomes, finish({&finish_queued, 1}));
      if (outcomes[0] == FinishOutcome::kCommitted) {
        answer.outcome = CancelOutcome::kCanceled;
        return answer;
      }
      continue;
    }
    bool is_noted = false;
    MIMEO_RETURN_IF_ERROR(pool_->with("canceling", [&](Connection& connection) -> Status {
      const pqxx::result rows = connection.run(kCancelWish, id.hex(), sql_time(now));
      is_noted = !rows.empty();
      if (is_noted) answer.attempt = rows[0][0].as<std::uint32_t>();
      return absl::OkStatus();
    }));
    if (is_noted) return answer;
  }
  return absl::AbortedError("the prediction keeps changing its state");
}

Status PostgresStore::mark_output_seen(std::span<const PredictionId> ids) {
  return pool_->with("noting delivered output", [&](Connection& connection) -> Status {
    SqlArray array;
    for (const PredictionId& id : ids) array.add(id);
    connection.run(kMarkOutputSeen, array.take());
    return absl::OkStatus();
  });
}

}  // namespace mimeo::store
