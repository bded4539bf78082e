#include "worker/shim/shim.h"

#include <absl/strings/str_cat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "common/telemetry/log.h"
#include "worker/shim/frames.h"

namespace mimeo::worker {

using boost::asio::awaitable;
using std::chrono::milliseconds;

namespace {

namespace fs = std::filesystem;

constexpr milliseconds kAliveTimeout{1'000};
// What is on its way to the daemon when we end may still arrive.
constexpr milliseconds kLastWords{500};
constexpr milliseconds kStep{5};

ShimState::Health to_proto(Verdict verdict) {
  switch (verdict) {
    case Verdict::kStarting:
      return ShimState::HEALTH_STARTING;
    case Verdict::kReady:
      return ShimState::HEALTH_READY;
    case Verdict::kSetupFailed:
      return ShimState::HEALTH_SETUP_FAILED;
    case Verdict::kBroken:
      return ShimState::HEALTH_BROKEN;
  }
  return ShimState::HEALTH_UNSPECIFIED;
}

ContainerAddress server_address(const ShimConfig& config) {
  if (config.container_pid() == 0) return *parse_address(config.container_addr());
  return {"127.0.0.1", static_cast<std::uint16_t>(config.container_port())};
}

}  // namespace

struct Shim::ContainerProcess {
  ContainerProcess(const boost::asio::any_io_executor& executor, int pid_fd)
      : descriptor(executor, pid_fd) {}
  boost::asio::posix::stream_descriptor descriptor;
};

Shim::Shim(boost::asio::any_io_executor executor, ShimConfig config, const Clock& clock,
           Random& random, std::function<void()> on_exit)
    : executor_(executor),
      config_(std::move(config)),
      clock_(clock),
      random_(random),
      on_exit_(std::move(on_exit)),
      orphan_timer_(executor),
      tasks_(executor) {}

Shim::~Shim() = default;

Status Shim::make_directories() const {
  for (const char* name : {"/in", "/out", "/results", "/events"}) {
    std::error_code error;
    fs::create_directories(config_.spool_dir() + name, error);
    if (error) {
      return absl::InternalError(
          absl::StrCat("making ", config_.spool_dir(), name, ": ", error.message()));
    }
  }
  return absl::OkStatus();
}

Status Shim::start_gateway() {
  if (config_.gateway_port() == 0) return absl::OkStatus();
  const ContainerAddress address{config_.gateway_address(),
                                 static_cast<std::uint16_t>(config_.gateway_port())};
  MIMEO_ASSIGN_OR_RETURN(const int fd, network_->listen(address));
  GatewayOptions options;
  options.spool_dir = config_.spool_dir();
  options.base_url = absl::StrCat("http://", address.host, ":", address.port);
  options.secret = config_.gateway_secret();
  options.uploads = {config_.max_file_bytes(), config_.max_spool_bytes()};
  gateway_ = std::make_unique<Gateway>(std::move(options), pool_, random_);
  http::ServerOptions server;
  server.inherited_fd = fd;
  server.max_connections = 256;  // One container: more is a fault or an attack.
  gateway_server_ = std::make_unique<http::Server>(
      executor_, std::move(server),
      [gateway = gateway_.get()](http::Exchange& exchange) { return gateway->handle(exchange); });
  return gateway_server_->start();
}

Status Shim::start() {
  MIMEO_RETURN_IF_ERROR(make_directories());
  MIMEO_ASSIGN_OR_RETURN(network_,
                         ContainerNetwork::enter(config_.container_pid(), server_address(config_)));
  connections_ = std::make_unique<cog::Connections>(executor_, *network_);
  MIMEO_RETURN_IF_ERROR(with_context(start_gateway(), "starting the gateway"));

  HealthWatchOptions watch;
  watch.limits.setup = milliseconds{config_.setup_limit_ms()};
  watch.limits.unhealthy = milliseconds{config_.unhealthy_limit_ms()};
  watch.kind = config_.is_training() ? cog::RunKind::kTraining : cog::RunKind::kPrediction;
  watch.openapi_schema = config_.openapi_schema();
  watch.slots = config_.slots();
  watch.log_path = config_.container_log_path();
  health_ =
      std::make_unique<HealthWatch>(executor_, std::move(watch), *connections_, pool_, clock_,
                                    HealthWatchCallbacks{[this] { return attempts_->running(); },
                                                         [this] { return attempts_->idle_since(); },
                                                         [this] { on_health_change(); }});

  AttemptsOptions options;
  options.instance_id = config_.instance_id();
  options.spool_dir = config_.spool_dir();
  options.log_path = config_.container_log_path();
  options.exit_reason_wait = milliseconds{config_.exit_wait_ms()};
  AttemptsParts parts;
  parts.executor = executor_;
  parts.connections = connections_.get();
  parts.gateway = gateway_.get();
  parts.pool = &pool_;
  parts.tasks = &tasks_;
  parts.clock = &clock_;
  parts.wake = [this] { daemon_->wake(); };
  parts.settle = [this] { look_what_is_left(); };
  parts.doubt = [this] { health_->poke(); };
  parts.is_server_alive = [this] { return is_server_alive(); };
  attempts_ = std::make_unique<Attempts>(std::move(options), std::move(parts));

  daemon_ = std::make_unique<DaemonLink>(
      executor_, config_.socket_path(),
      DaemonCallbacks{[this] {
                        orphan_timer_.cancel();
                        attempts_->rewind();
                        send_state();
                      },
                      [this](ToShim message) { on_message(std::move(message)); },
                      [this] { orphaned(); },
                      [this](std::string& out, std::size_t limit) { collect(out, limit); }});
  MIMEO_RETURN_IF_ERROR(daemon_->start());
  watch_container();
  orphaned();
  tasks_.spawn("health", health_->run());
  return absl::OkStatus();
}

void Shim::watch_container() {
  if (config_.container_pid() == 0) return;  // The daemon tells.
  const long fd = ::syscall(SYS_pidfd_open, static_cast<pid_t>(config_.container_pid()), 0);
  if (fd < 0) {
    log::warn("cannot watch the container's process: {}", std::system_category().message(errno));
    return;
  }
  container_ = std::make_unique<ContainerProcess>(executor_, static_cast<int>(fd));
  container_->descriptor.async_wait(boost::asio::posix::descriptor_base::wait_read,
                                    [this](const boost::system::error_code& error) {
                                      if (error) return;
                                      log::info("the container's process has ended");
                                      is_container_gone_ = true;
                                      tasks_.spawn("container gone", report_container_gone());
                                      attempts_->container_gone();
                                      look_what_is_left();
                                    });
}

// A daemon hears of the end, with the exit code, from the engine and cleans up; only one that did
// not hear of it needs our word, which knows no reason.
awaitable<void> Shim::report_container_gone() {
  const bool has_waited = co_await sleep_for(milliseconds{config_.exit_wait_ms()});
  if (has_waited) health_->container_gone("its process has ended");
}

void Shim::on_message(ToShim message) {
  switch (message.body_case()) {
    case ToShim::kStart:
      attempts_->start(std::move(*message.mutable_start()));
      break;
    case ToShim::kCancel:
      attempts_->cancel(message.cancel().id(), message.cancel().run_limit()
                                                   ? CancelReason::kRunLimit
                                                   : CancelReason::kUser);
      break;
    case ToShim::kForget:
      attempts_->forget(message.forget().id());
      break;
    case ToShim::kStored:
      attempts_->stored(message.stored().id());
      break;
    case ToShim::kEvents:
      attempts_->events_stored(message.events().id(), message.events().seq());
      break;
    case ToShim::kReplay:
      attempts_->replay(message.replay().id(), message.replay().after_seq());
      break;
    case ToShim::kShutdown:
      shut_down(milliseconds{message.shutdown().grace_ms()});
      break;
    case ToShim::kExited:
      is_container_gone_ = true;
      health_->container_gone(message.exited().reason());
      attempts_->container_exited(std::move(*message.mutable_exited()->mutable_reason()),
                                  std::move(*message.mutable_exited()->mutable_log_tail()));
      look_what_is_left();
      break;
    case ToShim::BODY_NOT_SET:
      log::warn("a message of a newer daemon was ignored");
      break;
  }
}

void Shim::on_health_change() {
  verdict_ = health_->judgement().verdict;
  if (verdict_ == Verdict::kReady) {
    attempts_->server_ready(health_->facts());
    log::info("ready server={}",
              cog::to_string(health_->facts().generation, health_->facts().version));
  } else {
    // The daemon replaces the container; what runs may still finish.
    attempts_->close(health_->judgement().detail);
    log::info("not usable any more: {}", health_->judgement().detail);
  }
  send_state();
  daemon_->wake();
}

ShimState Shim::describe() const {
  ShimState state;
  state.set_health(to_proto(verdict_));
  if (verdict_ != Verdict::kStarting) state.set_detail(cog::to_valid_utf8(health_->detail()));
  state.set_generation(cog::to_string(health_->facts().generation, health_->facts().version));
  state.set_protocol(1);
  state.set_instance_id(config_.instance_id());
  attempts_->describe(&state);
  return state;
}

void Shim::collect(std::string& out, std::size_t limit) {
  if (is_state_due_) {
    is_state_due_ = false;
    FromShim message;
    *message.mutable_state() = describe();
    append_message_frame(out, message);
  }
  attempts_->collect(out, limit);
}

awaitable<bool> Shim::is_server_alive() {
  health_->poke();
  const Result<cog::HealthReport> report = co_await health_->ask(kAliveTimeout);
  co_return report.ok() && report->health != cog::ServerHealth::kDefunct;
}

void Shim::look_what_is_left() {
  if (is_container_gone_ && attempts_->is_empty()) shut_down(milliseconds{0});
}

void Shim::orphaned() {
  orphan_timer_.expires_after(kOrphanLimit);
  orphan_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    log::warn("no daemon came for a day");
    shut_down(milliseconds{0});
  });
}

void Shim::shut_down(milliseconds grace) {
  attempts_->close("the instance is shutting down");
  if (is_ending_) return;
  is_ending_ = true;
  tasks_.spawn("end", finish(grace));
}

awaitable<void> Shim::finish(milliseconds grace) {
  const SteadyTime give_up = clock_.steady() + grace;
  while (attempts_->running() > 0 && clock_.steady() < give_up) {
    if (!co_await sleep_for(kStep)) break;
  }
  attempts_->abandon_all();
  const SteadyTime last = clock_.steady() + kLastWords;
  while (!daemon_->is_idle() && clock_.steady() < last) {
    if (!co_await sleep_for(kStep)) break;
  }
  log::info("ending");
  daemon_->stop();
  on_exit_();
}

}  // namespace mimeo::worker
