#include "worker/container/docker_runtime.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/async/retry.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/crypto/crypto.h"
#include "common/telemetry/log.h"
#include "worker/container/engine_client.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;
using nlohmann::json;

constexpr std::chrono::milliseconds kNoLimit{0};
constexpr std::chrono::minutes kPullLimit{60};  // Without a byte; a pull itself may take longer.
constexpr RetryPolicyOptions kReconnect{
    std::chrono::milliseconds{100}, std::chrono::milliseconds{2'000}, std::chrono::milliseconds{0}};

std::string filters(const std::string& worker_label, bool only_containers) {
  json filter{{"label", json::array({worker_label})}};
  if (only_containers) {
    filter["type"] = json::array({"container"});
    filter["event"] = json::array({"die"});
  }
  return http::percent_encode(filter.dump());
}

// The Engine may be held to a limit that it cannot raise for others; where it runs on this machine,
// ours is most likely the same.
DockerOptions within_our_limits(DockerOptions options) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max < options.policy.open_files) {
    options.policy.open_files = static_cast<std::uint32_t>(files.rlim_max);
  }
  return options;
}

// A descriptor that becomes readable when the process ends; -1 unless `pid` is, in our own pid
// namespace, a process of that very container (an Engine elsewhere counts its own pids).
int open_pid(std::uint32_t pid, const std::string& container_id) {
  if (pid == 0) return -1;
  std::ifstream cgroup(absl::StrCat("/proc/", pid, "/cgroup"));
  std::string text((std::istreambuf_iterator<char>(cgroup)), std::istreambuf_iterator<char>());
  if (text.find(container_id) == std::string::npos) return -1;
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

// Which container an event is about; empty when none.
std::string container_of(const json& event) {
  if (!event.is_object() || !event.contains("Actor") || !event["Actor"].is_object()) return {};
  return event["Actor"].value("ID", std::string{});
}

awaitable<void> signal_at_end(int pid_fd, std::shared_ptr<SignalEvent> event) {
  auto executor = co_await boost::asio::this_coro::executor;
  boost::asio::posix::stream_descriptor descriptor(executor, pid_fd);
  boost::system::error_code error;
  co_await descriptor.async_wait(boost::asio::posix::descriptor_base::wait_read,
                                 boost::asio::redirect_error(boost::asio::use_awaitable, error));
  if (!error) event->set();
}

class DockerRuntime final : public Runtime {
 public:
  DockerRuntime(boost::asio::any_io_executor executor, Random& random, DockerOptions options)
      : executor_(executor),
        random_(random),
        options_(within_our_limits(std::move(options))),
        worker_label_(std::string(kWorkerLabel) + "=" + options_.policy.worker.str()),
        engine_(executor, options_.socket_path),
        tasks_(executor) {
    tasks_.spawn("docker events", follow_events());
  }

  [[nodiscard]] std::string_view name() const override { return "docker"; }

  awaitable<Status> ping() override {
    EngineCall call;
    call.path = "/info";
    call.timeout = std::chrono::seconds{10};
    auto answer = co_await engine_.call(std::move(call));
    co_return answer.status();
  }

  awaitable<Status> pull(ImageName image, std::string token, PullObserver observer) override {
    EngineCall call;
    call.method = "POST";
    call.path = "/images/create?fromImage=" + http::percent_encode(image.reference());
    call.timeout = kPullLimit;
    const json auth = token.empty() ? json::object() : json{{"registrytoken", token}};
    // The engine wants base64url *with* padding, and takes what it cannot decode for no
    // credentials.
    std::string header = crypto::base64url(auth.dump());
    header.append((4 - header.size() % 4) % 4, '=');
    call.headers.set("X-Registry-Auth", std::move(header));
    MIMEO_CO_ASSIGN_OR_RETURN(auto stream, co_await engine_.open_stream(std::move(call)));
    PullTracker tracker;
    std::string buffer;
    for (;;) {
      MIMEO_CO_ASSIGN_OR_RETURN(std::string piece, co_await stream->read_some());
      if (piece.empty()) break;
      buffer += piece;
      std::size_t begin = 0;
      for (std::size_t end = 0; (end = buffer.find('\n', begin)) != std::string::npos;
           begin = end + 1) {
        MIMEO_CO_RETURN_IF_ERROR(tracker.feed(std::string_view(buffer).substr(begin, end - begin)));
      }
      buffer.erase(0, begin);
      if (observer) observer(tracker.progress());
    }
    MIMEO_CO_RETURN_IF_ERROR(tracker.feed(buffer));
    // An answer that ends without an error still has to be believed: is the image there?
    auto inspected = co_await inspect_image(image);
    co_return inspected.status();
  }

  awaitable<Result<std::vector<LocalImage>>> images() override {
    EngineCall call;
    call.path = "/images/json";
    MIMEO_CO_ASSIGN_OR_RETURN(json list, co_await call_json(std::move(call)));
    co_return parse_images(list);
  }

  awaitable<Status> remove_image(ImageName image) override {
    EngineCall call;
    call.method = "DELETE";
    call.path = "/images/" + image.reference();
    auto answer = co_await engine_.call(std::move(call));
    if (absl::IsNotFound(answer.status())) co_return absl::OkStatus();
    co_return answer.status();
  }

  awaitable<Result<std::string>> create(ContainerSpec spec) override {
    if (spec.network == NetworkAccess::kEgress || spec.reach == ServerReach::kPublishedPort) {
      MIMEO_CO_RETURN_IF_ERROR(co_await ensure_network());
    }
    MIMEO_CO_ASSIGN_OR_RETURN(json image, co_await inspect_image(spec.image));
    const std::string name = container_name(spec.instance);
    EngineCall call;
    call.method = "POST";
    call.path = "/containers/create?name=" + name;
    call.body = create_body(spec, image, options_.policy).dump();
    EngineCall again = call;
    auto created = co_await call_json(std::move(call));
    if (absl::IsFailedPrecondition(created.status())) {
      // The name is taken: by an earlier try of this very instance, for nothing else has its id.
      MIMEO_CO_RETURN_IF_ERROR(co_await remove(name));
      created = co_await call_json(std::move(again));
    }
    if (!created.ok()) co_return created.status();
    co_return created->value("Id", std::string{});
  }

  awaitable<Result<ContainerInfo>> start(std::string id) override {
    EngineCall call;
    call.method = "POST";
    call.path = "/containers/" + id + "/start";
    auto answer = co_await engine_.call(std::move(call));
    if (!answer.ok()) co_return answer.status();
    auto info = co_await inspect(id);
    co_return info;
  }

  awaitable<Result<ContainerInfo>> inspect(std::string id) override {
    EngineCall call;
    call.path = "/containers/" + id + "/json";
    MIMEO_CO_ASSIGN_OR_RETURN(json description, co_await call_json(std::move(call)));
    co_return parse_inspect(description);
  }

  awaitable<Result<std::vector<ContainerInfo>>> list() override {
    EngineCall call;
    call.path = "/containers/json?all=1&filters=" + filters(worker_label_, false);
    MIMEO_CO_ASSIGN_OR_RETURN(json list, co_await call_json(std::move(call)));
    std::vector<ContainerInfo> out;
    for (const auto& entry : list) {
      auto info = co_await inspect(entry.value("Id", std::string{}));
      if (absl::IsNotFound(info.status())) continue;  // Removed meanwhile.
      if (!info.ok()) co_return info.status();
      out.push_back(std::move(*info));
    }
    co_return out;
  }

  awaitable<Result<ContainerExit>> wait(std::string id) override {
    auto event = std::make_shared<SignalEvent>(executor_);
    const auto registered = waiters_.emplace(id, event);
    auto exit = co_await wait_with(id, event);
    waiters_.erase(registered);
    co_return exit;
  }

  awaitable<Status> kill(std::string id) override {
    EngineCall call;
    call.method = "POST";
    call.path = "/containers/" + id + "/kill?signal=KILL";
    auto answer = co_await engine_.call(std::move(call));
    const Status& status = answer.status();
    // Not running, or not there: as wished.
    if (absl::IsNotFound(status) || absl::IsFailedPrecondition(status)) co_return absl::OkStatus();
    co_return status;
  }

  awaitable<Status> remove(std::string id) override {
    EngineCall call;
    call.method = "DELETE";
    call.path = "/containers/" + id + "?force=1&v=1";
    auto answer = co_await engine_.call(std::move(call));
    const Status& status = answer.status();
    // 409: its removal is under way already.
    if (absl::IsNotFound(status) || absl::IsFailedPrecondition(status)) co_return absl::OkStatus();
    co_return status;
  }

  awaitable<Result<std::string>> log_tail(std::string id, std::size_t lines) override {
    EngineCall call;
    call.path = absl::StrCat("/containers/", id, "/logs?stdout=1&stderr=1&tail=", lines);
    auto answer = co_await engine_.call(std::move(call));
    if (!answer.ok()) co_return answer.status();
    co_return last_lines(unframe_logs(answer->body), lines);
  }

  awaitable<void> stop() override {
    is_stopping_ = true;
    tasks_.cancel();
    for (auto& [id, event] : waiters_) event->set();
    const Status ended = co_await tasks_.wait(std::chrono::seconds{5});
    if (!ended.ok()) log::warn("docker events did not end: {}", ended.ToString());
  }

 private:
  awaitable<Result<json>> call_json(EngineCall call) {
    auto answer = co_await engine_.call(std::move(call));
    if (!answer.ok()) co_return answer.status();
    json parsed = json::parse(answer->body, nullptr, false);
    if (parsed.is_discarded()) co_return absl::InternalError("Docker's answer is not JSON");
    co_return parsed;
  }

  awaitable<Result<json>> inspect_image(ImageName image) {
    EngineCall call;
    call.path = "/images/" + image.reference() + "/json";
    auto answer = co_await call_json(std::move(call));
    co_return answer;
  }

  // The bridge for containers that may reach the outside, but not each other.
  awaitable<Status> ensure_network() {
    EngineCall look;
    look.path = "/networks/" + options_.policy.egress_network;
    auto found = co_await engine_.call(std::move(look));
    if (!absl::IsNotFound(found.status())) co_return found.status();
    EngineCall call;
    call.method = "POST";
    call.path = "/networks/create";
    call.body = json{{"Name", options_.policy.egress_network},
                     {"Driver", "bridge"},
                     {"CheckDuplicate", true},
                     {"Options", json{{"com.docker.network.bridge.enable_icc", "false"}}}}
                    .dump();
    auto created = co_await engine_.call(std::move(call));
    if (absl::IsFailedPrecondition(created.status())) co_return absl::OkStatus();  // Just made.
    co_return created.status();
  }

  awaitable<Result<ContainerExit>> wait_with(std::string id, std::shared_ptr<SignalEvent> event) {
    TaskGroup watchers(executor_);  // Ends the watcher of the pid with this call.
    bool is_watched = false;
    for (;;) {
      event->reset();
      auto info = co_await inspect(id);
      if (!info.ok() && !absl::IsUnavailable(info.status())) co_return info.status();
      if (info.ok() && info->exit) co_return *info->exit;
      if (info.ok() && info->phase == ContainerPhase::kCreated) co_return ContainerExit{};
      if (info.ok() && !is_watched) {
        if (const int fd = open_pid(info->pid, info->id); fd >= 0) {
          watchers.spawn("container pid", signal_at_end(fd, event));
        }
        is_watched = true;
      }
      // Without an Engine we ask again once it answers (follow_events wakes us), or after a while.
      const auto limit = info.ok() ? std::chrono::milliseconds{60'000} : kReconnect.longest;
      co_await event->wait_for(limit);
      if (is_stopping_) co_return absl::CancelledError("the worker is stopping");
      if (event->is_set()) co_await settle(id);
    }
  }

  // The process is gone a little before the Engine knows its exit code.
  awaitable<void> settle(std::string id) {
    EngineCall call;
    call.method = "POST";
    call.path = "/containers/" + id + "/wait?condition=not-running";
    call.timeout = std::chrono::seconds{5};
    auto info = co_await inspect(id);
    if (!info.ok() || info->exit) co_return;
    if (const int fd = open_pid(info->pid, info->id); fd >= 0) {  // Woken for nothing: it lives.
      ::close(fd);
      co_return;
    }
    auto ended = co_await engine_.call(std::move(call));
    if (!ended.ok())
      log::debug("waiting for the end of container {}: {}", id, ended.status().ToString());
  }

  awaitable<void> follow_events() {
    for (int failures = 0; !is_stopping_;) {
      EngineCall call;
      call.path = "/events?filters=" + filters(worker_label_, true);
      call.timeout = kNoLimit;
      auto stream = co_await engine_.open_stream(std::move(call));
      if (stream.ok()) {
        failures = 0;
        // Ends that happened while nobody listened: everybody looks again.
        for (auto& [id, event] : waiters_) event->set();
        co_await read_events(stream->get());
      }
      const bool is_awake = co_await sleep_for(backoff(kReconnect, failures++, random_));
      if (!is_awake) co_return;
    }
  }

  awaitable<void> read_events(http::ClientConnection* stream) {
    std::string buffer;
    for (;;) {
      auto piece = co_await stream->read_some();
      if (!piece.ok() || piece->empty()) co_return;
      buffer += *piece;
      std::size_t begin = 0;
      for (std::size_t end = 0; (end = buffer.find('\n', begin)) != std::string::npos;
           begin = end + 1) {
        const json event =
            json::parse(buffer.begin() + static_cast<std::ptrdiff_t>(begin),
                        buffer.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
        wake(container_of(event));
      }
      buffer.erase(0, begin);
    }
  }

  void wake(const std::string& id) {
    const auto [first, last] = waiters_.equal_range(id);
    for (auto it = first; it != last; ++it) it->second->set();
  }

  boost::asio::any_io_executor executor_;
  Random& random_;
  const DockerOptions options_;
  const std::string worker_label_;
  EngineClient engine_;
  std::multimap<std::string, std::shared_ptr<SignalEvent>> waiters_;  // By container id.
  bool is_stopping_ = false;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace

std::unique_ptr<Runtime> make_docker_runtime(boost::asio::any_io_executor executor, Random& random,
                                             DockerOptions options) {
  return std::make_unique<DockerRuntime>(std::move(executor), random, std::move(options));
}

}  // namespace mimeo::worker
