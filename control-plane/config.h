// Settings of mimeo-control-plane; docs/processes.md lists them for operators.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/http/server.h"

namespace mimeo::control {

struct ControlPlaneConfig {
  std::string database;                        // libpq URL or key=value pairs.
  std::string http_listen = "127.0.0.1:7300";  // host:port, or "unix:/path".
  std::string http_tls_certificate;            // PEM chain; HTTPS when both are set.
  std::string http_tls_key;
  std::string external_url;                    // Base of every absolute URL; empty = http_listen's.
  std::string grpc_listen = "127.0.0.1:7301";  // host:port, or "unix:/path". Workers dial it.
  std::string grpc_advertise;        // What is written to `replicas`; empty = grpc_listen.
  std::string grpc_tls_certificate;  // PEM; mutual TLS when all three are set.
  std::string grpc_tls_key;
  std::string grpc_tls_ca;
  std::string files_dir = "/var/lib/mimeo/files";  // Unless there is a files_store.
  std::string files_store;                         // "s3://bucket/prefix"; empty = files_dir.
  std::string s3_endpoint;                         // "https://host[:port]"; empty = AWS.
  std::string s3_region = "us-east-1";
  bool s3_path_style = false;          // https://host/bucket instead of https://bucket.host.
  std::string s3_credentials_file;     // Empty = AWS_ACCESS_KEY_ID and so on.
  std::string spool_dir = "/var/tmp";  // Where parts of uploads to S3 wait.
  std::string registry;                // host:port as spelled in image names; empty = none.
  std::string registry_url;            // As reached from here; empty = http://<registry>.
  std::string registry_service = "mimeo-registry";
  std::string registry_key;  // PEM files of the pair that signs registry tokens.
  std::string registry_certificate;
  std::string registry_hook_secret;             // Bearer of the registry's push notifications.
  std::int32_t default_max_instances = 1;       // Of the pool of a version that has no deployment.
  std::chrono::milliseconds reserve_limit{50};  // Then a new prediction is queued instead.
  std::chrono::seconds run_limit{30 * 60};      // Of a prediction without its own deadline.
  std::chrono::seconds training_run_limit{24 * 60 * 60};
  std::int32_t training_max_instances = 4;    // Trainings of one version at once.
  std::int64_t rate_create_per_minute = 600;  // Per account; 0 = no limit.
  std::int64_t rate_read_per_minute = 60'000;
  std::int64_t rate_other_per_minute = 3'000;
  std::int64_t rate_anonymous_per_minute = 300;  // Per client address.
  std::string trusted_proxies;  // Addresses, comma separated: their X-Forwarded-For counts.
  bool webhook_https_only = false;
  bool webhook_allow_private = false;           // Receivers may be inside of the network.
  std::vector<std::string> webhook_allow;       // Exceptions (http::add_exception), for these only.
  bool spend_limit_pauses_deployments = false;  // Else they keep their minimum of instances.
  std::uint32_t batches_in_flight = 1;          // Statements that create (or finish) at once.
  std::uint32_t keep_content_hours = 95 * 24;   // At most: inputs, outputs and logs.
  std::uint32_t keep_records_days = 100;        // Predictions and their results.
  std::uint32_t keep_files_hours = 24;          // Uploads.
  std::uint32_t keep_audit_days = 400;          // The log of changes, and tokens that ended.
  std::uint32_t keep_webhook_log_days = 7;
  std::chrono::seconds drain_timeout{10};  // For open requests at SIGTERM.
  std::string log_level = "info";
  std::string log_format = "text";
};

// nullopt to go on with `config` filled and completed, else the exit code.
[[nodiscard]] std::optional<int> parse_config(int argc, const char* const* argv,
                                              ControlPlaneConfig& config);

// Fills what depends on other settings. kInvalidArgument names the setting that is wrong.
Status complete_config(ControlPlaneConfig& config);

// Where to listen for HTTP. kInvalidArgument.
[[nodiscard]] Result<http::ServerOptions> http_options(const ControlPlaneConfig& config);

}  // namespace mimeo::control
