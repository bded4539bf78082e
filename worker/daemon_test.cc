// The whole daemon with real shims, between a scheduler, a control plane and containers that are
// fakes: what each of them notices.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "worker/service.h"
#include "worker/testing/fake_hub.h"
#include "worker/testing/fake_runtime.h"
#include "worker/testing/fake_scheduler.h"
#include "worker/testing/test_loop.h"

namespace mimeo::worker {
namespace {

using nlohmann::json;

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() : ids_(clock_, random_) {
    runtime_.cog_options.openapi = cog::fake_openapi(R"({"type":"string"})");
    hub_.answers_all = true;
    instance_ = ids_.next();
    digest_ = "sha256:" + std::string(64, 'a');
  }
  ~DaemonTest() override {
    stop_daemon("drain");
    scheduler_.stop();
    hub_.stop();
    EXPECT_TRUE(loop_.run_until([&] {
      return scheduler_.closed >= static_cast<int>(scheduler_.streams.size()) &&
             hub_.closed >= static_cast<int>(hub_.streams.size());
    }));
  }

  void start_daemon(const std::string& on_stop = "drain") {
    WorkerConfig config;
    config.schedulers = {scheduler_.address()};
    config.shim = MIMEO_SHIM_PROGRAM;
    config.publish_ports = true;
    config.on_stop = on_stop;
    config.log_level = "warning";
    config.total_cpu_milli = 2000;
    config.drain_timeout = std::chrono::seconds{5};
    state_ = *StateDir::open(folder_.path() / "w", ids_);
    ServiceParts parts{loop_.executor(), clock_, random_, metrics_, *state_, runtime_, gpus_};
    service_ = std::make_unique<Service>(parts, config, "join");
    const std::size_t hellos = scheduler_.hellos.size();
    const Status started = loop_.run(service_->start());
    ASSERT_TRUE(started.ok()) << started;
    ASSERT_TRUE(loop_.run_until([&] { return scheduler_.hellos.size() > hellos; }));
    v1::SchedulerMessage welcome;
    welcome.mutable_welcome()->set_cell_id(7);
    welcome.mutable_welcome()->set_heartbeat_ms(20'000);
    welcome.mutable_welcome()->add_hub_addrs(hub_.address());
    scheduler_.say(std::move(welcome));
  }
  void stop_daemon(const std::string& /*how*/) {
    if (!service_) return;
    loop_.run(service_->stop());
    service_.reset();
    state_.reset();
  }

  void ensure(std::uint32_t slots = 1) {
    v1::SchedulerMessage message;
    v1::EnsureInstance& wish = *message.mutable_ensure();
    wish.set_instance_id(instance_.str());
    wish.set_target_id(42);
    wish.set_repository("alice/hello");
    wish.set_digest(digest_);
    wish.set_concurrency(slots);
    wish.set_openapi_schema(runtime_.cog_options.openapi);
    wish.mutable_resources()->set_memory_bytes(Bytes{2_GiB}.count);
    scheduler_.say(std::move(message));
  }
  // The newest report of the instance is of this state.
  bool is_reported(v1::InstanceState state) {
    for (auto it = scheduler_.messages.rbegin(); it != scheduler_.messages.rend(); ++it) {
      if (it->has_instance()) {
        detail_ = it->instance().detail();
        return it->instance().state() == state;
      }
    }
    return false;
  }
  void make_ready(std::uint32_t slots = 1) {
    start_daemon();
    ensure(slots);
    ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_READY); })) << detail_;
  }
  v1::AttemptId run(const json& input, std::uint32_t run_limit_ms = 0) {
    v1::AttemptId id;
    id.set_prediction_id(ids_.next().str());
    id.set_attempt(1);
    run_again(id, input, run_limit_ms);
    return id;
  }
  void run_again(const v1::AttemptId& id, const json& input, std::uint32_t run_limit_ms = 0) {
    v1::SchedulerMessage message;
    *message.mutable_run()->mutable_id() = id;
    message.mutable_run()->set_instance_id(instance_.str());
    message.mutable_run()->set_input(input.dump());
    message.mutable_run()->set_run_limit_ms(run_limit_ms);
    message.mutable_run()->add_hub_addrs(hub_.address());
    scheduler_.say(std::move(message));
  }
  const v1::Complete& result_of(const v1::AttemptId& id) {
    EXPECT_TRUE(loop_.run_until([&] { return hub_.result_of(id) != nullptr; }));
    static const v1::Complete kNone;
    const v1::Complete* result = hub_.result_of(id);
    return result == nullptr ? kNone : *result;
  }
  template <class Has>
  std::size_t count(Has has) const {
    std::size_t found = 0;
    for (const auto& message : scheduler_.messages) found += has(message) ? 1 : 0;
    return found;
  }
  std::size_t ended() const {
    return count([](const auto& message) { return message.has_ended(); });
  }
  std::size_t rejected(v1::AttemptRejected::Reason reason) const {
    return count([reason](const auto& message) {
      return message.has_rejected() && message.rejected().reason() == reason;
    });
  }
  bool has_started(const v1::AttemptId& id) const {
    return count([&](const auto& message) {
             return message.has_started() &&
                    message.started().id().prediction_id() == id.prediction_id();
           }) > 0;
  }

  TestLoop loop_;
  TestFolder folder_;
  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_;
  Metrics metrics_;
  FixedGpuProbe gpus_;
  FakeScheduler scheduler_{loop_.executor()};
  FakeHub hub_{loop_.executor()};
  FakeRuntime runtime_{loop_.executor()};
  InstanceId instance_;
  std::string digest_;
  std::string detail_;
  std::unique_ptr<StateDir> state_;
  std::unique_ptr<Service> service_;
};

TEST_F(DaemonTest, MakesAnInstanceReadyWithItsImage) {
  make_ready();
  ASSERT_EQ(runtime_.pulled.size(), 1U);
  EXPECT_EQ(runtime_.pulled[0].name.reference(), "registry.example.com/alice/hello@" + digest_);
  EXPECT_EQ(runtime_.tokens[0], "token-for-alice/hello");
  EXPECT_EQ(count([&](const auto& message) {
              return message.has_cache() && message.cache().versions_added_size() == 1 &&
                     message.cache().versions_added(0) == std::string(32, '\xaa');
            }),
            1U);
}

TEST_F(DaemonTest, RunsAnAttemptAndTellsEverybody) {
  make_ready();
  const v1::AttemptId id = run({{"text", "hello"}});
  const v1::Complete& result = result_of(id);
  EXPECT_EQ(result.outcome(), v1::OUTCOME_SUCCEEDED);
  EXPECT_EQ(json::parse(result.output()), "hello");
  EXPECT_EQ(result.instance_id(), instance_.str());
  // What the scheduler hears comes on another stream than the result.
  EXPECT_TRUE(loop_.run_until([&] { return ended() == 1; }));
  EXPECT_EQ(count([](const auto& message) { return message.has_accepted(); }), 1U);
}

TEST_F(DaemonTest, ARunThatComesTwiceIsRunOnce) {
  make_ready();
  const v1::AttemptId id = run({{"text", "hello"}});
  run_again(id, {{"text", "hello"}});
  (void)result_of(id);
  const v1::AttemptId other = run({{"text", "other"}});
  run_again(id, {{"text", "hello"}});
  (void)result_of(other);
  EXPECT_EQ(runtime_.only().server->runs(), 2);
}

TEST_F(DaemonTest, RefusesMoreThanItsSlots) {
  make_ready(1);
  const v1::AttemptId first = run({{"do", "wait"}});
  ASSERT_TRUE(loop_.run_until([&] { return has_started(first); }));
  run({{"text", "too much"}});
  ASSERT_TRUE(loop_.run_until([&] { return rejected(v1::AttemptRejected::REASON_BUSY) == 1; }));
  runtime_.only().server->release();
  EXPECT_EQ(result_of(first).outcome(), v1::OUTCOME_SUCCEEDED);
  // The slot is free again at once, before the result is answered.
  const v1::AttemptId next = run({{"text", "now"}});
  EXPECT_EQ(result_of(next).outcome(), v1::OUTCOME_SUCCEEDED);
}

TEST_F(DaemonTest, GivesBackWhatIsForAnInstanceThatIsNotThere) {
  start_daemon();
  run({{"text", "hello"}});
  ASSERT_TRUE(
      loop_.run_until([&] { return rejected(v1::AttemptRejected::REASON_INSTANCE_GONE) == 1; }));
}

TEST_F(DaemonTest, CancelsInTheContainer) {
  make_ready();
  const v1::AttemptId id = run({{"do", "wait"}});
  ASSERT_TRUE(loop_.run_until([&] { return has_started(id); }));
  v1::SchedulerMessage cancel;
  *cancel.mutable_cancel()->mutable_id() = id;
  cancel.mutable_cancel()->set_grace_ms(10'000);
  scheduler_.say(std::move(cancel));
  EXPECT_EQ(result_of(id).outcome(), v1::OUTCOME_CANCELED);
  EXPECT_TRUE(is_reported(v1::INSTANCE_STATE_READY));
}

TEST_F(DaemonTest, KillsTheContainerOfAModelThatIgnoresACancel) {
  make_ready();
  const v1::AttemptId id = run({{"do", "stubborn"}});
  ASSERT_TRUE(loop_.run_until([&] { return has_started(id); }));
  v1::SchedulerMessage cancel;
  *cancel.mutable_cancel()->mutable_id() = id;
  cancel.mutable_cancel()->set_grace_ms(50);
  scheduler_.say(std::move(cancel));
  EXPECT_EQ(result_of(id).outcome(), v1::OUTCOME_CANCELED);
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_FAILED); }));
  EXPECT_NE(detail_.find("did not end"), std::string::npos) << detail_;
}

TEST_F(DaemonTest, EndsARunAtItsLimit) {
  make_ready();
  const v1::AttemptId id = run({{"do", "wait"}}, 200);
  const v1::Complete& result = result_of(id);
  EXPECT_EQ(result.outcome(), v1::OUTCOME_FAILED);
  EXPECT_EQ(result.cause(), v1::FAILURE_CAUSE_RUN_LIMIT);
}

TEST_F(DaemonTest, AContainerThatDiesFailsItsAttemptAndItsInstanceWithTheReason) {
  make_ready();
  const v1::AttemptId id = run({{"do", "wait"}});
  ASSERT_TRUE(loop_.run_until([&] { return has_started(id); }));
  runtime_.end(runtime_.only_id(), ContainerExit{137, true, {}});
  const v1::Complete& result = result_of(id);
  EXPECT_EQ(result.outcome(), v1::OUTCOME_FAILED);
  EXPECT_EQ(result.cause(), v1::FAILURE_CAUSE_CONTAINER_EXIT);
  EXPECT_NE(result.error().find("the container ran out of memory (limit 2 GiB)"), std::string::npos)
      << result.error();
  EXPECT_NE(result.logs().find("the last words"), std::string::npos) << result.logs();
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_FAILED); }));
  EXPECT_NE(detail_.find("ran out of memory"), std::string::npos) << detail_;
  EXPECT_NE(detail_.find("the last words"), std::string::npos) << detail_;
  // Nothing is left once the result is answered.
  EXPECT_TRUE(loop_.run_until([&] { return state_->instances().empty(); }));
  EXPECT_TRUE(runtime_.containers.empty());
}

TEST_F(DaemonTest, SaysWhyAnInstanceCouldNotStart) {
  runtime_.pull_error = absl::NotFoundError("manifest unknown");
  start_daemon();
  ensure();
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_FAILED); }));
  EXPECT_EQ(detail_, "pulling the image: manifest unknown");
}

TEST_F(DaemonTest, SaysWhySetupFailed) {
  runtime_.cog_options.health = "SETUP_FAILED";
  runtime_.cog_options.setup_logs = "ImportError: no module named torch";
  start_daemon();
  ensure();
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_FAILED); }));
  EXPECT_NE(detail_.find("ImportError"), std::string::npos) << detail_;
}

TEST_F(DaemonTest, StopsAnInstanceWhenItsAttemptsAreOver) {
  make_ready();
  const v1::AttemptId id = run({{"do", "wait"}});
  ASSERT_TRUE(loop_.run_until([&] { return has_started(id); }));
  v1::SchedulerMessage stop;
  stop.mutable_stop()->set_instance_id(instance_.str());
  stop.mutable_stop()->set_drain_ms(30'000);
  scheduler_.say(std::move(stop));
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_DRAINING); }));
  runtime_.only().server->release();
  EXPECT_EQ(result_of(id).outcome(), v1::OUTCOME_SUCCEEDED);
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_STOPPED); }));
  EXPECT_TRUE(loop_.run_until([&] { return state_->instances().empty(); }));
}

TEST_F(DaemonTest, ARestartedDaemonTakesUpWhatRuns) {
  start_daemon("keep");
  ensure();
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_READY); }));
  const v1::AttemptId id = run({{"do", "wait"}});
  ASSERT_TRUE(loop_.run_until([&] { return has_started(id); }));
  stop_daemon("keep");
  EXPECT_EQ(runtime_.containers.size(), 1U);

  start_daemon();
  const v1::Hello& hello = scheduler_.hellos.back();
  ASSERT_EQ(hello.instances_size(), 1);
  EXPECT_EQ(hello.instances(0).instance_id(), instance_.str());
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_READY); })) << detail_;
  runtime_.only().server->release();
  EXPECT_EQ(result_of(id).outcome(), v1::OUTCOME_SUCCEEDED);
  EXPECT_EQ(runtime_.only().server->runs(), 1);
}

TEST_F(DaemonTest, AResultThatNobodyTookSurvivesTheDaemonAndItsShim) {
  hub_.answers_all = false;
  start_daemon("keep");
  ensure();
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_READY); }));
  const v1::AttemptId id = run({{"text", "precious"}});
  ASSERT_TRUE(loop_.run_until([&] { return ended() == 1; }));
  const InstanceDir dir = state_->instance(instance_);
  stop_daemon("keep");
  const auto pid = read_file(dir.shim_pid());
  ASSERT_TRUE(pid.ok());
  ::kill(std::atoi(pid->c_str()), SIGKILL);
  runtime_.end(runtime_.only_id(), ContainerExit{0, false, {}});
  hub_.messages.clear();

  hub_.answers_all = true;
  start_daemon();
  EXPECT_EQ(json::parse(result_of(id).output()), "precious");
  EXPECT_TRUE(loop_.run_until([&] { return state_->instances().empty(); }));
  // The end of the instance is told with the state of everything.
  ASSERT_EQ(scheduler_.hellos.back().instances_size(), 1);
  EXPECT_EQ(scheduler_.hellos.back().instances(0).state(), v1::INSTANCE_STATE_FAILED);
}

TEST_F(DaemonTest, AnInstanceWhoseShimDiesFails) {
  make_ready();
  const auto pid = read_file(state_->instance(instance_).shim_pid());
  ASSERT_TRUE(pid.ok());
  ::kill(std::atoi(pid->c_str()), SIGKILL);
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_FAILED); }));
  EXPECT_NE(detail_.find("its shim was killed by signal 9"), std::string::npos) << detail_;
  EXPECT_TRUE(loop_.run_until([&] { return state_->instances().empty(); }));
}

TEST_F(DaemonTest, DrainingTakesNothingNewAndStopsEverything) {
  make_ready();
  v1::SchedulerMessage drain;
  drain.mutable_drain()->set_within_ms(1000);
  scheduler_.say(std::move(drain));
  run({{"text", "late"}});
  ASSERT_TRUE(loop_.run_until([&] { return rejected(v1::AttemptRejected::REASON_DRAINING) == 1; }));
  ASSERT_TRUE(loop_.run_until([&] { return is_reported(v1::INSTANCE_STATE_STOPPED); }));
}

TEST_F(DaemonTest, AStoppedDaemonLeavesNothingBehind) {
  make_ready();
  const auto pid = read_file(state_->instance(instance_).shim_pid());
  stop_daemon("drain");
  EXPECT_TRUE(runtime_.containers.empty());
  ASSERT_TRUE(pid.ok());
  EXPECT_NE(::kill(std::atoi(pid->c_str()), 0), 0) << "its shim still runs";
  EXPECT_EQ(count([](const auto& message) { return message.has_drain(); }), 1U);
}

}  // namespace
}  // namespace mimeo::worker
