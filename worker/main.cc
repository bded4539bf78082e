// mimeo-worker: names every concrete class of the daemon, in the order of their dependencies.

#include <boost/asio/io_context.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "common/async/shutdown.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/telemetry/log.h"
#include "common/telemetry/metrics.h"
#include "worker/config.h"
#include "worker/container/docker_runtime.h"
#include "worker/container/process_runtime.h"
#include "worker/gpu/nvml_probe.h"
#include "worker/service.h"
#include "worker/state_dir.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;

constexpr int kFailed = 1;

// The last line on stderr says why.
int fail(const Status& status) {
  std::cerr << "mimeo-worker: " << status.message() << '\n';
  return kFailed;
}

// Runs the service until somebody asks it to stop.
struct Process {
  explicit Process(Service& service_in, boost::asio::any_io_executor executor)
      : service(service_in), shutdown(executor), tasks(executor) {}

  awaitable<void> run() {
    status = co_await service.start();
    if (status.ok()) co_await shutdown.wait();
    co_await service.stop();
    is_done = true;
    if (on_done) on_done();
  }

  Service& service;
  SignalEvent shutdown;
  Status status;
  bool is_done = false;
  std::function<void()> on_done;
  TaskGroup tasks;  // Last: its tasks use everything above.
};

std::unique_ptr<Runtime> make_runtime(const WorkerConfig& config, const StateDir& state,
                                      boost::asio::any_io_executor executor, Random& random) {
  ContainerPolicy policy;
  policy.worker = state.worker();
  policy.root = config.read_only_root ? RootFilesystem::kReadOnly : RootFilesystem::kWritable;
  if (config.runtime == "process") {
    return make_process_runtime(std::move(executor), random,
                                ProcessOptions{policy, state.path(), config.launcher});
  }
  DockerOptions options;
  options.socket_path = config.docker_socket;
  static_cast<ContainerPolicy&>(options.policy) = policy;
  return make_docker_runtime(std::move(executor), random, std::move(options));
}

// GPUs that no container can have are not offered.
std::unique_ptr<GpuProbe> make_gpu_probe(const WorkerConfig& config) {
  if (config.runtime == "process") return std::make_unique<FixedGpuProbe>();
  return make_nvml_probe();
}

int run(int argc, char** argv) {
  WorkerConfig config;
  if (const auto exit_code = parse_config(argc, argv, config)) return *exit_code;
  if (Status status = complete_config(config); !status.ok()) return fail(status);
  log::LogOptions log_options;
  log_options.level = config.log_level;
  log_options.format = config.log_format;
  log_options.component = "worker";
  if (Status status = log::init(log_options); !status.ok()) return fail(status);

  SystemClock clock;
  SystemRandom random;
  IdGenerator ids(clock, random);
  Metrics metrics;
  auto state = StateDir::open(config.state_dir, ids);
  if (!state.ok()) return fail(state.status());
  auto token = read_file(config.join_token_file);
  if (!token.ok()) return fail(with_context(token.status(), "--join-token-file"));
  while (!token->empty() && (token->back() == '\n' || token->back() == ' ')) token->pop_back();

  boost::asio::io_context context(1);  // One thread runs all of it.
  const auto executor = context.get_executor();
  const auto runtime = make_runtime(config, **state, executor, random);
  const auto gpus = make_gpu_probe(config);
  ServiceParts parts{executor, clock, random, metrics, **state, *runtime, *gpus};
  Service service(parts, config, *token);
  Process process(service, executor);
  ShutdownSignals signals(executor, [&process] { process.shutdown.set(); });
  process.on_done = [&context] { context.stop(); };
  process.tasks.spawn("worker", process.run());
  context.run();
  return process.status.ok() ? 0 : fail(process.status);
}

}  // namespace
}  // namespace mimeo::worker

int main(int argc, char** argv) { return mimeo::worker::run(argc, argv); }
