#include "control-plane/config.h"

#include <iostream>

#include "common/config/settings.h"
#include "common/http/outbound.h"
#include "control-plane/http/client_address.h"

namespace mimeo::control {
namespace {

void add_addresses(Settings& settings, ControlPlaneConfig& config) {
  settings.add_required("database", &config.database, "libpq URL or key=value pairs");
  settings.add("http-listen", &config.http_listen, "host:port or unix:/path of the HTTP API");
  settings.add("http-tls-certificate", &config.http_tls_certificate, "PEM chain, for HTTPS");
  settings.add("http-tls-key", &config.http_tls_key, "PEM key, for HTTPS");
  settings.add("external-url", &config.external_url,
               "Base of every absolute URL; by default that of http-listen");
  settings.add("grpc-listen", &config.grpc_listen, "host:port or unix:/path; workers dial it");
  settings.add("grpc-advertise", &config.grpc_advertise,
               "What others dial; by default grpc-listen");
  settings.add("grpc-tls-certificate", &config.grpc_tls_certificate, "PEM chain, for mutual TLS");
  settings.add("grpc-tls-key", &config.grpc_tls_key, "PEM key, for mutual TLS");
  settings.add("grpc-tls-ca", &config.grpc_tls_ca, "PEM of who signs the workers' certificates");
}

void add_files(Settings& settings, ControlPlaneConfig& config) {
  settings.add("files-dir", &config.files_dir, "Where uploaded and output files are kept");
  settings.add("files-store", &config.files_store, "s3://bucket/prefix instead of files-dir");
  settings.add("s3-endpoint", &config.s3_endpoint, "https://host[:port]; by default AWS");
  settings.add("s3-region", &config.s3_region, "Region of the bucket");
  settings.add("s3-path-style", &config.s3_path_style, "The bucket is in the path, not the host");
  settings.add("s3-credentials-file", &config.s3_credentials_file,
               "By default AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment");
  settings.add("spool-dir", &config.spool_dir, "Where parts of uploads to S3 wait");
}

void add_registry(Settings& settings, ControlPlaneConfig& config) {
  settings.add("registry", &config.registry, "host:port as spelled in image names; empty = none");
  settings.add("registry-url", &config.registry_url,
               "The registry as reached from here; by default http://<registry>");
  settings.add("registry-service", &config.registry_service, "Its `service`, as configured there");
  settings.add("registry-key", &config.registry_key, "PEM file of the key that signs its tokens");
  settings.add("registry-certificate", &config.registry_certificate,
               "PEM file of that key's certificate");
  settings.add("registry-hook-secret", &config.registry_hook_secret,
               "Bearer token of its push notifications");
}

void add_limits(Settings& settings, ControlPlaneConfig& config) {
  settings.add("default-max-instances", &config.default_max_instances,
               "Most instances of a version that runs without a deployment");
  settings.add(
      "reserve-limit-ms", &config.reserve_limit,
      "How long a new prediction waits for a scheduler to find it a slot before it is queued");
  settings.add("run-limit-s", &config.run_limit, "Longest run of a prediction");
  settings.add("training-run-limit-s", &config.training_run_limit,
               "Longest run of a training; at most a day");
  settings.add("training-max-instances", &config.training_max_instances,
               "Most trainings of one version on one kind of hardware at once");
  settings.add("rate-create-per-minute", &config.rate_create_per_minute,
               "Predictions that an account may create; 0 = no limit");
  settings.add("rate-read-per-minute", &config.rate_read_per_minute,
               "Reads of single predictions; 0 = no limit");
  settings.add("rate-other-per-minute", &config.rate_other_per_minute, "Other calls; 0 = no limit");
  settings.add("rate-anonymous-per-minute", &config.rate_anonymous_per_minute,
               "Calls from one address without a valid token; 0 = no limit");
  settings.add("trusted-proxies", &config.trusted_proxies,
               "Addresses of proxies, comma separated, whose X-Forwarded-For says the client's");
  settings.add("webhook-https-only", &config.webhook_https_only, "Refuse http:// receivers");
  settings.add("webhook-allow-private", &config.webhook_allow_private,
               "Receivers may have private addresses");
  settings.add(
      "webhook-allow", &config.webhook_allow,
      "Receivers that may be reached all the same: networks, hosts, *.suffix, each with or "
      "without :port");
  settings.add("spend-limit-pauses-deployments", &config.spend_limit_pauses_deployments,
               "Deployments of an account that reached its limit scale to zero");
  settings.add("batches-in-flight", &config.batches_in_flight,
               "Statements that create, or finish, at once");
  settings.add("keep-content-hours", &config.keep_content_hours,
               "Longest that inputs, outputs and logs are kept, whatever accounts want");
  settings.add("keep-records-days", &config.keep_records_days,
               "Predictions are kept at least this long");
  settings.add("keep-audit-days", &config.keep_audit_days,
               "The audit log, and tokens that ended, are kept this long");
  settings.add("keep-files-hours", &config.keep_files_hours, "Uploaded files are kept this long");
  settings.add("keep-webhook-log-days", &config.keep_webhook_log_days,
               "What became of webhooks is kept this long");
  settings.add("drain-timeout-s", &config.drain_timeout,
               "How long open requests may take at SIGTERM");
}

// "host" and port of "host:port".
Result<std::pair<std::string, std::uint16_t>> split_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  if (colon == std::string::npos || colon == 0 ||
      !config_values::read(text.substr(colon + 1), &port).ok()) {
    return absl::InvalidArgumentError("http-listen: not host:port or unix:/path: " + text);
  }
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);  // IPv6.
  return std::pair(std::move(host), port);
}

}  // namespace

std::optional<int> parse_config(int argc, const char* const* argv, ControlPlaneConfig& config) {
  Settings settings("mimeo-control-plane", "The HTTP API, results, events and webhooks.");
  add_addresses(settings, config);
  add_files(settings, config);
  add_registry(settings, config);
  add_limits(settings, config);
  settings.add_choice("log-level", &config.log_level, {"debug", "info", "warning", "error"},
                      "Least severe lines to log");
  settings.add_choice("log-format", &config.log_format, {"text", "json"}, "Form of a log line");
  if (const auto exit_code = settings.parse(argc, argv)) return exit_code;
  const Status status = complete_config(config);
  if (status.ok()) return std::nullopt;
  std::cerr << "mimeo-control-plane: " << status.message() << '\n';
  return 2;
}

Status complete_config(ControlPlaneConfig& config) {
  MIMEO_RETURN_IF_ERROR(http_options(config).status());
  if (config.http_tls_certificate.empty() != config.http_tls_key.empty()) {
    return absl::InvalidArgumentError("http-tls-certificate and http-tls-key go together");
  }
  http::AddressRules webhook_addresses;
  for (const std::string& entry : config.webhook_allow) {
    MIMEO_RETURN_IF_ERROR(
        with_context(http::add_exception(webhook_addresses, entry), "webhook-allow"));
  }
  if (config.registry_key.empty() != config.registry_certificate.empty()) {
    return absl::InvalidArgumentError("registry-key and registry-certificate go together");
  }
  if (!config.files_store.empty() && !config.files_store.starts_with("s3://")) {
    return absl::InvalidArgumentError("files-store: not s3://bucket/prefix");
  }
  if (config.external_url.empty()) {
    if (config.http_listen.starts_with("unix:")) {
      return absl::InvalidArgumentError("external-url is needed with a Unix socket");
    }
    config.external_url =
        (config.http_tls_key.empty() ? "http://" : "https://") + config.http_listen;
  }
  while (config.external_url.ends_with('/')) config.external_url.pop_back();
  if (config.registry_url.empty() && !config.registry.empty()) {
    config.registry_url = "http://" + config.registry;
  }
  if (config.training_run_limit > std::chrono::hours(24) || config.training_run_limit.count() < 1) {
    return absl::InvalidArgumentError("training-run-limit-s must be from 1 to 86400");
  }
  if (config.training_max_instances < 1) {
    return absl::InvalidArgumentError("training-max-instances must be at least 1");
  }
  MIMEO_RETURN_IF_ERROR(
      with_context(parse_addresses(config.trusted_proxies).status(), "trusted-proxies"));
  if (config.batches_in_flight == 0) config.batches_in_flight = 1;
  return absl::OkStatus();
}

Result<http::ServerOptions> http_options(const ControlPlaneConfig& config) {
  http::ServerOptions options;
  options.tls_certificate_file = config.http_tls_certificate;
  options.tls_key_file = config.http_tls_key;
  if (config.http_listen.starts_with("unix:")) {
    options.unix_path = config.http_listen.substr(5);
    return options;
  }
  MIMEO_ASSIGN_OR_RETURN(auto address, split_address(config.http_listen));
  options.address = std::move(address.first);
  options.port = address.second;
  return options;
}

}  // namespace mimeo::control
