#include "scheduler/wire.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace mimeo::scheduler {
namespace {

std::optional<VersionId> version_from(const std::string& raw) {
  const Result<VersionId> version = VersionId::from_bytes(raw);
  return version.ok() ? std::optional(*version) : std::nullopt;
}

Resources resources_from(const v1::Resources& wire) {
  return {.cpu_milli = wire.cpu_milli(),
          .memory = {wire.memory_bytes()},
          .gpus = wire.gpus(),
          .gpu_memory = {wire.gpu_memory_bytes()},
          .scratch = {wire.scratch_bytes()}};
}

void set_resources(v1::Resources& out, const Resources& resources) {
  out.set_cpu_milli(resources.cpu_milli);
  out.set_memory_bytes(resources.memory.count);
  out.set_gpus(resources.gpus);
  out.set_gpu_memory_bytes(resources.gpu_memory.count);
  out.set_scratch_bytes(resources.scratch.count);
}

InstanceState state_from(v1::InstanceState state) {
  if (state == v1::INSTANCE_STATE_UNSPECIFIED) return InstanceState::kRequested;
  return static_cast<InstanceState>(state);  // The numbers are equal.
}

}  // namespace

std::uint32_t wire_ms(std::chrono::milliseconds duration) {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(duration.count(), 0, std::numeric_limits<std::uint32_t>::max()));
}

std::optional<AttemptKey> from_wire(const v1::AttemptId& wire) {
  const Result<PredictionId> id = Uuid::parse(wire.prediction_id());
  if (!id.ok()) return std::nullopt;
  return AttemptKey{*id, wire.attempt()};
}

std::optional<InstanceStatus> from_wire(const v1::InstanceReport& report) {
  const Result<InstanceId> id = Uuid::parse(report.instance_id());
  if (!id.ok()) return std::nullopt;
  return InstanceStatus{.id = *id,
                        .state = state_from(report.state()),
                        .slots = report.slots(),
                        .detail = report.detail(),
                        .cold_start = std::chrono::milliseconds{report.cold_start_ms()}};
}

RejectReason from_wire(v1::AttemptRejected::Reason reason) {
  switch (reason) {
    case v1::AttemptRejected::REASON_INSTANCE_GONE:
      return RejectReason::kInstanceGone;
    case v1::AttemptRejected::REASON_DRAINING:
      return RejectReason::kDraining;
    case v1::AttemptRejected::REASON_STALE_LEASE:
      return RejectReason::kStaleLease;
    default:
      return RejectReason::kBusy;
  }
}

WorkerHello from_wire(const v1::Hello& wire, WorkerId id, std::uint64_t incarnation) {
  WorkerHello hello;
  hello.id = id;
  hello.incarnation = incarnation;
  const v1::Inventory& inventory = wire.inventory();
  hello.skus.assign(inventory.skus().begin(), inventory.skus().end());
  hello.total = resources_from(inventory.total());
  for (const v1::Gpu& gpu : inventory.gpus()) {
    hello.gpus.push_back({.index = gpu.index(), .memory = {gpu.memory_bytes()}, .is_free = true});
  }
  for (const std::string& raw : wire.cache().versions_added()) {
    if (const auto version = version_from(raw)) hello.images.push_back(*version);
  }
  for (const v1::InstanceReport& report : wire.instances()) {
    if (auto status = from_wire(report)) hello.instances.push_back(std::move(*status));
  }
  for (const v1::AttemptReport& report : wire.attempts()) {
    const auto key = from_wire(report.id());
    const Result<InstanceId> instance = Uuid::parse(report.instance_id());
    if (!key) continue;
    hello.attempts.push_back({.key = *key,
                              .instance = instance.ok() ? *instance : InstanceId{},
                              .was_started = report.started(),
                              .is_spooled = report.spooled()});
  }
  return hello;
}

std::string inventory_json(const v1::Inventory& inventory) {
  using nlohmann::json;
  json gpus = json::array();
  for (const v1::Gpu& gpu : inventory.gpus()) {
    gpus.push_back({{"index", gpu.index()},
                    {"uuid", gpu.uuid()},
                    {"name", gpu.name()},
                    {"memory_bytes", gpu.memory_bytes()}});
  }
  json skus = json::array();
  for (const std::string& sku : inventory.skus()) skus.push_back(sku);
  json labels = json::object();
  for (const auto& [name, value] : inventory.labels()) labels[name] = value;
  const v1::Resources& total = inventory.total();
  const json all = {{"skus", std::move(skus)},
                    {"total",
                     {{"cpu_milli", total.cpu_milli()},
                      {"memory_bytes", total.memory_bytes()},
                      {"gpus", total.gpus()},
                      {"gpu_memory_bytes", total.gpu_memory_bytes()},
                      {"scratch_bytes", total.scratch_bytes()}}},
                    {"gpus", std::move(gpus)},
                    {"labels", std::move(labels)},
                    {"version", inventory.version()},
                    {"runtime", inventory.runtime()}};
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

void set_attempt(v1::AttemptId& out, PredictionId id, std::uint32_t attempt) {
  out.set_prediction_id(id.str());
  out.set_attempt(attempt);
}

v1::SchedulerMessage to_wire(SendRun run, const std::vector<std::string>& hubs) {
  v1::SchedulerMessage message;
  v1::Run& wire = *message.mutable_run();
  set_attempt(*wire.mutable_id(), run.id, run.attempt);
  wire.set_instance_id(run.instance.str());
  if (run.input) wire.set_input(std::move(*run.input));
  wire.set_run_limit_ms(wire_ms(run.run_limit));
  wire.set_limit_is_deadline(run.limit_is_deadline);
  for (const std::string& hub : hubs) wire.add_hub_addrs(hub);
  wire.set_progress_ms(wire_ms(run.progress));
  wire.set_is_training(run.is_training);
  return message;
}

v1::SchedulerMessage to_wire(const SendCancel& cancel) {
  v1::SchedulerMessage message;
  v1::CancelAttempt& wire = *message.mutable_cancel();
  set_attempt(*wire.mutable_id(), cancel.id, cancel.attempt);
  wire.set_grace_ms(wire_ms(cancel.grace));
  return message;
}

v1::SchedulerMessage to_wire(const SendForget& forget) {
  v1::SchedulerMessage message;
  set_attempt(*message.mutable_forget()->mutable_id(), forget.id, forget.attempt);
  return message;
}

v1::SchedulerMessage to_wire(const SendStop& stop) {
  v1::SchedulerMessage message;
  message.mutable_stop()->set_instance_id(stop.instance.str());
  message.mutable_stop()->set_drain_ms(wire_ms(stop.drain));
  return message;
}

Result<v1::SchedulerMessage> to_wire(const SendEnsure& ensure, const store::RunnableTarget& target,
                                     std::chrono::milliseconds setup_limit) {
  const store::RunnableRelease* found = nullptr;
  for (const store::RunnableRelease& release : target.releases) {
    if (release.version.id != ensure.version) continue;
    if (found == nullptr || release.number == ensure.release) found = &release;
  }
  if (found == nullptr) return absl::NotFoundError("its version was removed");
  const store::Version& version = found->version;
  v1::SchedulerMessage message;
  v1::EnsureInstance& wire = *message.mutable_ensure();
  wire.set_instance_id(ensure.instance.str());
  wire.set_target_id(ensure.target);
  wire.set_version_id(version.id.raw());
  wire.set_release(static_cast<std::uint32_t>(ensure.release));
  wire.set_repository(version.repository);
  wire.set_digest(version.image_digest);
  wire.set_sku(target.target.sku);
  set_resources(*wire.mutable_resources(), target.hardware.resources);
  for (const std::uint32_t gpu : ensure.gpus) wire.add_gpu_indices(gpu);
  const bool is_training = target.target.kind == store::TargetKind::kTraining;
  const std::int32_t slots = is_training ? 1 : version.concurrency;
  wire.set_concurrency(static_cast<std::uint32_t>(std::max(1, slots)));
  wire.set_setup_limit_ms(wire_ms(setup_limit));
  wire.set_openapi_schema(version.openapi_schema);
  wire.set_is_training(is_training);
  return message;
}

}  // namespace mimeo::scheduler
