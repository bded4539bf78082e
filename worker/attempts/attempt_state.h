// The life of one attempt on this worker, as a state machine without I/O: from Run to the moment
// when a control plane holds its result. attempt_runner.h obeys it.
//
//   fetching inputs -> sent to the shim -> started -> result (files stored) -> offered -> done
//
// Rules that hold in every state: an attempt takes its slot from Run until its container is free of
// it; a result is offered exactly once; what never started is given back, never failed, unless its
// inputs could not be fetched or somebody canceled it.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace mimeo::worker {

// Why an attempt failed. Mirrors FailureCause of proto/types.proto.
enum class AttemptFault : std::uint8_t {
  kNone,
  kModel,
  kContainerExit,
  kRunLimit,
  kInputFetch,
  kOutputStore,
  kUnhealthy,
};
enum class AttemptOutcome : std::uint8_t { kSucceeded, kFailed, kCanceled };

// --- What happened ---
struct InputsReady {};
struct InputsFailed {
  std::string reason;
};
struct ModelStarted {};   // The server took the request.
struct ResultArrived {};  // From the shim, with its outcome in it.
struct Refused {          // By the server in the container: the model did not run.
  std::string reason;
};
struct CancelAsked {
  std::chrono::milliseconds grace{10'000};
};
struct ForgetAsked {};   // Not ours any more: no result wanted.
struct GracePassed {};   // After kArmGrace.
struct RunLimitPassed {  // After kArmRunLimit: the shim should have ended it before.
  bool is_deadline = false;
};
struct ContainerGone {  // Its container is gone; the shim reports no more.
  std::string reason;
};
struct FilesStored {};
struct FilesFailed {
  std::string reason;
};
struct Acknowledged {};  // A control plane answered the result, whatever it said.

using AttemptEvent = std::variant<InputsReady, InputsFailed, ModelStarted, ResultArrived, Refused,
                                  CancelAsked, ForgetAsked, GracePassed, RunLimitPassed,
                                  ContainerGone, FilesStored, FilesFailed, Acknowledged>;

// --- What to do ---
enum class AttemptStep : std::uint8_t {
  kFetchInputs,     // -> InputsReady or InputsFailed.
  kStart,           // Tell the shim. -> ModelStarted, ResultArrived, Refused.
  kCancel,          // Tell the shim to cancel.
  kArmGrace,        // -> GracePassed after `limit`.
  kArmRunLimit,     // -> RunLimitPassed some time after the attempt's own limit.
  kKillContainer,   // -> ContainerGone.
  kReportStarted,   // To the scheduler.
  kReportEnded,     // To the scheduler: the slot is free.
  kReportRejected,  // To the scheduler: queue it again. `text` for the log.
  kFreeSlot,        // Of the instance, here.
  kMakeResult,      // The shim has none: `outcome`, `fault`, `text` become it.
  kStoreFiles,      // Of the result. -> FilesStored or FilesFailed.
  kOffer,           // The result to a control plane. -> Acknowledged.
  kDropResult,      // Tell the shim that the result is stored (or not wanted).
  kForget,          // Nothing is left of the attempt here.
};
enum class RejectReason : std::uint8_t { kInstanceGone, kBusy };
struct AttemptAction {
  AttemptStep step = AttemptStep::kForget;
  AttemptOutcome outcome = AttemptOutcome::kFailed;
  AttemptFault fault = AttemptFault::kNone;
  RejectReason reject = RejectReason::kBusy;
  std::string text;
  std::chrono::milliseconds limit{0};
};

class AttemptLife {
 public:
  // The first actions of a new attempt, accepted and with a slot.
  [[nodiscard]] std::vector<AttemptAction> begin();
  // One that a restarted daemon hears of from a shim, which sends its result when it has one.
  [[nodiscard]] std::vector<AttemptAction> adopt(bool is_started);

  [[nodiscard]] std::vector<AttemptAction> resume(const AttemptEvent& event);

  // Holds a slot of its instance.
  [[nodiscard]] bool is_running() const { return has_slot_; }
  [[nodiscard]] bool is_started() const { return is_started_; }
  // With the shim, which will say how it ends.
  [[nodiscard]] bool is_in_container() const {
    return phase_ == Phase::kSent || phase_ == Phase::kStarted;
  }
  // Finished; its result waits for a control plane.
  [[nodiscard]] bool is_finished() const { return phase_ >= Phase::kStoring; }
  [[nodiscard]] bool is_done() const { return phase_ == Phase::kDone; }

 private:
  enum class Phase : std::uint8_t {
    kFetching,
    kSent,
    kStarted,
    kStoring,
    kOffered,
    kDone,
  };
  using Actions = std::vector<AttemptAction>;

  Actions on(const InputsReady& event);
  Actions on(const InputsFailed& event);
  Actions on(const ModelStarted& event);
  Actions on(const ResultArrived& event);
  Actions on(const Refused& event);
  Actions on(const CancelAsked& event);
  Actions on(const ForgetAsked& event);
  Actions on(const GracePassed& event);
  Actions on(const RunLimitPassed& event);
  Actions on(const ContainerGone& event);
  Actions on(const FilesStored& event);
  Actions on(const FilesFailed& event);
  Actions on(const Acknowledged& event);

  // Ends without a result of the shim's.
  Actions end_with(AttemptOutcome outcome, AttemptFault fault, std::string text);
  Actions reject(RejectReason reason, std::string text);
  Actions done();
  void free_slot(Actions& actions);

  Phase phase_ = Phase::kFetching;
  bool has_slot_ = false;
  bool is_started_ = false;
  bool is_canceled_ = false;        // Somebody asked to cancel, or its deadline passed.
  bool is_forgotten_ = false;       // No result wanted.
  bool is_over_run_limit_ = false;  // The container is being killed for it.
};

}  // namespace mimeo::worker
