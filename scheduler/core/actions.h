// What the cell wants done. The cell decides, dispatcher.h does: commits first, messages after.
// Answers to the commits come back as events of cell.h.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "common/base/ids.h"
#include "common/store/fleet.h"
#include "common/store/predictions.h"
#include "scheduler/core/types.h"

namespace mimeo::scheduler {

// Commits. Each is repeated by the dispatcher until it is answered; each answer is an event.

// queued -> assigned. Answer: Cell::assigned.
struct AssignPrediction {
  store::Assignment assignment;
};
// assigned or processing -> queued. Answer: Cell::requeued.
struct RequeuePrediction {
  store::Requeue requeue;
};
// -> terminal. Answer: Cell::finished.
struct FinishPrediction {
  store::Finish finish;
};
// Read the row as it is now. Answer: Cell::row_read.
struct ReadPrediction {
  PredictionId id;
};
// Insert the row. Answer: Cell::instance_inserted.
struct InsertInstance {
  store::InstanceRow row;
};
// No answer: repeated until written.
struct RecordInstance {
  store::InstanceChange change;
};
struct RecordWorker {
  WorkerId worker;
  store::WorkerState state = store::WorkerState::kReady;
};
struct RecordRelease {
  TargetId target = 0;
  DeploymentId deployment = 0;
  std::int32_t number = 0;
  store::ReleaseState from = store::ReleaseState::kRolling;
  store::ReleaseState to = store::ReleaseState::kLive;
};

// Reads. Answers: Cell::put_target or remove_target, Cell::put_account.
struct NeedTarget {
  TargetId target = 0;
};
struct NeedAccount {
  AccountId account = 0;
};

// Messages to workers. Lost when the worker is not connected: its next Hello repairs that.

struct SendRun {
  WorkerId worker;
  PredictionId id;
  std::uint32_t attempt = 0;
  InstanceId instance;
  std::optional<std::string> input;  // nullopt: read it from the store.
  std::chrono::milliseconds run_limit{0};
  bool limit_is_deadline = false;  // The deadline comes before the run limit.
  std::chrono::milliseconds progress{0};
  HubHint hub = 0;
  bool is_training = false;
};
struct SendCancel {
  WorkerId worker;
  PredictionId id;
  std::uint32_t attempt = 0;
  std::chrono::milliseconds grace{0};
};
struct SendForget {
  WorkerId worker;
  PredictionId id;
  std::uint32_t attempt = 0;
};
// With what the store knows of the target's release (image, schema): the dispatcher reads it.
struct SendEnsure {
  WorkerId worker;
  InstanceId instance;
  TargetId target = 0;
  std::int32_t release = 0;
  VersionId version;
  std::vector<std::uint32_t> gpus;
};
struct SendStop {
  WorkerId worker;
  InstanceId instance;
  std::chrono::milliseconds drain{0};
};

using Action = std::variant<AssignPrediction, RequeuePrediction, FinishPrediction, ReadPrediction,
                            InsertInstance, RecordInstance, RecordWorker, RecordRelease, NeedTarget,
                            NeedAccount, SendRun, SendCancel, SendForget, SendEnsure, SendStop>;

}  // namespace mimeo::scheduler
