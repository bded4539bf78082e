// The settings of mimeo-scheduler (docs/processes.md).

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/rpc/server.h"
#include "common/telemetry/log.h"

namespace mimeo::scheduler {

struct SchedulerConfig {
  std::string database;                           // libpq URL or key=value pairs.
  std::string grpc_listen = "127.0.0.1:5801";     // Workers and control planes dial it.
  std::string grpc_advertise;                     // Written to `replicas`; empty = grpc_listen.
  std::string metrics_listen = "127.0.0.1:5802";  // /healthz, /readyz, /metrics; empty = none.
  std::uint32_t cells = 0;                        // How many to own at most; 0 = all.
  std::chrono::seconds idle_timeout{300};         // Instances above the minimum stop after this.
  std::chrono::seconds setup_limit{600};          // Longer, and an instance's setup failed.
  std::uint32_t database_connections = 6;
  std::string grpc_certificate;  // PEM files of the gRPC listener; all empty = plain text.
  std::string grpc_key;
  std::string grpc_ca;  // Who may call; empty = whoever has a token.
  log::LogOptions log{.level = "info", .format = "text", .component = "scheduler"};
};

// Reads flags, environment and file into `config`. nullopt to go on, else the exit code.
[[nodiscard]] std::optional<int> read_config(int argc, const char* const* argv,
                                             SchedulerConfig& config);

// The contents of the certificate files; kInvalidArgument names one that cannot be read.
[[nodiscard]] Result<rpc::TlsFiles> read_certificates(const SchedulerConfig& config);

}  // namespace mimeo::scheduler
