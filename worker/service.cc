#include "worker/service.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "common/http/health_endpoints.h"
#include "common/telemetry/log.h"

#ifndef MIMEO_VERSION
#define MIMEO_VERSION "dev"
#endif

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;

constexpr std::uint64_t kMebibyte = 1ULL << 20;
constexpr std::size_t kControlThreads = 2;
constexpr std::size_t kFileThreads = 8;
// After the drain limit: containers die, results are told.
constexpr std::chrono::seconds kAfterDrain{10};

HubOptions hub_options(const StateDir& state, const WorkerConfig& config,
                       const std::string& token) {
  HubOptions options;
  options.worker_id = state.worker().str();
  options.token = token;
  options.tls = config.tls();
  return options;
}

ImageStoreOptions image_options(const StateDir& state, const WorkerConfig& config) {
  ImageStoreOptions options;
  options.file = state.path() / "images.json";
  options.limit = Bytes{config.image_cache_mb * kMebibyte};
  return options;
}

InputLimits input_limits(const WorkerConfig& config) {
  InputLimits limits;
  limits.addresses.allow_private = config.allow_private_inputs;
  limits.max_file = Bytes{config.max_input_mb * kMebibyte};
  return limits;
}

InstancePolicy instance_policy(const WorkerConfig& config, const std::vector<GpuDevice>& gpus) {
  InstancePolicy policy;
  policy.shim_program = config.shim;
  policy.shim_log_level = config.log_level;
  policy.network = config.allow_egress ? NetworkAccess::kEgress : NetworkAccess::kNone;
  policy.reach = config.publish_ports ? ServerReach::kPublishedPort : ServerReach::kNamespace;
  policy.gateway_port = config.gateway_port;
  for (const auto& gpu : gpus) policy.gpu_uuids.push_back(gpu.uuid);
  return policy;
}

SessionOptions session_options(const WorkerConfig& config, const std::string& token) {
  SessionOptions options;
  options.schedulers = config.schedulers;
  options.token = token;
  options.tls = config.tls();
  return options;
}

// "sha256:<hex>" as the 32 bytes of a version id; empty for other digests.
std::string version_of(const std::string& digest) {
  const std::size_t colon = digest.find(':');
  if (colon == std::string::npos) return {};
  const auto version = VersionId::parse(digest.substr(colon + 1));
  return version.ok() ? version->raw() : std::string{};
}

void add_versions(const std::vector<std::string>& digests,
                  google::protobuf::RepeatedPtrField<std::string>& out) {
  for (const auto& digest : digests) {
    std::string version = version_of(digest);
    if (!version.empty()) *out.Add() = std::move(version);
  }
}

}  // namespace

Service::Service(ServiceParts parts, WorkerConfig config, std::string join_token)
    : parts_(parts),
      config_(std::move(config)),
      control_pool_(kControlThreads),
      files_pool_(kFileThreads),
      hub_calls_(join_token, config_.tls()),
      hub_(parts_.executor, parts_.clock, parts_.random,
           hub_options(parts_.state, config_, join_token),
           HubCallbacks{[this](AttemptKey key, v1::CompleteReply::Result answer) {
                          attempts_->on_completed(key, answer);
                        },
                        [this](AttemptKey key, std::uint64_t after_seq) {
                          attempts_->on_replay_wanted(key, after_seq);
                        }}),
      images_(parts_.executor,
              ImageStoreParts{parts_.runtime, control_pool_, hub_calls_, parts_.clock,
                              parts_.random, [this] { return hub_.addresses(); },
                              [this](const ImageChange& change) {
                                v1::WorkerMessage message;
                                v1::CacheReport& cache = *message.mutable_cache();
                                add_versions(change.added, *cache.mutable_versions_added());
                                add_versions(change.removed, *cache.mutable_versions_removed());
                                session_.send(std::move(message));
                              }},
              image_options(parts_.state, config_)),
      inputs_(files_pool_, parts_.random, hub_calls_, input_limits(config_)),
      outputs_(files_pool_, parts_.random, hub_calls_, OutputLimits{}),
      session_(parts_.executor, control_pool_, parts_.clock, parts_.random, parts_.state,
               session_options(config_, join_token), *this) {
  hub_.set_incarnation(parts_.state.incarnation());
}

Service::~Service() = default;

awaitable<Status> Service::start() {
  auto devices = parts_.gpus.devices();
  if (!devices.ok()) co_return with_context(devices.status(), "looking for GPUs");
  gpu_devices_ = std::move(*devices);
  const Status runtime = co_await parts_.runtime.ping();
  if (!runtime.ok()) {
    co_return with_context(runtime, "the container runtime '" + config_.runtime + "'");
  }
  const Status images = co_await images_.load();
  if (!images.ok()) co_return with_context(images, "reading the list of images");

  InstanceParts instance{parts_.executor, parts_.runtime, images_,
                         files_pool_,     parts_.clock,   *this};
  supervisor_ =
      std::make_unique<Supervisor>(instance, instance_policy(config_, gpu_devices_), parts_.state);
  AttemptParts attempt{parts_.executor,
                       *supervisor_,
                       hub_,
                       inputs_,
                       outputs_,
                       parts_.clock,
                       parts_.metrics,
                       [this](v1::WorkerMessage message) { session_.send(std::move(message)); },
                       [this] { return session_.has_lease(); }};
  attempts_ = std::make_unique<AttemptRunner>(std::move(attempt));
  const Status adopted = co_await supervisor_->adopt_all();
  if (!adopted.ok()) co_return with_context(adopted, "looking for instances of before");
  MIMEO_CO_RETURN_IF_ERROR(start_health_server());
  session_.start();
  log::info("worker started worker={} runtime={} gpus={} instances={}", parts_.state.worker().str(),
            config_.runtime, gpu_devices_.size(), supervisor_->size());
  co_return absl::OkStatus();
}

awaitable<void> Service::stop() {
  if (supervisor_) {
    if (config_.on_stop == "drain") co_await drain_all();
    co_await session_.stop();
    co_await attempts_->stop();
    co_await supervisor_->detach();
  }
  co_await hub_.stop();
  co_await images_.stop();
  co_await parts_.runtime.stop();
  if (health_server_) co_await health_server_->stop(std::chrono::seconds{1});
}

void Service::drain(std::chrono::milliseconds within) {
  attempts_->drain();
  supervisor_->stop_all(within);
}

awaitable<void> Service::drain_all() {
  const std::chrono::milliseconds within = config_.drain_timeout;
  v1::WorkerMessage message;
  message.mutable_drain()->set_within_ms(static_cast<std::uint32_t>(within.count()));
  session_.send(std::move(message));
  log::info("draining attempts={} instances={}", attempts_->size(), supervisor_->size());
  drain(within);
  const bool is_empty = co_await supervisor_->wait_empty(within + kAfterDrain);
  if (!is_empty) {
    log::warn("stopped with instances={} attempts={}; the next start takes them up",
              supervisor_->size(), attempts_->size());
  }
}

Status Service::start_health_server() {
  if (config_.metrics_listen.empty()) return absl::OkStatus();
  MIMEO_ASSIGN_OR_RETURN(const ListenAddress address, parse_listen(config_.metrics_listen));
  http::ServerOptions options;
  options.address = address.host;
  options.port = address.port;
  MIMEO_ASSIGN_OR_RETURN(health_server_,
                         http::start_health_server(parts_.executor, options, parts_.metrics,
                                                   [this] { return check_ready(); }));
  log::info("health and metrics at {}:{}", address.host, health_server_->port());
  return absl::OkStatus();
}

awaitable<Status> Service::check_ready() {
  if (session_.is_connected()) co_return absl::OkStatus();
  co_return absl::UnavailableError("no session with a scheduler");
}

// --- The scheduler ---

void Service::fill_inventory(v1::Inventory& inventory) const {
  std::array<char, 256> hostname{};
  ::gethostname(hostname.data(), hostname.size() - 1);
  inventory.set_hostname(hostname.data());
  for (const auto& sku : config_.skus) inventory.add_skus(sku);
  v1::Resources& total = *inventory.mutable_total();
  total.set_cpu_milli(config_.total_cpu_milli);
  total.set_memory_bytes(config_.total_memory_mb * kMebibyte);
  total.set_gpus(static_cast<std::uint32_t>(gpu_devices_.size()));
  for (const auto& device : gpu_devices_) {
    v1::Gpu& gpu = *inventory.add_gpus();
    gpu.set_index(device.index);
    gpu.set_uuid(device.uuid);
    gpu.set_name(device.name);
    gpu.set_memory_bytes(device.memory.count);
    total.set_gpu_memory_bytes(std::max(total.gpu_memory_bytes(), device.memory.count));
  }
  for (const auto& label : config_.labels) {
    const std::size_t equals = label.find('=');
    (*inventory.mutable_labels())[label.substr(0, equals)] = label.substr(equals + 1);
  }
  inventory.set_version(MIMEO_VERSION);
  inventory.set_runtime(std::string(parts_.runtime.name()));
}

void Service::fill_hello(v1::Hello& hello) {
  fill_inventory(*hello.mutable_inventory());
  for (auto& report : supervisor_->reports()) *hello.add_instances() = std::move(report);
  for (auto& report : attempts_->reports()) *hello.add_attempts() = std::move(report);
  add_versions(images_.digests(), *hello.mutable_cache()->mutable_versions_added());
}

void Service::fill_heartbeat(v1::Heartbeat& heartbeat) {
  heartbeat.set_running(static_cast<std::uint32_t>(attempts_->running()));
  parts_.metrics.gauge("mimeo_worker_running", "Attempts in containers now")
      .Set(static_cast<double>(attempts_->running()));
  parts_.metrics.gauge("mimeo_worker_instances", "Instances that exist here")
      .Set(static_cast<double>(supervisor_->size()));
  struct statvfs disk {};
  if (::statvfs(parts_.state.path().c_str(), &disk) == 0) {
    heartbeat.set_free_disk_bytes(std::uint64_t{disk.f_bavail} * disk.f_frsize);
  }
}

void Service::on_message(v1::SchedulerMessage message) {
  const auto addresses = [](const auto& list) {
    return std::vector<std::string>(list.begin(), list.end());
  };
  switch (message.body_case()) {
    case v1::SchedulerMessage::kWelcome:
      return hub_.set_members(addresses(message.welcome().hub_addrs()));
    case v1::SchedulerMessage::kHubs:
      return hub_.set_members(addresses(message.hubs().hub_addrs()));
    case v1::SchedulerMessage::kRun:
      return attempts_->run(std::move(*message.mutable_run()));
    case v1::SchedulerMessage::kCancel:
      return attempts_->cancel(message.cancel());
    case v1::SchedulerMessage::kForget:
      return attempts_->forget(message.forget());
    case v1::SchedulerMessage::kEnsure:
      if (!session_.has_lease()) return;  // Said again after the next Hello.
      return supervisor_->ensure(message.ensure());
    case v1::SchedulerMessage::kStop: {
      const auto id = InstanceId::parse(message.stop().instance_id());
      if (!id.ok()) return;
      return supervisor_->stop(*id, std::chrono::milliseconds{message.stop().drain_ms()});
    }
    case v1::SchedulerMessage::kPrefetch:
      return images_.prefetch({message.prefetch().repository(), message.prefetch().digest()});
    case v1::SchedulerMessage::kDrain:
      return drain(std::chrono::milliseconds{message.drain().within_ms()});
    case v1::SchedulerMessage::kNewIncarnation:
      log::warn("the scheduler counted this worker as lost incarnation={}",
                message.new_incarnation().incarnation());
      hub_.set_incarnation(message.new_incarnation().incarnation());
      return attempts_->new_incarnation();
    case v1::SchedulerMessage::kRedirect:
    case v1::SchedulerMessage::kLease:
    case v1::SchedulerMessage::BODY_NOT_SET:
      return;
  }
}

// --- Instances ---

void Service::on_report(v1::InstanceReport report) {
  supervisor_->note(report);
  v1::WorkerMessage message;
  *message.mutable_instance() = std::move(report);
  session_.send(std::move(message));
}

void Service::on_shim_state(Instance& instance, const ShimState& state) {
  attempts_->on_shim_state(instance, state);
}

void Service::on_event(Instance& instance, v1::Event event) {
  attempts_->on_event(instance, std::move(event));
}

void Service::on_result(Instance& instance, v1::Complete result) {
  attempts_->on_result(instance, std::move(result));
}

void Service::on_refused(Instance& instance, const AttemptRefused& refused) {
  attempts_->on_refused(instance, refused);
}

void Service::on_attempts_ended(Instance& instance, const std::string& reason) {
  attempts_->on_attempts_ended(instance, reason);
}

void Service::on_gone(Instance& instance) { supervisor_->retire(instance); }

}  // namespace mimeo::worker
