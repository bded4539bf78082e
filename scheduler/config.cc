#include "scheduler/config.h"

#include <fstream>
#include <iterator>

#include "common/config/settings.h"

namespace mimeo::scheduler {
namespace {

Result<std::string> read_pem(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file || text.empty()) return absl::InvalidArgumentError("cannot read " + path);
  return text;
}

}  // namespace

std::optional<int> read_config(int argc, const char* const* argv, SchedulerConfig& config) {
  Settings settings("mimeo-scheduler", "Decides what runs where: queue, placement, scaling.");
  settings.add_required("database", &config.database, "Postgres: libpq URL or key=value pairs");
  settings.add("grpc-listen", &config.grpc_listen,
               "Address that workers and control planes dial: host:port or unix:/path");
  settings.add("grpc-advertise", &config.grpc_advertise,
               "Address told to other processes; default: the listen address");
  settings.add("metrics-listen", &config.metrics_listen,
               "Address of /healthz, /readyz and /metrics; empty = none");
  settings.add("cells", &config.cells, "How many cells to own at most; 0 = all");
  settings.add("idle-timeout-s", &config.idle_timeout,
               "Seconds after which an idle instance above the minimum stops");
  settings.add("setup-limit-s", &config.setup_limit,
               "Seconds after which the setup of an instance counts as failed");
  settings.add("database-connections", &config.database_connections,
               "Connections to Postgres, and threads that wait for them");
  settings.add("grpc-certificate", &config.grpc_certificate,
               "File with the PEM chain of the gRPC listener; empty = plain text");
  settings.add("grpc-key", &config.grpc_key, "File with its PEM key");
  settings.add("grpc-ca", &config.grpc_ca,
               "File with the PEM of who may call; empty = whoever has a token");
  settings.add_choice("log-level", &config.log.level, {"debug", "info", "warning", "error"},
                      "How much is logged");
  settings.add_choice("log-format", &config.log.format, {"text", "json"}, "How it is logged");
  if (const auto exit_code = settings.parse(argc, argv)) return exit_code;
  return std::nullopt;
}

Result<rpc::TlsFiles> read_certificates(const SchedulerConfig& config) {
  rpc::TlsFiles tls;
  MIMEO_ASSIGN_OR_RETURN(tls.certificate, read_pem(config.grpc_certificate));
  MIMEO_ASSIGN_OR_RETURN(tls.key, read_pem(config.grpc_key));
  MIMEO_ASSIGN_OR_RETURN(tls.ca, read_pem(config.grpc_ca));
  return tls;
}

}  // namespace mimeo::scheduler
