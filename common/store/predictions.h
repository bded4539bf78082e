// Persistence of predictions: the heart of the system's promises.
//
// Three kinds of row per prediction: `predictions` (inserted once), `active` (small, deleted at the
// end), `results` (inserted once; its primary key is the exactly-one-result guarantee); content is
// in `payloads`. Every change of state is a compare-and-set that names the state and attempt that
// it expects. A prediction is terminal if and only if it has a result and no active row.
//
// All methods block: call them from a BlockingPool thread. All are safe from any thread. Batch
// methods are one statement in one round trip, atomic as a whole, with one answer per item in the
// order of the items. An error status means that nothing is known about the batch (it may even be
// committed): repeat it; every method here may be repeated.
//
// Texts (input, output, logs, error, metrics, ...) come back as sanitize_text() of text.h leaves
// them: valid UTF-8 without NUL.
//
// Implementations: memory/memory_store.h (tests, simulator), postgres/postgres_store.h. Both pass
// contract/predictions_contract.h.

#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/domain/prediction.h"

namespace mimeo::store {

// Which scheduler may assign: the epoch under which it owns the cell (see fleet.h).
struct Fence {
  CellId cell = 0;
  std::uint64_t epoch = 0;
};

// A slot promised by the scheduler to a prediction that is about to be inserted (T2).
struct Grant {
  Fence fence;
  InstanceId instance;
  WorkerId worker;
  std::uint64_t incarnation = 0;
  VersionId version;  // Late binding: the version of that instance.
  std::int32_t release = 0;
};

struct NewPrediction {
  PredictionId id;
  AccountId account = 0;
  TargetId target = 0;
  CellId cell = 0;  // Of the target.
  ModelId model = 0;
  VersionId version;  // That the input was validated against.
  std::optional<DeploymentId> deployment;
  PredictionSource source = PredictionSource::kApi;
  Priority priority = Priority::kDefault;
  RetryPolicy retry = RetryPolicy::kUnlessStreamed;
  bool is_training = false;
  WallTime created_at;
  std::optional<WallTime> deadline_at;
  std::chrono::milliseconds run_limit{0};
  std::string input;         // JSON object as the caller sent it; secrets included.
  std::string public_input;  // What the API echoes (secrets redacted); empty = same as input.
  std::string webhook;       // Empty = none.
  std::uint8_t webhook_events = 0;  // Bits: 1 start, 2 output, 4 logs, 8 completed, 16 given.
  std::string stream_token;     // Credential in the stream URL; empty = the model cannot stream.
  std::string destination;      // Trainings: "owner/name"; else empty.
  std::string idempotency_key;  // Empty = none; unique per account for at least a day.
  std::optional<Grant> grant;   // Insert as assigned, if the fence still holds.
};

enum class CreateOutcome : std::uint8_t {
  kQueued,         // T1, also when the grant's fence did not hold any more.
  kAssigned,       // T2.
  kDuplicate,      // The idempotency key is taken: see existing_id. Nothing was inserted.
  kAlreadyExists,  // This very id is there: a repeated batch.
};
struct Created {
  CreateOutcome outcome = CreateOutcome::kQueued;
  PredictionId existing_id;  // With kDuplicate.
};

// queued -> assigned (T3). Repeating an assignment that took place answers the same again, as long
// as the row is still assigned so.
struct Assignment {
  PredictionId id;
  std::uint32_t expected_attempt = 0;  // The row's attempt before; the new one is one higher.
  InstanceId instance;
  WorkerId worker;
  std::uint64_t incarnation = 0;
  VersionId version;  // Of the instance.
  std::int32_t release = 0;
};
// nullopt-like: `assigned` false when the row was not queued with that attempt any more, or its
// cancellation was asked for.
struct Assigned {
  bool assigned = false;
  std::uint32_t attempt = 0;
  std::string input;
  std::chrono::milliseconds run_limit{0};
  std::optional<WallTime> deadline_at;
  std::uint8_t webhook_events = 0;  // 0 when there is no webhook.
  bool is_training = false;
};

// assigned -> processing (T4).
struct Started {
  PredictionId id;
  std::uint32_t attempt = 0;
  WallTime started_at;
};

// -> terminal (T5, T7, T8, T10 to T14). With the default `expected`, a result is also adopted late:
// while the row is queued again and no newer attempt was assigned.
struct Finish {
  PredictionId id;
  std::optional<std::uint32_t> attempt;  // Must be the row's; nullopt = any.
  ActiveStates expected = kAnyActive;    // The row's state must be in it.
  PredictionStatus status = PredictionStatus::kFailed;
  std::string error;                   // With kFailed.
  std::optional<WallTime> started_at;  // Used when `active` has none: the first start is shown.
  WallTime completed_at;
  std::string output;  // JSON; empty = null.
  std::string logs;
  std::string metrics;  // JSON object of the model's own metrics; empty = {}.
  std::optional<InstanceId> instance;
  // How long the attempt ran, for usage.h. nullopt: nobody measured it. A canceled one then counts
  // from its start to its end, any other nothing.
  std::optional<std::chrono::milliseconds> billed;
};
enum class FinishOutcome : std::uint8_t {
  kCommitted,    // This call made it terminal.
  kAlreadySame,  // Terminal by the same attempt with the same status earlier: a repeated call.
  kSuperseded,   // Terminal by something else, or another attempt or state is current.
  kUnknown,      // No such prediction.
};

// assigned or processing -> queued (T6).
struct Requeue {
  PredictionId id;
  std::uint32_t attempt = 0;
  WorkerId worker;
  std::uint64_t incarnation = 0;
  std::uint32_t infra_failures = 0;  // Added; 0 when the attempt never started.
};

enum class CancelOutcome : std::uint8_t {
  kCanceled,   // Was queued; is terminal now (T8).
  kRequested,  // Runs or is assigned: cancel_at is set (T9); the scheduler must be told.
  kTerminal,   // Was terminal already.
  kUnknown,    // No such prediction of this account.
};
struct Canceled {
  CancelOutcome outcome = CancelOutcome::kUnknown;
  TargetId target = 0;
  std::uint32_t attempt = 0;  // With kRequested.
};

// One row of `active`, for the scheduler.
struct ActiveRow {
  PredictionId id;
  CellId cell = 0;
  TargetId target = 0;
  AccountId account = 0;
  Priority priority = Priority::kDefault;
  ActiveState state = ActiveState::kQueued;
  std::uint32_t attempt = 0;
  std::uint32_t infra_failures = 0;
  InstanceId instance;  // Nil when queued.
  WorkerId worker;
  std::uint64_t incarnation = 0;
  WallTime created_at;
  std::optional<WallTime> deadline_at;
  std::optional<WallTime> assigned_at;
  std::optional<WallTime> started_at;
  std::optional<WallTime> cancel_at;
  std::chrono::milliseconds run_limit{0};
  RetryPolicy retry = RetryPolicy::kUnlessStreamed;
  bool output_seen = false;  // Output was delivered to somebody.
};

// Everything the API shows of a prediction.
struct PredictionView {
  PredictionId id;
  AccountId account = 0;
  TargetId target = 0;
  std::string model_owner;
  std::string model_name;
  VersionId version;       // Of the last attempt, else as validated; nil = not shown (official).
  std::string deployment;  // "owner/name", or empty.
  PredictionSource source = PredictionSource::kApi;
  PredictionStatus status = PredictionStatus::kStarting;
  bool is_training = false;
  std::string destination;
  WallTime created_at;
  std::optional<WallTime> started_at;
  std::optional<WallTime> completed_at;
  std::optional<WallTime> deadline_at;
  std::string input;   // JSON, redacted; empty after removal.
  std::string output;  // JSON; empty = null.
  std::string logs;
  std::string error;
  std::string metrics;        // JSON object of the model's own; empty = {}.
  bool data_removed = false;  // Input, output and logs were dropped by retention.
  std::string webhook;
  std::uint8_t webhook_events = 0;
  std::string stream_token;
  std::uint32_t attempt = 0;  // 0 = never assigned.
};

struct PredictionFilter {
  AccountId account = 0;
  std::optional<WallTime> created_after;   // Inclusive.
  std::optional<WallTime> created_before;  // Exclusive.
  std::optional<PredictionSource> source;
  std::optional<DeploymentId> deployment;
  bool trainings = false;  // Only trainings, or only predictions.
  PredictionId before;     // Cursor: ids below (newest first); nil = from the newest.
  PredictionId after;      // Cursor: ids above, for `previous`; nil = unused. Not with `before`.
  std::size_t limit = 100;
};

class PredictionStore {
 public:
  virtual ~PredictionStore() = default;

  virtual Result<std::vector<Created>> create(std::span<const NewPrediction> batch) = 0;
  // kAborted for the whole batch when the fence does not hold: somebody else owns the cell.
  virtual Result<std::vector<Assigned>> assign(const Fence& fence,
                                               std::span<const Assignment> batch) = 0;
  // True per item whose row changed. Also writes the webhook outbox row for `start` (once, not for
  // a retry).
  virtual Result<std::vector<bool>> mark_started(std::span<const Started> batch) = 0;
  // Also writes payloads, the run counter, the webhook outbox rows (for `completed`; for `start`
  // when mark_started() never came; for a last `output` or `logs` when those are wanted but not
  // `completed`) and, when it was ever assigned, a row for usage.h. Of several items with one id,
  // at most one is committed.
  virtual Result<std::vector<FinishOutcome>> finish(std::span<const Finish> batch) = 0;
  // True per item whose row changed. kAborted when the fence does not hold.
  virtual Result<std::vector<bool>> requeue(const Fence& fence, std::span<const Requeue> batch) = 0;
  virtual Result<Canceled> cancel(PredictionId id, AccountId account, WallTime now) = 0;
  // Output of these predictions was delivered to somebody (never undone).
  virtual Status mark_output_seen(std::span<const PredictionId> ids) = 0;

  // kNotFound. `account` 0 = any (internal callers).
  virtual Result<PredictionView> get(PredictionId id, AccountId account) = 0;
  // By the credential of its stream URL; kNotFound.
  virtual Result<PredictionView> get_by_stream_token(PredictionId id, std::string_view token) = 0;
  // The input with its secrets, for the worker; kNotFound.
  virtual Result<std::string> get_input(PredictionId id) = 0;
  // Newest first (with `after`: the page just above it, still newest first). Items are complete,
  // however large.
  virtual Result<std::vector<PredictionView>> list(const PredictionFilter& filter) = 0;
  // Terminal ones of these ids, for waiters whose hint was lost.
  virtual Result<std::vector<PredictionId>> which_are_terminal(
      std::span<const PredictionId> ids) = 0;

  // Rows of the cell with id > `after`, in id order, at most `limit`.
  virtual Result<std::vector<ActiveRow>> scan_active(CellId cell, PredictionId after,
                                                     std::size_t limit) = 0;
  // Number of active predictions of the account, for max_queued. Reads all of `active`: callers
  // keep the answer for about a second.
  virtual Result<std::int64_t> count_active(AccountId account) = 0;
};

}  // namespace mimeo::store
