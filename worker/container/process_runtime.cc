#include "worker/container/process_runtime.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <optional>
#include <utility>

#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"
#include "common/telemetry/log.h"
#include "worker/container/child_process.h"
#include "worker/container/process_images.h"
#include "worker/launch/container_folder.h"
#include "worker/launch/plan.h"
#include "worker/local_file.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;
using boost::asio::awaitable;

// Pulls, and ends of containers that resist.
constexpr std::size_t kSlowThreads = 4;
// Where the kernel has no overlay, the whole image is copied meanwhile.
constexpr std::chrono::minutes kStartLimit{10};
constexpr std::chrono::seconds kCheckLimit{30};
constexpr std::chrono::seconds kReapLimit{5};
constexpr std::streamoff kTailBytes = 1 << 20;

// The process of one container, and those who wait for its end.
struct Launcher {
  std::shared_ptr<Process> process;
  std::shared_ptr<SignalEvent> ended;
};

void end_of_file(const fs::path& path, std::string& out) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return;
  const std::streamoff size = file.tellg();
  const std::streamoff begin = std::max<std::streamoff>(0, size - kTailBytes);
  file.seekg(begin);
  std::string text(static_cast<std::size_t>(size - begin), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
  out += text;
}

std::string last_line(const fs::path& file) {
  std::string text;
  end_of_file(file, text);
  text = last_lines(text, 1);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// The image's own, with ours over it.
std::vector<std::string> merged_env(std::vector<std::string> env, const ContainerSpec& spec) {
  for (const auto& [name, value] : spec.env) {
    const std::string prefix = name + "=";
    std::erase_if(env, [&](const std::string& entry) { return entry.starts_with(prefix); });
    env.push_back(prefix + value);
  }
  return env;
}

Status check_wishes(const ContainerSpec& spec) {
  const char* what = nullptr;
  if (!spec.gpus.empty()) what = "containers with GPUs";
  if (spec.network == NetworkAccess::kEgress) what = "containers that may reach the outside";
  if (spec.reach == ServerReach::kPublishedPort) what = "containers with published ports";
  if (what == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the runtime 'process' cannot run ", what,
                                                    ": start the worker with --runtime docker"));
}

LaunchPlan make_plan(const ContainerSpec& spec, const UnpackedImage& image,
                     const ContainerPolicy& policy) {
  LaunchPlan plan;
  plan.instance = spec.instance;
  plan.image = spec.image;
  plan.rootfs = image.rootfs;
  plan.cgroup = absl::StrCat("mimeo/", policy.worker.str(), "/", container_name(spec.instance));
  plan.command = image.entrypoint;
  const auto arguments = arguments_for(image.entrypoint, image.cmd, spec.cog_arguments);
  plan.command.insert(plan.command.end(), arguments.begin(), arguments.end());
  plan.env = merged_env(image.env, spec);
  plan.working_dir = image.working_dir;
  plan.user = image.user;
  plan.root = policy.root;
  plan.cpu_milli = spec.resources.cpu_milli;
  plan.memory = spec.resources.memory;
  plan.pids = policy.pids;
  plan.open_files = policy.open_files;
  plan.tmp = tmp_size(spec.resources);
  plan.shm = shm_size(spec.resources);
  return plan;
}

// Its containers are found by their paths, wherever the next daemon is started.
ProcessOptions absolute(ProcessOptions options) {
  options.state = fs::absolute(options.state);
  return options;
}

void sweep(const ProcessOptions& options, const Result<Cgroups>& cgroups) {
  for (const char* name : {"containers", "images"}) {
    const fs::path folder = options.state / name;
    std::error_code error;
    fs::create_directories(folder, error);
    fs::permissions(folder, fs::perms::owner_all, error);
    remove_unfinished(folder);
  }
  if (!cgroups.ok()) return;  // ping() will say so.
  // Groups whose folder is gone: somebody deleted it by hand.
  for (const auto& group : cgroups->children("mimeo/" + options.policy.worker.str())) {
    const auto folder = ContainerFolder::of(options.state, fs::path(group).filename());
    if (fs::exists(folder.path())) continue;
    const Status removed = cgroups->remove(group);
    if (!removed.ok()) log::warn("{}", removed.ToString());
  }
}

class ProcessRuntime final : public Runtime {
 public:
  ProcessRuntime(boost::asio::any_io_executor executor, Random& random, ProcessOptions options)
      : executor_(std::move(executor)),
        options_(absolute(std::move(options))),
        cgroups_(Cgroups::find()),
        images_(options_.state, random) {
    sweep(options_, cgroups_);
  }

  [[nodiscard]] std::string_view name() const override { return "process"; }

  awaitable<Status> ping() override {
    const fs::path output = options_.state / "launch-check.log";
    auto clear = [output] { return write_file_durably(output, ""); };
    MIMEO_CO_RETURN_IF_ERROR(co_await files_.run(std::move(clear)));
    ProcessStart start;
    start.program = options_.launcher;
    start.arguments = {"check", options_.state.string()};
    start.output_path = output;
    MIMEO_CO_ASSIGN_OR_RETURN(auto process, Process::start(executor_, start));
    auto ended = std::make_shared<SignalEvent>(executor_);
    auto how = std::make_shared<std::string>();
    process->on_end([ended, how](const std::string& text) {
      *how = text;
      ended->set();
    });
    const bool is_over = co_await ended->wait_for(kCheckLimit);
    if (!is_over) {
      process->kill(SIGKILL);
      co_return absl::UnavailableError(options_.launcher + " does not answer");
    }
    if (*how == ContainerExit{0, false, {}}.describe({})) co_return absl::OkStatus();
    auto read = [output] { return last_line(output); };
    const std::string reason = co_await files_.run(std::move(read));
    co_return absl::FailedPreconditionError(reason.empty() ? options_.launcher + " " + *how
                                                           : reason);
  }

  awaitable<Status> pull(ImageName image, std::string token, PullObserver observer) override {
    auto find = [this, image] { return images_.find(image).status(); };
    const Status found = co_await files_.run(std::move(find));
    if (!absl::IsNotFound(found)) co_return found;
    // Tells progress for as long as this call waits.
    const auto told = std::make_shared<PullObserver>(std::move(observer));
    auto tell = [executor = executor_, weak = std::weak_ptr(told)](const PullProgress& now) {
      boost::asio::post(executor, [weak, now] {
        const auto alive = weak.lock();
        if (alive && *alive) (*alive)(now);
      });
    };
    auto fetch = [this, image, token, tell] { return images_.fetch(image, token, tell); };
    MIMEO_CO_ASSIGN_OR_RETURN(const fs::path fetched, co_await slow_.run(std::move(fetch)));
    auto publish = [this, image, fetched] { return images_.publish(image, fetched); };
    const Status published = co_await files_.run(std::move(publish));
    co_return published;
  }

  awaitable<Result<std::vector<LocalImage>>> images() override {
    auto list = [this] { return images_.list(); };
    auto found = co_await files_.run(std::move(list));
    co_return found;
  }

  awaitable<Status> remove_image(ImageName image) override {
    auto forget = [this, image]() -> Result<fs::path> {
      for (const auto& folder : ContainerFolder::all(options_.state)) {
        const auto record = folder.read();
        if (!record.ok() || record->plan.image != image) continue;
        return absl::FailedPreconditionError("the container " + folder.id() + " uses it");
      }
      return images_.forget(image);
    };
    MIMEO_CO_ASSIGN_OR_RETURN(const fs::path doomed, co_await files_.run(std::move(forget)));
    if (doomed.empty()) co_return absl::OkStatus();
    auto remove_all = [doomed]() -> Status {
      std::error_code error;
      fs::remove_all(doomed, error);
      return error ? absl::InternalError(error.message()) : absl::OkStatus();
    };
    const Status removed = co_await slow_.run(std::move(remove_all));
    co_return removed;
  }

  awaitable<Result<std::string>> create(ContainerSpec spec) override {
    MIMEO_CO_RETURN_IF_ERROR(check_wishes(spec));
    const std::string id = container_name(spec.instance);
    // One that is there is of an earlier try of this very instance: nothing else has its id.
    MIMEO_CO_RETURN_IF_ERROR(co_await remove(id));
    auto make = [this, spec, id]() -> Status {
      MIMEO_ASSIGN_OR_RETURN(const UnpackedImage image, images_.find(spec.image));
      const LaunchPlan plan = make_plan(spec, image, options_.policy);
      if (plan.command.empty()) {
        return absl::InvalidArgumentError("the image names no program to run");
      }
      return folder_of(id).make(plan);
    };
    MIMEO_CO_RETURN_IF_ERROR(co_await files_.run(std::move(make)));
    co_return id;
  }

  awaitable<Result<ContainerInfo>> start(std::string id) override {
    MIMEO_CO_ASSIGN_OR_RETURN(const ContainerRecord record, co_await read(id));
    if (record.exit || record.launcher != 0 || launchers_.contains(id)) {
      co_return absl::FailedPreconditionError("the container " + id + " was started before");
    }
    MIMEO_CO_ASSIGN_OR_RETURN(Descriptor ready, launch(id));
    const std::string answer = co_await read_answer(ready.release(), launchers_.at(id).process);
    if (answer == kContainerRuns) {
      auto info = co_await inspect(id);
      co_return info;
    }
    if (!answer.empty()) co_return parse_status(answer);
    auto read_log = [file = folder_of(id).launch_log()] { return last_line(file); };
    const std::string reason = co_await files_.run(std::move(read_log));
    co_return absl::InternalError("mimeo-launch ended: " + reason);
  }

  awaitable<Result<ContainerInfo>> inspect(std::string id) override {
    MIMEO_CO_ASSIGN_OR_RETURN(ContainerRecord record, co_await read(id));
    if (!record.exit && record.launcher != 0 && !is_alive(id, record.launcher)) {
      // Its end is just being written down, or nobody is left to do it.
      MIMEO_CO_ASSIGN_OR_RETURN(const Cgroups cgroups, cgroups_);
      auto bury = [folder = folder_of(id), cgroups] { return folder.bury(cgroups); };
      MIMEO_CO_ASSIGN_OR_RETURN(record, co_await slow_.run(std::move(bury)));
    }
    co_return describe(id, record);
  }

  awaitable<Result<std::vector<ContainerInfo>>> list() override {
    auto look = [this] { return ContainerFolder::all(options_.state); };
    const auto folders = co_await files_.run(std::move(look));
    std::vector<ContainerInfo> out;
    for (const auto& folder : folders) {
      auto info = co_await inspect(folder.id());
      if (absl::IsNotFound(info.status())) continue;  // Removed meanwhile.
      if (!info.ok()) co_return info.status();
      out.push_back(std::move(*info));
    }
    co_return out;
  }

  awaitable<Result<ContainerExit>> wait(std::string id) override {
    for (;;) {
      MIMEO_CO_ASSIGN_OR_RETURN(const ContainerInfo info, co_await inspect(id));
      if (info.exit) co_return *info.exit;
      const auto launcher = launchers_.find(id);
      if (launcher == launchers_.end()) co_return ContainerExit{};  // Never started.
      const auto ended = launcher->second.ended;
      const bool is_awake = co_await ended->wait();
      if (!is_awake || is_stopping_) co_return absl::CancelledError("the worker is stopping");
    }
  }

  awaitable<Status> kill(std::string id) override {
    const auto record = co_await read(id);
    if (absl::IsNotFound(record.status())) co_return absl::OkStatus();
    if (!record.ok()) co_return record.status();
    MIMEO_CO_ASSIGN_OR_RETURN(const Cgroups cgroups, cgroups_);
    auto kill_all = [cgroups, group = record->plan.cgroup] {
      cgroups.kill(group);
      return absl::OkStatus();
    };
    const Status killed = co_await files_.run(std::move(kill_all));
    co_return killed;
  }

  awaitable<Status> remove(std::string id) override {
    MIMEO_CO_ASSIGN_OR_RETURN(const Cgroups cgroups, cgroups_);
    auto remove_all = [folder = folder_of(id), cgroups] { return folder.remove(cgroups); };
    const Status removed = co_await slow_.run(std::move(remove_all));
    if (!removed.ok()) co_return removed;
    const auto launcher = launchers_.find(id);
    if (launcher == launchers_.end()) co_return absl::OkStatus();
    const auto ended = launcher->second.ended;
    co_await ended->wait_for(kReapLimit);  // Destroyed earlier, it would stay a zombie.
    launchers_.erase(id);
    co_return absl::OkStatus();
  }

  awaitable<Result<std::string>> log_tail(std::string id, std::size_t lines) override {
    auto read_logs = [folder = folder_of(id), lines]() -> Result<std::string> {
      MIMEO_RETURN_IF_ERROR(folder.read().status());
      std::string text;
      end_of_file(folder.old_log(), text);
      end_of_file(folder.log(), text);
      return last_lines(text, lines);
    };
    auto text = co_await files_.run(std::move(read_logs));
    co_return text;
  }

  awaitable<void> stop() override {
    is_stopping_ = true;
    images_.stop();
    for (auto& [id, launcher] : launchers_) launcher.ended->set();
    co_return;
  }

 private:
  [[nodiscard]] ContainerFolder folder_of(const std::string& id) const {
    return ContainerFolder::of(options_.state, id);
  }

  awaitable<Result<ContainerRecord>> read(std::string id) {
    auto read_files = [folder = folder_of(id)] { return folder.read(); };
    auto record = co_await files_.run(std::move(read_files));
    co_return record;
  }

  // Starts its mimeo-launch; the end of a pipe where that will say how it went.
  Result<Descriptor> launch(const std::string& id) {
    std::array<int, 2> fds{};
    if (::pipe2(fds.data(), O_CLOEXEC) != 0) return errno_status("pipe");
    Descriptor ready(fds[0]);
    const Descriptor passed(fds[1]);
    const ContainerFolder folder = folder_of(id);
    ProcessStart start;
    start.program = options_.launcher;
    start.arguments = {"run", folder.path().string()};
    start.output_path = folder.launch_log();
    start.passed = passed.get();
    MIMEO_ASSIGN_OR_RETURN(auto process, Process::start(executor_, start));
    follow(id, std::move(process));
    return ready;
  }

  // All that comes through the pipe; a start that takes too long is ended.
  awaitable<std::string> read_answer(int fd, std::shared_ptr<Process> process) {
    boost::asio::posix::stream_descriptor ready(executor_, fd);
    boost::asio::steady_timer limit(executor_, kStartLimit);
    limit.async_wait([process](boost::system::error_code error) {
      if (!error) process->kill(SIGKILL);
    });
    std::string text;
    std::array<char, 1024> piece{};
    boost::system::error_code error;
    while (!error) {
      const std::size_t size = co_await ready.async_read_some(
          boost::asio::buffer(piece),
          boost::asio::redirect_error(boost::asio::use_awaitable, error));
      text.append(piece.data(), size);
    }
    co_return text;
  }

  void follow(const std::string& id, std::unique_ptr<Process> process) {
    Launcher launcher{std::move(process), std::make_shared<SignalEvent>(executor_)};
    launcher.process->on_end([ended = launcher.ended](const std::string&) { ended->set(); });
    launchers_[id] = std::move(launcher);
  }

  // Is this container's mimeo-launch there? One that an earlier daemon started is followed from
  // now on.
  bool is_alive(const std::string& id, pid_t pid) {
    if (!launchers_.contains(id)) {
      auto process = Process::adopt(executor_, pid, folder_of(id).mark());
      if (!process.ok()) return false;
      follow(id, std::move(*process));
    }
    return !launchers_.at(id).process->has_ended();
  }

  [[nodiscard]] ContainerInfo describe(const std::string& id, const ContainerRecord& record) const {
    ContainerInfo info;
    info.id = id;
    info.instance = record.plan.instance;
    info.log_path = folder_of(id).log();
    info.exit = record.exit;
    if (record.exit) {
      info.phase = ContainerPhase::kExited;
    } else if (record.first != 0) {
      info.phase = ContainerPhase::kRunning;
      info.pid = static_cast<std::uint32_t>(record.first);
    }
    return info;
  }

  boost::asio::any_io_executor executor_;
  const ProcessOptions options_;
  const Result<Cgroups> cgroups_;
  ProcessImages images_;
  std::map<std::string, Launcher> launchers_;  // By container id.
  bool is_stopping_ = false;
  BlockingPool files_{1};  // One thread: what it does to images and containers is never at once.
  BlockingPool slow_{kSlowThreads};
};

}  // namespace

std::unique_ptr<Runtime> make_process_runtime(boost::asio::any_io_executor executor, Random& random,
                                              ProcessOptions options) {
  return std::make_unique<ProcessRuntime>(std::move(executor), random, std::move(options));
}

}  // namespace mimeo::worker
