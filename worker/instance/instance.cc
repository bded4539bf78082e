#include "worker/instance/instance.h"

#include <google/protobuf/util/json_util.h>

#include <csignal>
#include <utility>

#include "common/base/ids.h"
#include "common/crypto/crypto.h"
#include "common/telemetry/log.h"
#include "worker/shim/result_spool.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;

constexpr std::size_t kLogLines = 50;
constexpr std::size_t kMaxDetail = 16 * 1024;
constexpr std::chrono::seconds kProgressEvery{1};
constexpr std::chrono::seconds kShimStart{10};  // Until it listens.
constexpr std::chrono::seconds kShimLeave{2};   // Between Shutdown and SIGKILL.
constexpr std::chrono::milliseconds kLook{5};   // Between looks whether the shim listens.

ServerHealth health_of(ShimState::Health health) {
  switch (health) {
    case ShimState::HEALTH_READY:
      return ServerHealth::kReady;
    case ShimState::HEALTH_SETUP_FAILED:
      return ServerHealth::kSetupFailed;
    case ShimState::HEALTH_BROKEN:
      return ServerHealth::kBroken;
    default:
      return ServerHealth::kStarting;
  }
}

}  // namespace

Instance::Instance(InstanceParts parts, InstancePolicy policy, InstanceId id,
                   v1::EnsureInstance wish, InstanceDir dir)
    : parts_(parts),
      policy_(std::move(policy)),
      id_(id),
      wish_(std::move(wish)),
      dir_(std::move(dir)),
      fields_(FileFields::parse(wish_.openapi_schema(), wish_.is_training())),
      slots_(wish_.concurrency() == 0 ? 1 : wish_.concurrency()),
      begun_at_(parts_.clock.steady()),
      attempts_changed_(parts_.executor),
      container_settled_(parts_.executor),
      shim_connected_(parts_.executor),
      tasks_(parts_.executor) {
  container_settled_.set();
}

Instance::~Instance() = default;

void Instance::begin() { obey(life_.begin()); }

void Instance::adopt(FoundContainer found) {
  is_adopted_ = true;
  container_id_ = found.id;
  container_.id = found.id;
  container_.pid = found.pid;
  is_container_gone_ = found.id.empty();
  parts_.images.hold_present({wish_.repository(), wish_.digest()});
  holds_image_ = true;
  obey(life_.adopt());
  if (!found.id.empty()) {
    tasks_.spawn("watch a container", watch_exit());
  } else {
    tasks_.spawn("container is gone",
                 after(std::chrono::milliseconds{0}, ContainerEnded{"the container is gone"}));
  }
}

void Instance::stop(std::chrono::milliseconds drain) { feed(StopAsked{drain}); }

void Instance::free_slot() {
  if (attempts_ == 0) return;
  --attempts_;
  attempts_changed_.set();
  if (attempts_ == 0) feed(BecameIdle{});
}

void Instance::remove_attempt() {
  --known_attempts_;
  if (known_attempts_ == 0 && life_.is_gone()) parts_.user.on_gone(*this);
}

void Instance::send(const ToShim& message) {
  if (shim_) shim_->send(message);
}

void Instance::drop_result(AttemptKey key) {
  if (shim_) {
    ToShim message;
    *message.mutable_stored()->mutable_id() = key.proto();
    shim_->send(message);
    return;
  }
  // No shim to tell: its files are ours to delete.
  parts_.pool.post([spool = dir_.spool(), attempt = key.str()] {
    erase_result(spool.string(), attempt);
    std::error_code ignored;
    std::filesystem::remove_all(spool / "in" / attempt, ignored);
  });
}

std::string Instance::gateway() const {
  if (policy_.reach != ServerReach::kNamespace) return {};
  return "http://127.0.0.1:" + std::to_string(policy_.gateway_port);
}

// The container learns it from its command line; a model of another container cannot guess it.
std::string Instance::gateway_secret() const {
  return to_hex(crypto::sha256("gateway of " + dir_.path.string() + id_.str())).substr(0, 32);
}

v1::InstanceReport Instance::report() const {
  v1::InstanceReport report;
  report.set_instance_id(id_.str());
  report.set_target_id(wish_.target_id());
  report.set_version_id(wish_.version_id());
  report.set_release(wish_.release());
  report.set_slots(static_cast<std::uint32_t>(slots_));
  report.set_state(static_cast<v1::InstanceState>(life_.state()));
  report.set_detail(life_.detail());
  report.set_cold_start_ms(cold_start_ms_);
  return report;
}

void Instance::tell(InstanceState state, const std::string& text) {
  v1::InstanceReport now = report();
  now.set_state(static_cast<v1::InstanceState>(state));
  now.set_detail(text.size() <= kMaxDetail ? text : text.substr(text.size() - kMaxDetail));
  parts_.user.on_report(std::move(now));
}

void Instance::on_progress(const std::string& text) {
  const SteadyTime now = parts_.clock.steady();
  if (now - told_progress_at_ < kProgressEvery) return;
  told_progress_at_ = now;
  tell(InstanceState::kPreparing, text);
}

std::chrono::milliseconds Instance::setup_limit() const {
  if (wish_.setup_limit_ms() == 0) return policy_.default_setup_limit;
  return std::chrono::milliseconds{wish_.setup_limit_ms()};
}

void Instance::feed(const InstanceEvent& event) {
  InstanceLoad load;
  load.attempts = attempts_;
  obey(life_.resume(event, load));
}

void Instance::obey(std::vector<InstanceAction> actions) {
  // An ending is a sequence with waits in between; everything else is begun at once.
  const bool is_ending = !actions.empty() && actions.front().step == InstanceStep::kEndAttempts;
  if (is_ending) {
    tasks_.spawn("end an instance", close_down(std::move(actions)));
    return;
  }
  for (const auto& action : actions) obey_one(action);
}

void Instance::obey_one(const InstanceAction& action) {
  switch (action.step) {
    case InstanceStep::kReport:
      if (action.state == InstanceState::kReady && !is_adopted_) {
        cold_start_ms_ = static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(parts_.clock.steady() - begun_at_)
                .count());
      }
      log::info("instance state={} instance={} {}", to_string(action.state), id_.str(),
                action.text);
      tell(action.state, action.text);
      break;
    case InstanceStep::kPullImage:
      tasks_.spawn("pull an image", pull_image());
      break;
    case InstanceStep::kStartContainer:
      container_settled_.reset();
      tasks_.spawn("start a container", start_container());
      break;
    case InstanceStep::kStartShim:
      tasks_.spawn("start a shim", start_shim());
      break;
    case InstanceStep::kArmSetupLimit:
      tasks_.spawn("setup limit", after(setup_limit() + policy_.setup_slack, SetupLimitPassed{}));
      break;
    case InstanceStep::kArmDrainLimit:
      tasks_.spawn("drain limit", after(action.limit, DrainLimitPassed{}));
      break;
    case InstanceStep::kForget:
      if (known_attempts_ == 0) parts_.user.on_gone(*this);
      break;
    case InstanceStep::kReportFailure:
    case InstanceStep::kEndAttempts:
    case InstanceStep::kCleanUp:
      break;  // Parts of an ending: close_down().
  }
}

awaitable<void> Instance::after(std::chrono::milliseconds pause, InstanceEvent event) {
  const bool is_awake = co_await sleep_for(pause);
  if (is_awake) feed(event);
}

// --- Beginning ---

awaitable<void> Instance::pull_image() {
  ImageWish wish;
  wish.repository = wish_.repository();
  wish.digest = wish_.digest();
  // The store may call back after we are gone: it holds what it was given until the pull ends.
  ImageStore::Observer observer = [this, alive = std::weak_ptr(alive_)](const std::string& text) {
    if (!alive.expired()) on_progress(text);
  };
  auto image = co_await parts_.images.hold(std::move(wish), std::move(observer));
  if (!image.ok()) {
    feed(ImageFailed{std::string(image.status().message())});
    co_return;
  }
  if (life_.is_ending()) {  // Nobody waits for it any more.
    parts_.images.release({wish_.repository(), wish_.digest()});
    co_return;
  }
  holds_image_ = true;
  image_ = std::move(*image);
  feed(ImageReady{});
}

ContainerSpec Instance::container_spec() const {
  ContainerSpec spec;
  spec.instance = id_;
  spec.image = image_;
  spec.env.emplace_back("PORT", std::to_string(kServerPort));
  if (slots_ > 1) spec.env.emplace_back("COG_MAX_CONCURRENCY", std::to_string(slots_));
  for (const auto& [name, value] : wish_.env()) spec.env.emplace_back(name, value);
  // Keeps a server whose setup failed up, so that the shim can read why.
  spec.cog_arguments.emplace_back("--await-explicit-shutdown=true");
  if (wish_.is_training()) {
    spec.cog_arguments.emplace_back("--x-mode");
    spec.cog_arguments.emplace_back("train");
  }
  if (!gateway().empty()) {
    spec.cog_arguments.emplace_back("--upload-url");
    spec.cog_arguments.emplace_back(gateway() + "/out/" + gateway_secret() + "/");
  }
  const v1::Resources& limits = wish_.resources();
  spec.resources.cpu_milli = limits.cpu_milli();
  spec.resources.memory = Bytes{limits.memory_bytes()};
  spec.resources.gpus = limits.gpus();
  spec.resources.gpu_memory = Bytes{limits.gpu_memory_bytes()};
  spec.resources.scratch = Bytes{limits.scratch_bytes()};
  for (const std::uint32_t index : wish_.gpu_indices()) {
    spec.gpus.push_back(index < policy_.gpu_uuids.size() ? policy_.gpu_uuids[index]
                                                         : std::to_string(index));
  }
  spec.network = policy_.network;
  spec.reach = policy_.reach;
  return spec;
}

awaitable<Result<ContainerInfo>> Instance::run_container() {
  auto prepare = [dir = dir_, wish = wish_.SerializeAsString()]() -> Status {
    MIMEO_RETURN_IF_ERROR(dir.make());
    return write_file_durably(dir.instance_file(), wish);
  };
  MIMEO_CO_RETURN_IF_ERROR(co_await parts_.pool.run(std::move(prepare)));
  ContainerSpec spec = container_spec();
  MIMEO_CO_ASSIGN_OR_RETURN(container_id_, co_await parts_.runtime.create(std::move(spec)));
  is_container_gone_ = false;
  auto remember = [file = dir_.container_file(), id = container_id_] {
    return write_file_durably(file, id);
  };
  MIMEO_CO_RETURN_IF_ERROR(co_await parts_.pool.run(std::move(remember)));
  auto info = co_await parts_.runtime.start(container_id_);
  co_return info;
}

awaitable<void> Instance::start_container() {
  auto info = co_await run_container();
  container_settled_.set();
  if (!info.ok()) {
    feed(ContainerFailed{std::string(info.status().message())});
    co_return;
  }
  container_ = std::move(*info);
  tasks_.spawn("watch a container", watch_exit());
  feed(ContainerRuns{});
}

awaitable<void> Instance::watch_exit() {
  for (;;) {
    auto exit = co_await parts_.runtime.wait(container_id_);
    if (absl::IsCancelled(exit.status())) co_return;
    if (exit.ok() || absl::IsNotFound(exit.status())) {
      std::string how = "was removed";
      if (exit.ok()) how = exit->describe(Bytes{wish_.resources().memory_bytes()});
      if (!kill_reason_.empty()) how = "was killed: " + kill_reason_;
      log::info("container ended instance={} how=\"{}\"", id_.str(), how);
      is_container_gone_ = true;
      feed(ContainerEnded{"the container " + how});
      co_return;
    }
    log::warn("watching a container instance={} error=\"{}\"", id_.str(), exit.status().ToString());
    const bool is_awake = co_await sleep_for(std::chrono::seconds{1});
    if (!is_awake) co_return;
  }
}

void Instance::kill_container(std::string reason) {
  if (kill_reason_.empty()) kill_reason_ = std::move(reason);
  tasks_.spawn("kill a container", kill_now());
}

awaitable<void> Instance::kill_now() {
  const Status killed = co_await parts_.runtime.kill(container_id_);
  if (!killed.ok()) log::error("killing instance={}: {}", id_.str(), killed.ToString());
}

// --- The shim ---

std::string Instance::shim_config() const {
  ShimConfig config;
  config.set_instance_id(id_.str());
  config.set_socket_path(dir_.socket_path);
  config.set_spool_dir(dir_.spool().string());
  if (policy_.reach == ServerReach::kNamespace) {
    config.set_container_pid(container_.pid);
    config.set_gateway_port(policy_.gateway_port);
  } else {
    config.set_container_addr(container_.server_address);
  }
  config.set_container_port(kServerPort);
  config.set_slots(static_cast<std::uint32_t>(slots_));
  config.set_setup_limit_ms(static_cast<std::uint32_t>(setup_limit().count()));
  config.set_openapi_schema(wish_.openapi_schema());
  config.set_is_training(wish_.is_training());
  config.set_container_log_path(container_.log_path);
  config.set_gateway_secret(gateway_secret());
  config.set_log_level(policy_.shim_log_level);
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(config, &json);
  return json;
}

Status Instance::launch_shim() {
  MIMEO_RETURN_IF_ERROR(write_file_durably(dir_.shim_config(), shim_config()));
  ProcessStart start;
  start.program = policy_.shim_program;
  start.arguments = {"--instance-config", dir_.shim_config().string()};
  start.output_path = dir_.shim_log().string();
  auto process = Process::start(parts_.executor, start);
  if (!process.ok()) return with_context(process.status(), "could not be started");
  shim_process_ = std::move(*process);
  return write_file_durably(dir_.shim_pid(), std::to_string(shim_process_->pid()));
}

awaitable<void> Instance::start_shim() {
  Status started;
  if (is_adopted_) {
    const auto pid = read_file(dir_.shim_pid());
    auto process = Process::adopt(parts_.executor, pid.ok() ? std::atoi(pid->c_str()) : 0,
                                  dir_.shim_config().string());
    if (process.ok()) {
      shim_process_ = std::move(*process);
    } else {
      started = absl::NotFoundError("ended while the worker was away");
    }
  } else {
    started = launch_shim();
  }
  if (started.ok()) {
    shim_process_->on_end([this](const std::string& how) {
      shim_.reset();
      feed(ShimFailed{"its shim " + how});
    });
    started = co_await connect_shim();
  }
  if (!started.ok()) feed(ShimFailed{"its shim " + std::string(started.message())});
}

awaitable<Status> Instance::connect_shim() {
  const SteadyTime give_up = parts_.clock.steady() + kShimStart;
  for (;;) {
    ShimCallbacks callbacks;
    callbacks.on_message = [this](FromShim message) { on_shim_message(std::move(message)); };
    callbacks.on_closed = [this](const Status& reason) { on_shim_closed(reason); };
    auto client = ShimClient::connect(parts_.executor, dir_.socket_path, std::move(callbacks));
    if (client.ok()) {
      shim_ = std::move(*client);
      co_return absl::OkStatus();
    }
    if (!absl::IsUnavailable(client.status())) {
      co_return with_context(client.status(), "cannot be reached");
    }
    // Cleaned up while we slept, or gone: on_end said so.
    if (shim_process_ == nullptr || shim_process_->has_ended()) co_return absl::OkStatus();
    if (parts_.clock.steady() > give_up) co_return absl::DeadlineExceededError("does not answer");
    const bool is_awake = co_await sleep_for(kLook);
    if (!is_awake) co_return absl::CancelledError("stopping");
  }
}

void Instance::on_shim_closed(const Status& reason) {
  shim_.reset();
  shim_connected_.reset();
  if (shim_process_ == nullptr || shim_process_->has_ended() || life_.is_ending()) return;
  log::warn("lost the connection to a shim instance={} reason=\"{}\"", id_.str(),
            reason.ToString());
  tasks_.spawn("reconnect to a shim", reconnect_shim());
}

awaitable<void> Instance::reconnect_shim() {
  const bool is_awake = co_await sleep_for(kLook);
  if (!is_awake || shim_ || shim_process_ == nullptr || shim_process_->has_ended()) co_return;
  const Status connected = co_await connect_shim();
  if (!connected.ok()) feed(ShimFailed{"its shim " + std::string(connected.message())});
}

void Instance::on_shim_message(FromShim message) {
  switch (message.body_case()) {
    case FromShim::kState:
      if (!shim_connected_.is_set()) parts_.user.on_shim_state(*this, message.state());
      shim_connected_.set();
      feed(HealthChanged{health_of(message.state().health()), message.state().detail()});
      break;
    case FromShim::kEvent:
      parts_.user.on_event(*this, std::move(*message.mutable_event()));
      break;
    case FromShim::kResult:
      parts_.user.on_result(*this, std::move(*message.mutable_result()->mutable_complete()));
      break;
    case FromShim::kRefused:
      parts_.user.on_refused(*this, message.refused());
      break;
    case FromShim::BODY_NOT_SET:
      break;
  }
}

// --- The end ---

awaitable<std::string> Instance::with_log_tail(std::string text) {
  if (container_id_.empty()) co_return text;
  auto tail = co_await parts_.runtime.log_tail(container_id_, kLogLines);
  if (tail.ok() && !tail->empty()) text += "\n\nThe last lines of its log:\n" + *tail;
  co_return text;
}

awaitable<void> Instance::close_down(std::vector<InstanceAction> actions) {
  for (const auto& action : actions) {
    switch (action.step) {
      case InstanceStep::kEndAttempts: {
        std::string reason = action.text;
        co_await end_attempts(std::move(reason));
        break;
      }
      case InstanceStep::kReportFailure: {
        std::string text = action.text;
        text = co_await with_log_tail(std::move(text));
        log::warn("instance failed instance={} reason=\"{}\"", id_.str(), action.text);
        tell(InstanceState::kFailed, text);
        break;
      }
      case InstanceStep::kCleanUp:
        co_await clean_up();
        break;
      default:
        obey_one(action);
    }
  }
  feed(CleanedUp{});
}

awaitable<void> Instance::end_attempts(std::string reason) {
  co_await container_settled_.wait();
  // One that a restarted daemon found dead: its shim may still have results.
  const bool has_shim = shim_process_ != nullptr && !shim_process_->has_ended();
  if (is_adopted_ && has_shim) co_await shim_connected_.wait_for(std::chrono::seconds{1});
  if (attempts_ == 0) co_return;
  if (!is_container_gone_) co_await kill_now();
  std::string none;
  ToShim message;
  message.mutable_exited()->set_reason(reason);
  *message.mutable_exited()->mutable_log_tail() = co_await with_log_tail(std::move(none));
  send(message);
  const SteadyTime give_up = parts_.clock.steady() + policy_.results_after_end;
  while (attempts_ > 0 && shim_ && parts_.clock.steady() < give_up) {
    attempts_changed_.reset();
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(give_up - parts_.clock.steady());
    co_await attempts_changed_.wait_for(left);
  }
  parts_.user.on_attempts_ended(*this, reason);
}

awaitable<void> Instance::clean_up() {
  if (!container_id_.empty()) {
    const Status removed = co_await parts_.runtime.remove(container_id_);
    if (!removed.ok()) {
      log::error("removing a container instance={} error=\"{}\"", id_.str(), removed.ToString());
    }
    is_container_gone_ = true;
  }
  co_await end_shim();
  // Results that a shim without a daemon left behind.
  auto read = [spool = dir_.spool().string()] { return read_results(spool); };
  const std::vector<std::string> results = co_await parts_.pool.run(std::move(read));
  for (const auto& payload : results) {
    AttemptResult result;
    if (!result.ParseFromString(payload)) continue;
    parts_.user.on_result(*this, std::move(*result.mutable_complete()));
  }
  if (std::exchange(holds_image_, false)) {
    parts_.images.release({wish_.repository(), wish_.digest()});
  }
}

awaitable<void> Instance::end_shim() {
  if (shim_process_ == nullptr) co_return;
  ToShim message;
  message.mutable_shutdown()->set_grace_ms(0);
  send(message);
  auto ended = std::make_shared<SignalEvent>(parts_.executor);
  shim_process_->on_end([ended](const std::string&) { ended->set(); });
  if (!shim_) shim_process_->kill(SIGTERM);
  const bool has_left = co_await ended->wait_for(kShimLeave);
  if (!has_left) {
    shim_process_->kill(SIGKILL);
    co_await ended->wait_for(kShimLeave);
  }
  shim_.reset();
  shim_process_.reset();
}

awaitable<void> Instance::settle() {
  tasks_.cancel();
  const Status ended = co_await tasks_.wait(std::chrono::seconds{5});
  if (!ended.ok()) log::warn("instance={}: {}", id_.str(), ended.ToString());
}

}  // namespace mimeo::worker
