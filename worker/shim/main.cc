// mimeo-shim: one per container, started by the worker daemon, and outliving it. See shim.proto.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <string>

#include "common/async/shutdown.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/telemetry/log.h"
#include "worker/shim/config.h"
#include "worker/shim/shim.h"

namespace mimeo::worker {
namespace {

constexpr std::chrono::milliseconds kSignalGrace{5'000};

int fail(const Status& status) {
  std::fprintf(stderr, "mimeo-shim: %s\n", std::string(status.message()).c_str());
  return 1;
}

int run(const std::string& config_path) {
  auto config = load_shim_config(config_path);
  if (!config.ok()) return fail(config.status());
  log::LogOptions log_options;
  log_options.level = config->log_level();
  log_options.component = "shim";
  if (const Status status = log::init(log_options); !status.ok()) return fail(status);

  // The daemon's death, its terminal's and a reader's must not be ours.
  ::setsid();
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);

  boost::asio::io_context io(1);
  const SystemClock clock;
  SystemRandom random;
  Shim shim(io.get_executor(), *std::move(config), clock, random, [&io] { io.stop(); });
  const ShutdownSignals signals(io.get_executor(), [&shim] { shim.shut_down(kSignalGrace); });
  if (const Status status = shim.start(); !status.ok()) return fail(status);
  io.run();
  // Results are on disk and the rest is in no hurry: pending operations are not unwound.
  std::fflush(nullptr);
  ::_exit(0);
}

}  // namespace
}  // namespace mimeo::worker

int main(int argc, char** argv) {
  CLI::App app("One container's conversation with its Cog server. Started by mimeo-worker.");
  std::string config_path;
  app.add_option("--instance-config", config_path,
                 "File with a ShimConfig (worker/shim/shim.proto), JSON or protobuf text")
      ->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return mimeo::worker::run(config_path);
}
