// Between the protos and the core's values.

#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/store/catalog.h"
#include "proto/worker_session.pb.h"
#include "scheduler/core/actions.h"
#include "scheduler/core/cell.h"

namespace mimeo::scheduler {

[[nodiscard]] std::uint32_t wire_ms(std::chrono::milliseconds duration);

// nullopt when the id is not one.
[[nodiscard]] std::optional<AttemptKey> from_wire(const v1::AttemptId& id);
[[nodiscard]] std::optional<InstanceStatus> from_wire(const v1::InstanceReport& report);
[[nodiscard]] RejectReason from_wire(v1::AttemptRejected::Reason reason);
// `id` and `incarnation` as registered. Reports that make no sense are left out.
[[nodiscard]] WorkerHello from_wire(const v1::Hello& hello, WorkerId id, std::uint64_t incarnation);
// JSON for the workers table: skus, total, gpus, labels, version, runtime.
[[nodiscard]] std::string inventory_json(const v1::Inventory& inventory);

void set_attempt(v1::AttemptId& out, PredictionId id, std::uint32_t attempt);
[[nodiscard]] v1::SchedulerMessage to_wire(SendRun run, const std::vector<std::string>& hubs);
[[nodiscard]] v1::SchedulerMessage to_wire(const SendCancel& cancel);
[[nodiscard]] v1::SchedulerMessage to_wire(const SendForget& forget);
[[nodiscard]] v1::SchedulerMessage to_wire(const SendStop& stop);
// kNotFound when the target has neither this release nor this version any more.
[[nodiscard]] Result<v1::SchedulerMessage> to_wire(const SendEnsure& ensure,
                                                   const store::RunnableTarget& target,
                                                   std::chrono::milliseconds setup_limit);

}  // namespace mimeo::scheduler
