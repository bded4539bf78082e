// mimeo-control-plane: names every concrete class of the process, in the order of their
// dependencies.

#include <boost/asio/io_context.hpp>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "common/async/shutdown.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/open_files.h"
#include "common/base/random.h"
#include "common/blobs/local_blobs.h"
#include "common/blobs/s3_blobs.h"
#include "common/crypto/crypto.h"
#include "common/store/postgres/access_listener.h"
#include "common/store/postgres/migrator.h"
#include "common/store/postgres/postgres_store.h"
#include "common/telemetry/log.h"
#include "common/telemetry/metrics.h"
#include "control-plane/config.h"
#include "control-plane/service.h"

namespace mimeo::control {
namespace {

constexpr int kFailed = 1;

// The last line on stderr says why.
int fail(const Status& status) {
  std::cerr << "mimeo-control-plane: " << status.message() << '\n';
  return kFailed;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  if (!in) return absl::NotFoundError("cannot read " + path);
  return std::move(content).str();
}

Result<std::unique_ptr<blobs::BlobStore>> open_s3(const ControlPlaneConfig& config,
                                                  const Clock& clock, Random& random) {
  blobs::S3BlobsOptions options;
  const std::string place = config.files_store.substr(5);  // Behind "s3://".
  options.s3.bucket = place.substr(0, place.find('/'));
  if (options.s3.bucket.size() < place.size()) {
    options.prefix = place.substr(options.s3.bucket.size() + 1);
  }
  while (options.prefix.ends_with('/')) options.prefix.pop_back();
  options.s3.endpoint = config.s3_endpoint;
  options.s3.region = config.s3_region;
  if (config.s3_path_style) options.s3.addressing = blobs::S3Addressing::kPath;
  options.spool = config.spool_dir;
  MIMEO_ASSIGN_OR_RETURN(options.s3.credentials,
                         blobs::load_s3_credentials(config.s3_credentials_file));
  MIMEO_ASSIGN_OR_RETURN(std::unique_ptr<blobs::S3Blobs> bucket,
                         blobs::S3Blobs::open_bucket(std::move(options), clock, random));
  const Result<blobs::Versioning> versioning = bucket->versioning();
  if (versioning.ok() && *versioning == blobs::Versioning::kOn) {
    log::warn(
        "the bucket {} keeps versions of what is deleted: data that users expect to be removed "
        "stays there; turn versioning off, or add a lifecycle rule that expires noncurrent "
        "versions (docs/files.md)",
        place.substr(0, place.find('/')));
  }
  return std::unique_ptr<blobs::BlobStore>(std::move(bucket));
}

Result<std::unique_ptr<blobs::BlobStore>> open_blobs(const ControlPlaneConfig& config,
                                                     const Clock& clock, Random& random) {
  if (config.files_store.empty()) {
    auto local = blobs::LocalBlobs::open_directory(config.files_dir);
    if (!local.ok()) return with_context(local.status(), "files-dir");
    return *std::move(local);
  }
  auto s3 = open_s3(config, clock, random);
  if (!s3.ok()) return with_context(s3.status(), "files-store");
  return s3;
}

// Null when no registry is configured.
Result<std::unique_ptr<crypto::TokenSigner>> load_signer(const ControlPlaneConfig& config) {
  if (config.registry_key.empty()) return nullptr;
  MIMEO_ASSIGN_OR_RETURN(const std::string key, read_file(config.registry_key));
  MIMEO_ASSIGN_OR_RETURN(const std::string certificate, read_file(config.registry_certificate));
  return crypto::TokenSigner::load(key, certificate);
}

// An old schema would fail request by request: better to say so at once.
Status check_schema(const std::string& database) {
  MIMEO_ASSIGN_OR_RETURN(const store::MigrationStatus status, store::migration_status(database));
  if (status.missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError("the database lacks migration " + status.missing.front() +
                                       ": run `mimeo migrate`");
}

// Runs the service until somebody asks it to stop.
struct Process {
  Process(Service& service_in, boost::asio::any_io_executor executor)
      : service(service_in), shutdown(executor), tasks(executor) {}

  boost::asio::awaitable<void> run() {
    const DoneGuard guard{*this};  // Also when something throws: the process must not hang.
    status = absl::InternalError("starting failed, see the log");
    status = co_await service.start();
    if (status.ok()) co_await shutdown.wait();
    co_await service.stop();
  }

  struct DoneGuard {
    Process& process;
    ~DoneGuard() { process.on_done(); }
  };

  Service& service;
  SignalEvent shutdown;
  Status status;
  std::function<void()> on_done;
  TaskGroup tasks;  // Last: its tasks use everything above.
};

// Every interface of the database that the service has.
ServiceParts parts_of(store::PostgresStore& store, blobs::BlobStore& blobs,
                      boost::asio::any_io_executor executor, const Clock& clock, Random& random,
                      Metrics& metrics) {
  return {.executor = std::move(executor),
          .clock = clock,
          .random = random,
          .metrics = metrics,
          .predictions = store,
          .catalog = store,
          .files = store,
          .discovery = store,
          .deletions = store,
          .limits = store,
          .fleet = store,
          .outbox = store,
          .maintenance = store,
          .blobs = blobs,
          .accounts = store,
          .retention = store,
          .webhook_log = store,
          .usage = store,
          .trainings = &store};
}

int run(int argc, char** argv) {
  // 1. Settings, logs.
  ControlPlaneConfig config;
  if (const auto exit_code = parse_config(argc, argv, config)) return *exit_code;
  log::LogOptions log_options;
  log_options.level = config.log_level;
  log_options.format = config.log_format;
  log_options.component = "control-plane";
  if (const Status status = log::init(log_options); !status.ok()) return fail(status);
  (void)raise_open_file_limit();  // Each connection is one.

  // 2. Time, randomness, metrics.
  SystemClock clock;
  SystemRandom random;
  Metrics metrics;

  // 3. The database: the only durable state.
  if (const Status status = check_schema(config.database); !status.ok()) return fail(status);
  store::PostgresOptions postgres_options;
  postgres_options.conninfo = config.database;
  postgres_options.max_connections = store_threads(config);
  postgres_options.application_name = "mimeo-control-plane";
  store::PostgresOptions listener_options = postgres_options;
  listener_options.application_name = "mimeo-control-plane access";
  store::PostgresStore store(std::move(postgres_options));
  store::AccessListener access_feed(std::move(listener_options));

  // 4. Files, and the key that signs registry tokens.
  auto blobs = open_blobs(config, clock, random);
  if (!blobs.ok()) return fail(blobs.status());
  auto signer = load_signer(config);
  if (!signer.ok()) return fail(with_context(signer.status(), "registry-key"));

  // 5. The service, on one thread.
  boost::asio::io_context context(1);
  const auto executor = context.get_executor();
  ServiceParts parts = parts_of(store, **blobs, executor, clock, random, metrics);
  parts.signer = signer->get();
  parts.access_feed = &access_feed;
  Service service(std::move(parts), config);
  Process process(service, executor);
  process.on_done = [&context] { context.stop(); };
  ShutdownSignals signals(executor, [&process] { process.shutdown.set(); });
  process.tasks.spawn("control plane", process.run());
  context.run();
  return process.status.ok() ? 0 : fail(process.status);
}

}  // namespace
}  // namespace mimeo::control

int main(int argc, char** argv) {
  try {
    return mimeo::control::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "mimeo-control-plane: " << error.what() << '\n';
    return 1;
  }
}
