#include "scheduler/testing/fake_worker.h"

#include <chrono>

#include "common/rpc/server.h"

namespace mimeo::scheduler::testing {

void FakeWorker::connect(const std::string& address) {
  disconnect();
  const std::uint64_t generation = ++generation_;
  channel_ = rpc::make_channel(address);
  stub_ = v1::WorkerSession::NewStub(channel_);
  is_closed = false;
  is_welcome = false;
  redirected_to.clear();
  rpc::LinkOptions<v1::SchedulerFrame, v1::WorkerFrame> options;
  options.executor = executor_;
  const std::weak_ptr<int> alive = alive_;
  options.on_frame = [this, alive, generation](const v1::SchedulerFrame& frame) {
    if (alive.expired() || generation != generation_) return;
    for (const auto& message : frame.messages()) on_message(message);
  };
  options.on_closed = [this, alive, generation, stub = stub_](const Status& status) {
    if (alive.expired() || generation != generation_) return;
    is_closed = true;
    is_welcome = false;
    closed_with = status;
    link_.reset();
  };
  auto* stub = stub_.get();
  link_ = Link::start(std::move(options), [stub](auto* context, auto* reactor) {
    stub->async()->Session(context, reactor);
  });
  send(hello());
}

void FakeWorker::disconnect() {
  ++generation_;
  is_closed = true;
  is_welcome = false;
  if (link_) link_->close();
  link_.reset();
}

void FakeWorker::send(v1::WorkerMessage message) {
  if (link_) link_->send(std::move(message));
}

v1::WorkerMessage FakeWorker::hello() const {
  v1::WorkerMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_worker_id(id.str());
  hello.set_token(token);
  hello.set_incarnation(incarnation);
  hello.set_protocol(1);
  v1::Inventory& inventory = *hello.mutable_inventory();
  inventory.set_hostname("host-" + id.str().substr(20));
  for (const std::string& sku : skus) inventory.add_skus(sku);
  inventory.mutable_total()->set_cpu_milli(cpu_milli);
  for (std::uint32_t i = 0; i < gpus; ++i) {
    v1::Gpu& gpu = *inventory.add_gpus();
    gpu.set_index(i);
    gpu.set_memory_bytes(std::uint64_t{80} << 30);
  }
  for (const auto& [name, report] : instances) *hello.add_instances() = report;
  for (const auto& [key, attempt] : attempts) {
    v1::AttemptReport& report = *hello.add_attempts();
    *report.mutable_id() = attempt.run.id();
    report.set_instance_id(attempt.run.instance_id());
    report.set_started(true);
    report.set_spooled(attempt.is_spooled);
  }
  return message;
}

void FakeWorker::beat() {
  v1::WorkerMessage message;
  message.mutable_heartbeat()->set_sequence(++beats_);
  send(std::move(message));
}

void FakeWorker::drain(std::uint32_t within_ms) {
  v1::WorkerMessage message;
  message.mutable_drain()->set_within_ms(within_ms);
  send(std::move(message));
}

void FakeWorker::report(const std::string& instance, v1::InstanceState state,
                        const std::string& detail) {
  v1::InstanceReport& known = instances[instance];
  known.set_instance_id(instance);
  known.set_state(state);
  known.set_detail(detail);
  known.set_slots(slots);
  known.set_cold_start_ms(20);
  v1::WorkerMessage message;
  *message.mutable_instance() = known;
  if (state >= v1::INSTANCE_STATE_STOPPED) instances.erase(instance);
  send(std::move(message));
}

void FakeWorker::on_message(const v1::SchedulerMessage& message) {
  switch (message.body_case()) {
    case v1::SchedulerMessage::kWelcome:
      is_welcome = true;
      hubs.assign(message.welcome().hub_addrs().begin(), message.welcome().hub_addrs().end());
      return;
    case v1::SchedulerMessage::kHubs:
      hubs.assign(message.hubs().hub_addrs().begin(), message.hubs().hub_addrs().end());
      return;
    case v1::SchedulerMessage::kRedirect:
      redirected_to = message.redirect().scheduler_addr();
      return;
    case v1::SchedulerMessage::kNewIncarnation:
      incarnation = message.new_incarnation().incarnation();
      return;
    case v1::SchedulerMessage::kEnsure: {
      const v1::EnsureInstance& ensure = message.ensure();
      ensures.push_back(ensure);
      instances[ensure.instance_id()].set_target_id(ensure.target_id());
      instances[ensure.instance_id()].set_version_id(ensure.version_id());
      report(ensure.instance_id(), v1::INSTANCE_STATE_PREPARING, "pulling");
      if (!setup_failure.empty()) {
        report(ensure.instance_id(), v1::INSTANCE_STATE_FAILED, setup_failure);
      } else if (makes_ready) {
        report(ensure.instance_id(), v1::INSTANCE_STATE_READY);
      }
      return;
    }
    case v1::SchedulerMessage::kStop:
      stops.push_back(message.stop());
      for (const auto& [key, attempt] : attempts) {
        if (attempt.run.instance_id() == message.stop().instance_id()) return;  // Drains.
      }
      if (instances.contains(message.stop().instance_id())) {
        report(message.stop().instance_id(), v1::INSTANCE_STATE_STOPPED);
      }
      return;
    case v1::SchedulerMessage::kRun:
      on_run(message.run());
      return;
    case v1::SchedulerMessage::kCancel:
      cancels.push_back(message.cancel());
      return;
    case v1::SchedulerMessage::kForget:
      forgotten.emplace_back(message.forget().id().prediction_id(),
                             message.forget().id().attempt());
      attempts.erase(forgotten.back());
      return;
    default:
      return;
  }
}

void FakeWorker::on_run(const v1::Run& run) {
  runs.push_back(run);
  const Key key{run.id().prediction_id(), run.id().attempt()};
  if (!executed.insert(key).second) return;
  const auto instance = instances.find(run.instance_id());
  if (instance == instances.end() || instance->second.state() != v1::INSTANCE_STATE_READY) {
    v1::WorkerMessage rejected;
    *rejected.mutable_rejected()->mutable_id() = run.id();
    rejected.mutable_rejected()->set_instance_id(run.instance_id());
    rejected.mutable_rejected()->set_reason(v1::AttemptRejected::REASON_INSTANCE_GONE);
    send(std::move(rejected));
    return;
  }
  attempts[key].run = run;
  v1::WorkerMessage accepted;
  *accepted.mutable_accepted()->mutable_id() = run.id();
  send(std::move(accepted));
  v1::WorkerMessage started;
  *started.mutable_started()->mutable_id() = run.id();
  started.mutable_started()->set_instance_id(run.instance_id());
  send(std::move(started));
}

void FakeWorker::end(const Key& key, store::PredictionStore& store, PredictionStatus status) {
  const v1::Run run = attempts.at(key).run;
  attempts.erase(key);
  store::Finish finish;
  finish.id = *Uuid::parse(key.first);
  finish.attempt = key.second;
  finish.status = status;
  finish.completed_at = finish.id.created_at() + std::chrono::seconds{1};
  finish.output = "\"done\"";
  (void)store.finish({&finish, 1});
  v1::WorkerMessage message;
  v1::AttemptEnded& ended = *message.mutable_ended();
  *ended.mutable_id() = run.id();
  ended.set_instance_id(run.instance_id());
  ended.set_outcome(status == PredictionStatus::kSucceeded ? v1::OUTCOME_SUCCEEDED
                                                           : v1::OUTCOME_FAILED);
  ended.set_ran_ms(10);
  send(std::move(message));
  for (const v1::StopInstance& stop : stops) {  // It was only waiting for this one.
    if (stop.instance_id() == run.instance_id() && instances.contains(stop.instance_id())) {
      report(stop.instance_id(), v1::INSTANCE_STATE_STOPPED);
    }
  }
}

void FakeWorker::end_only(store::PredictionStore& store) {
  const Key key = attempts.begin()->first;
  end(key, store);
}

std::optional<FakeWorker::Key> FakeWorker::running(const PredictionId& prediction) const {
  for (const auto& [key, attempt] : attempts) {
    if (key.first == prediction.str()) return key;
  }
  return std::nullopt;
}

}  // namespace mimeo::scheduler::testing
