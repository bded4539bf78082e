#include "worker/instance/supervisor.h"

#include <set>
#include <utility>

#include "common/domain/instance.h"
#include "common/telemetry/log.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;

constexpr std::size_t kRememberedEnds = 64;

}  // namespace

Supervisor::Supervisor(InstanceParts parts, InstancePolicy policy, StateDir& state)
    : parts_(parts),
      policy_(std::move(policy)),
      state_(state),
      became_empty_(parts.executor),
      tasks_(parts.executor) {}

Supervisor::~Supervisor() = default;

Instance& Supervisor::add(InstanceId id, v1::EnsureInstance wish) {
  auto& entry = instances_[id];
  entry = std::make_unique<Instance>(parts_, policy_, id, std::move(wish), state_.instance(id));
  return *entry;
}

awaitable<Status> Supervisor::adopt_all() {
  MIMEO_CO_ASSIGN_OR_RETURN(const auto containers, co_await parts_.runtime.list());
  std::map<InstanceId, ContainerInfo> by_instance;
  for (const auto& container : containers) by_instance[container.instance] = container;

  for (const InstanceId id : state_.instances()) {
    const InstanceDir dir = state_.instance(id);
    v1::EnsureInstance wish;
    const auto content = read_file(dir.instance_file());
    if (!content.ok() || !wish.ParseFromString(*content)) {
      // Its daemon died before the container was made: nothing ran.
      const Status removed = dir.remove();
      if (!removed.ok()) log::warn("{}", removed.ToString());
      continue;
    }
    FoundContainer found;
    if (const auto it = by_instance.find(id); it != by_instance.end()) {
      found.id = it->second.id;
      found.is_running = it->second.phase == ContainerPhase::kRunning;
      found.pid = it->second.pid;
      by_instance.erase(it);
    }
    log::info("found an instance instance={} container={}", id.str(),
              found.is_running ? "running" : "gone");
    add(id, std::move(wish)).adopt(std::move(found));
  }
  // Made, and then the folder was lost; or of a worker with another folder: not ours to run.
  for (const auto& [id, container] : by_instance) {
    log::warn("removing a container without an instance container={}", container.id);
    const Status removed = co_await parts_.runtime.remove(container.id);
    if (!removed.ok()) log::error("removing a container: {}", removed.ToString());
  }
  co_return absl::OkStatus();
}

void Supervisor::ensure(const v1::EnsureInstance& wish) {
  const auto id = InstanceId::parse(wish.instance_id());
  if (!id.ok()) {
    log::error("the scheduler wants an instance with a bad id: {}", id.status().ToString());
    return;
  }
  if (Instance* existing = find(*id)) {
    parts_.user.on_report(existing->report());
    return;
  }
  if (const v1::InstanceReport* ended = find_ended(wish.instance_id())) {
    v1::InstanceReport again = *ended;
    parts_.user.on_report(std::move(again));
    return;
  }
  add(*id, wish).begin();
}

void Supervisor::stop(InstanceId id, std::chrono::milliseconds drain) {
  if (Instance* instance = find(id)) {
    instance->stop(drain);
    return;
  }
  v1::InstanceReport report;
  report.set_instance_id(id.str());
  report.set_state(v1::INSTANCE_STATE_STOPPED);
  if (const v1::InstanceReport* ended = find_ended(id.str())) report = *ended;
  parts_.user.on_report(std::move(report));
}

const v1::InstanceReport* Supervisor::find_ended(const std::string& id) const {
  for (const auto& report : ended_) {
    if (report.instance_id() == id) return &report;
  }
  return nullptr;
}

void Supervisor::stop_all(std::chrono::milliseconds drain) {
  std::vector<InstanceId> all;
  for (const auto& [id, instance] : instances_) all.push_back(id);
  for (const InstanceId id : all) stop(id, drain);
}

Instance* Supervisor::find(InstanceId id) {
  const auto it = instances_.find(id);
  return it == instances_.end() ? nullptr : it->second.get();
}

std::vector<v1::InstanceReport> Supervisor::reports() const {
  std::vector<v1::InstanceReport> out;
  std::set<std::string> seen;
  // As it was reported: with the last words of the container.
  for (const auto& report : ended_) {
    out.push_back(report);
    seen.insert(report.instance_id());
  }
  for (const auto& [id, instance] : instances_) {
    if (!seen.contains(id.str())) out.push_back(instance->report());
  }
  return out;
}

void Supervisor::note(const v1::InstanceReport& report) {
  if (!is_terminal(static_cast<InstanceState>(report.state()))) return;
  if (find_ended(report.instance_id()) != nullptr) return;
  ended_.push_back(report);
  if (ended_.size() > kRememberedEnds) ended_.pop_front();
}

void Supervisor::retire(Instance& instance) {
  tasks_.spawn("forget an instance", reap(instance.id()));
}

awaitable<void> Supervisor::reap(InstanceId id) {
  Instance* instance = find(id);
  if (instance == nullptr) co_return;
  co_await instance->settle();
  auto remove = [dir = instance->dir()] { return dir.remove(); };
  instances_.erase(id);
  const Status removed = co_await parts_.pool.run(std::move(remove));
  if (!removed.ok()) log::warn("{}", removed.ToString());
  if (instances_.empty()) became_empty_.set();
}

awaitable<bool> Supervisor::wait_empty(std::chrono::milliseconds limit) {
  became_empty_.reset();
  if (instances_.empty()) co_return true;
  const bool is_empty = co_await became_empty_.wait_for(limit);
  co_return is_empty;
}

awaitable<void> Supervisor::detach() {
  for (auto& [id, instance] : instances_) co_await instance->settle();
  instances_.clear();
  tasks_.cancel();
  const Status ended = co_await tasks_.wait(std::chrono::seconds{5});
  if (!ended.ok()) log::warn("supervisor: {}", ended.ToString());
}

}  // namespace mimeo::worker
