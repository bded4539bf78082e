// The worker as a whole: builds the parts in the order of their dependencies, connects them,
// starts, drains and stops them.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/http/server.h"
#include "common/telemetry/metrics.h"
#include "worker/attempts/attempt_runner.h"
#include "worker/config.h"
#include "worker/container/runtime.h"
#include "worker/files/input_files.h"
#include "worker/files/output_files.h"
#include "worker/gpu/probe.h"
#include "worker/hub_calls.h"
#include "worker/hub_client.h"
#include "worker/images/image_store.h"
#include "worker/instance/supervisor.h"
#include "worker/session.h"
#include "worker/state_dir.h"

namespace mimeo::worker {

// What main chooses.
struct ServiceParts {
  boost::asio::any_io_executor executor;
  const Clock& clock;
  Random& random;
  Metrics& metrics;
  StateDir& state;
  Runtime& runtime;
  GpuProbe& gpus;
};

// On one executor.
class Service final : private SessionUser, private InstanceUser {
 public:
  Service(ServiceParts parts, WorkerConfig config, std::string join_token);
  ~Service() override;

  // Finds instances of before, then looks for the scheduler. An error is one that an operator must
  // repair: no runtime, port taken.
  boost::asio::awaitable<Status> start();
  // Ends in order, as `on_stop` says.
  boost::asio::awaitable<void> stop();

 private:
  // SessionUser
  void fill_hello(v1::Hello& hello) override;
  void fill_heartbeat(v1::Heartbeat& heartbeat) override;
  void on_message(v1::SchedulerMessage message) override;

  // InstanceUser
  void on_report(v1::InstanceReport report) override;
  void on_shim_state(Instance& instance, const ShimState& state) override;
  void on_event(Instance& instance, v1::Event event) override;
  void on_result(Instance& instance, v1::Complete result) override;
  void on_refused(Instance& instance, const AttemptRefused& refused) override;
  void on_attempts_ended(Instance& instance, const std::string& reason) override;
  void on_gone(Instance& instance) override;

  void fill_inventory(v1::Inventory& inventory) const;
  void drain(std::chrono::milliseconds within);
  boost::asio::awaitable<void> drain_all();
  Status start_health_server();
  boost::asio::awaitable<Status> check_ready();

  ServiceParts parts_;
  const WorkerConfig config_;
  std::vector<GpuDevice> gpu_devices_;
  BlockingPool control_pool_;  // Short calls that must never wait for files.
  BlockingPool files_pool_;    // Inputs, outputs, folders.
  HubCalls hub_calls_;
  HubClient hub_;
  ImageStore images_;
  InputFiles inputs_;
  OutputFiles outputs_;
  std::unique_ptr<Supervisor> supervisor_;  // Made in start(), when the devices are known.
  std::unique_ptr<AttemptRunner> attempts_;
  Session session_;
  std::unique_ptr<http::Server> health_server_;
};

}  // namespace mimeo::worker
