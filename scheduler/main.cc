// mimeo-scheduler: names every concrete class, in order, and nothing else.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>

#include "common/async/blocking_pool.h"
#include "common/async/shutdown.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/open_files.h"
#include "common/base/random.h"
#include "common/store/postgres/postgres_store.h"
#include "common/telemetry/log.h"
#include "common/telemetry/metrics.h"
#include "scheduler/config.h"
#include "scheduler/service.h"

namespace mimeo::scheduler {
namespace {

constexpr std::chrono::seconds kDrainLimit{5};

boost::asio::awaitable<void> stop_and_leave(Service* service, boost::asio::io_context* io) {
  co_await service->stop(kDrainLimit);
  io->stop();
}

int run(const SchedulerConfig& config, const rpc::TlsFiles& tls) {
  (void)raise_open_file_limit();  // Each connection is one.
  boost::asio::io_context io(1);
  SystemClock clock;
  SystemRandom random;
  IdGenerator ids(clock, random);
  Metrics metrics;
  store::PostgresOptions database;
  database.conninfo = config.database;
  database.max_connections = config.database_connections;
  database.application_name = "mimeo-scheduler";
  store::PostgresStore store(database);
  TaskGroup tasks(io.get_executor());
  // One thread a connection: more would wait for each other.
  BlockingPool pool(config.database_connections);
  SchedulerParts parts{store, store, store, pool, clock, random, ids, metrics};

  ServiceOptions options;
  options.rpc.address = config.grpc_listen;
  options.rpc.tls = tls;
  options.metrics_listen = config.metrics_listen;
  options.leadership.advertise = config.grpc_advertise;
  options.leadership.want_cells = config.cells;
  options.leadership.host.cell.idle_timeout = config.idle_timeout;
  options.leadership.host.cell.setup_limit = config.setup_limit;
  Service service(io.get_executor(), parts, options);

  ShutdownSignals signals(io.get_executor(), [&] {
    log::info("stopping");
    tasks.spawn("stop", stop_and_leave(&service, &io));
  });
  if (const Status started = service.start(); !started.ok()) {
    std::fprintf(stderr, "mimeo-scheduler: %s\n", std::string(started.message()).c_str());
    return 1;
  }
  io.run();
  return 0;
}

}  // namespace
}  // namespace mimeo::scheduler

int main(int argc, char** argv) {
  mimeo::scheduler::SchedulerConfig config;
  if (const auto exit_code = mimeo::scheduler::read_config(argc, argv, config)) return *exit_code;
  if (const mimeo::Status logging = mimeo::log::init(config.log); !logging.ok()) {
    std::fprintf(stderr, "mimeo-scheduler: %s\n", std::string(logging.message()).c_str());
    return 2;
  }
  const auto tls = mimeo::scheduler::read_certificates(config);
  if (!tls.ok()) {
    std::fprintf(stderr, "mimeo-scheduler: %s\n", std::string(tls.status().message()).c_str());
    return 2;
  }
  return mimeo::scheduler::run(config, *tls);
}
