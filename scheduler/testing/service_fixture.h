// A whole scheduler over Unix sockets in one process: real services, an in-memory store, fake
// workers and control planes, and a loop that the test drives until something is true.

#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/crypto/crypto.h"
#include "common/store/memory/memory_store.h"
#include "common/telemetry/metrics.h"
#include "scheduler/service.h"
#include "scheduler/testing/fake_control_plane.h"
#include "scheduler/testing/fake_worker.h"
#include "scheduler/testing/flaky_store.h"

namespace mimeo::scheduler::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ServiceFixture : public ::testing::Test {
 protected:
  ServiceFixture()
      : dir_(std::filesystem::temp_directory_path() / ("mimeo-scheduler-" + ids_.next().str())) {
    std::filesystem::create_directories(dir_);
    store::Account account;
    account.username = "acme";
    account.name = "Acme";
    account_ = store_.create_account(account)->id;
    account.username = "other";
    other_account_ = store_.create_account(account)->id;
    Hardware cpu;
    cpu.sku = "cpu";
    cpu.name = "CPU";
    cpu.resources.cpu_milli = 1000;
    EXPECT_TRUE(store_.put_hardware(cpu, 1).ok());
    store::Model model;
    model.owner_id = account_;
    model.owner = "acme";
    model.name = "hello";
    model.sku = "cpu";
    model_ = store_.create_model(model)->id;
    EXPECT_TRUE(store_.ensure_cell(1).ok());
    EXPECT_TRUE(store_.create_worker_token(crypto::sha256("secret"), "test", 1).ok());
  }
  ~ServiceFixture() override {
    workers_.clear();
    control_planes_.clear();
    for (auto& service : services_) {
      if (service) run(service->stop(seconds{2}));
    }
    services_.clear();
    settle();
    std::filesystem::remove_all(dir_);
  }

  // --- The loop ---------------------------------------------------------------------------------

  // Runs handlers until `condition`; the test fails when it never becomes true.
  void until(const std::function<bool()>& condition, const char* what = "the condition") {
    const auto end = std::chrono::steady_clock::now() + seconds{20};
    auto beat_at = std::chrono::steady_clock::now();
    while (!condition()) {
      const auto now = std::chrono::steady_clock::now();
      if (now > end) throw std::runtime_error(std::string("waited in vain for ") + what);
      if (now >= beat_at) {
        beat_at = now + milliseconds{50};
        for (auto& worker : workers_) {
          if (worker->is_welcome) worker->beat();
        }
      }
      io_.restart();
      io_.run_one_for(milliseconds{5});
    }
  }
  void settle() {
    io_.restart();
    io_.poll();
  }
  // Lets time pass: for what must *not* happen.
  void pass(milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    until([&] { return std::chrono::steady_clock::now() >= end; });
  }
  void run(boost::asio::awaitable<void> task) {
    auto done = boost::asio::co_spawn(io_, std::move(task), boost::asio::use_future);
    until([&] { return done.wait_for(seconds{0}) == std::future_status::ready; }, "a coroutine");
    done.get();
  }

  // --- Building blocks --------------------------------------------------------------------------

  ServiceOptions options() {
    ServiceOptions options;
    options.rpc.address = "unix:" + (dir_ / (std::to_string(next_socket_++) + ".sock")).string();
    LeadershipOptions& leadership = options.leadership;
    leadership.lease = milliseconds{800};
    leadership.renew_every = milliseconds{100};
    leadership.poll_every = milliseconds{50};
    leadership.host.lease_margin = milliseconds{600};
    leadership.host.reconcile.recent_every = milliseconds{100};
    leadership.host.reconcile.targets_every = milliseconds{50};
    leadership.host.reconcile.workers_every = milliseconds{100};
    leadership.host.cell.suspect_after = milliseconds{600};
    leadership.host.cell.lost_after = milliseconds{1200};
    return options;
  }
  Service& start_scheduler() { return start_scheduler(options()); }
  Service& start_scheduler(const ServiceOptions& options) {
    services_.push_back(std::make_unique<Service>(io_.get_executor(), parts_, options));
    const Status status = services_.back()->start();
    EXPECT_TRUE(status.ok()) << status;
    return *services_.back();
  }
  // With its cell loaded.
  Service& start_owner() {
    Service& service = start_scheduler();
    until([&] { return service.find_cell(1) != nullptr; }, "the cell's owner");
    return service;
  }
  // Stops it in order and forgets it.
  void stop(Service& service) {
    for (auto it = services_.begin(); it != services_.end(); ++it) {
      if (it->get() != &service) continue;
      run(service.stop(seconds{2}));
      services_.erase(it);
      return;
    }
  }
  void kill(Service& service) {
    for (auto it = services_.begin(); it != services_.end(); ++it) {
      if (it->get() != &service) continue;
      run(service.vanish());
      services_.erase(it);
      return;
    }
  }

  FakeWorker& add_worker(const Service& service) {
    workers_.push_back(
        std::make_unique<FakeWorker>(io_.get_executor(), ids_.next(), std::string("secret")));
    FakeWorker& worker = *workers_.back();
    worker.connect(service.address());
    until([&] { return worker.is_welcome; }, "the worker's welcome");
    return worker;
  }
  FakeControlPlane& add_control_plane(const Service& service, const std::string& hub) {
    control_planes_.push_back(std::make_unique<FakeControlPlane>(io_.get_executor(), hub));
    FakeControlPlane& plane = *control_planes_.back();
    plane.connect(service.address());
    until([&] { return !plane.cells.empty(); }, "the link's welcome");
    return plane;
  }

  store::Version add_version(int number) {
    store::Version version;
    std::string raw(32, 'v');
    raw[0] = static_cast<char>(number);
    version.id = *VersionId::from_bytes(raw);
    version.model = model_;
    version.repository = "acme/hello";
    version.image_digest = "sha256:" + version.id.hex();
    version.cog_version = "0.17.0";
    version.openapi_schema = "{}";
    version.config = "{}";
    version.pushed_by = "acme";
    version.created_at = clock_.now();
    return *store_.put_version(version);
  }
  store::Target add_pool(int version, std::int32_t max = 1) {
    return *store_.ensure_version_pool(add_version(version).id, "cpu", max);
  }

  store::NewPrediction new_prediction(const store::Target& target) {
    store::NewPrediction p;
    p.id = ids_.next();
    p.account = account_;
    p.target = target.id;
    p.cell = target.cell;
    p.model = model_;
    if (target.version) p.version = *target.version;
    p.deployment = target.deployment;
    p.created_at = clock_.now();
    p.run_limit = seconds{60};
    p.input = R"({"text":"hi"})";
    return p;
  }
  // Committed as queued, and the scheduler told.
  PredictionId submit(FakeControlPlane& plane, const store::Target& target) {
    const store::NewPrediction p = new_prediction(target);
    EXPECT_EQ((*store_.create({&p, 1}))[0].outcome, store::CreateOutcome::kQueued);
    plane.queued(p.id, target.id, p.account);
    return p.id;
  }
  PredictionStatus status_of(PredictionId id) { return store_.get(id, 0)->status; }
  std::vector<store::InstanceRow> live_instances() { return *store_.list_live_instances(0); }

  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_{clock_, random_};
  store::MemoryStore store_{clock_};
  FlakyStore flaky_{store_, store_};
  Metrics metrics_;
  boost::asio::io_context io_;
  BlockingPool pool_{4};
  SchedulerParts parts_{flaky_, store_, flaky_, pool_, clock_, random_, ids_, metrics_};
  AccountId account_ = 0;
  AccountId other_account_ = 0;
  ModelId model_ = 0;
  std::filesystem::path dir_;
  int next_socket_ = 0;
  std::vector<std::unique_ptr<Service>> services_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;
  std::vector<std::unique_ptr<FakeControlPlane>> control_planes_;
};

}  // namespace mimeo::scheduler::testing
