#include "worker/config.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>

#include "common/config/settings.h"

namespace mimeo::worker {
namespace {

constexpr std::uint64_t kMebibyte = 1ULL << 20;

// One of our own programs: they are installed side by side.
std::string beside_this_program(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return name;
  return (self.parent_path() / name).string();
}

// At the start, not at the first instance.
Status check_process_runtime(const WorkerConfig& config) {
  if (::access(config.launcher.c_str(), X_OK) != 0) {
    return absl::InvalidArgumentError("--launcher: there is no program " + config.launcher);
  }
  if (config.allow_egress || config.publish_ports) {
    return absl::InvalidArgumentError(
        "--allow-egress and --publish-ports need the runtime 'docker'");
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<int> parse_config(int argc, const char* const* argv, WorkerConfig& config) {
  Settings settings("mimeo-worker", "Runs model instances on one machine.");
  settings.add_required("schedulers", &config.schedulers,
                        "Addresses of schedulers (host:port or unix:/path), comma separated");
  settings.add_required("join-token-file", &config.join_token_file,
                        "File with the token made by `mimeo worker-token create`");
  settings.add("state-dir", &config.state_dir, "Where everything of this worker is kept");
  settings.add_choice("runtime", &config.runtime, {"docker", "process"},
                      "What runs containers; `process` needs root and no Docker");
  settings.add("docker-socket", &config.docker_socket, "Of the Docker Engine");
  settings.add("shim", &config.shim, "Path of mimeo-shim; default: beside this program");
  settings.add("launcher", &config.launcher,
               "Path of mimeo-launch (runtime `process`); default: beside this program");
  settings.add("skus", &config.skus, "Hardware classes that this machine offers");
  settings.add("labels", &config.labels, "key=value, for people and placement");
  settings.add("total-cpu-milli", &config.total_cpu_milli,
               "Thousandths of cores to offer; 0 = all");
  settings.add("total-memory-mb", &config.total_memory_mb,
               "Memory to offer; 0 = nine tenths of the machine's");
  settings.add("image-cache-mb", &config.image_cache_mb,
               "Disk for images; the least recently used go first; 0 = no limit");
  settings.add("max-input-mb", &config.max_input_mb, "Largest input file");
  settings.add("allow-egress", &config.allow_egress, "Containers may reach the outside");
  settings.add("allow-private-inputs", &config.allow_private_inputs,
               "Input URLs may lead to private and loopback addresses");
  settings.add("read-only-root", &config.read_only_root,
               "Containers cannot write outside of /tmp (many models do)");
  settings.add("publish-ports", &config.publish_ports,
               "Reach containers by ports on loopback instead of entering their network namespace "
               "(no root, or a remote Docker Engine)");
  settings.add("gateway-port", &config.gateway_port,
               "Port on each container's own loopback where it gets its files");
  settings.add_choice("on-stop", &config.on_stop, {"drain", "keep"},
                      "At SIGTERM: end instances in order, or leave them to the next worker");
  settings.add("drain-timeout-s", &config.drain_timeout,
               "How long running predictions may take at SIGTERM");
  settings.add("metrics-listen", &config.metrics_listen,
               "host:port of /metrics, /healthz and /readyz; empty = none");
  settings.add("tls-certificate", &config.tls_certificate, "PEM, for links that leave the machine");
  settings.add("tls-key", &config.tls_key, "PEM");
  settings.add("tls-ca", &config.tls_ca, "PEM: whom to trust");
  settings.add_choice("log-level", &config.log_level, {"debug", "info", "warning", "error"},
                      "What is logged");
  settings.add_choice("log-format", &config.log_format, {"text", "json"}, "How");
  return settings.parse(argc, argv);
}

Status complete_config(WorkerConfig& config) {
  if (config.shim.empty()) config.shim = beside_this_program("mimeo-shim");
  if (config.launcher.empty()) config.launcher = beside_this_program("mimeo-launch");
  if (config.total_cpu_milli == 0) {
    config.total_cpu_milli = static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN)) * 1000;
  }
  if (config.total_memory_mb == 0) {
    const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
    config.total_memory_mb = pages * page / kMebibyte * 9 / 10;
  }
  if (::access(config.shim.c_str(), X_OK) != 0) {
    return absl::InvalidArgumentError("--shim: there is no program " + config.shim);
  }
  if (config.runtime == "process") MIMEO_RETURN_IF_ERROR(check_process_runtime(config));
  for (const auto& label : config.labels) {
    if (label.find('=') == std::string::npos) {
      return absl::InvalidArgumentError("--labels: '" + label + "' is not key=value");
    }
  }
  return absl::OkStatus();
}

Result<ListenAddress> parse_listen(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  ListenAddress out;
  if (colon != std::string::npos) {
    out.host = text.substr(0, colon);
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, out.port);
    if (error == std::errc() && stop == end && !out.host.empty()) return out;
  }
  return absl::InvalidArgumentError("'" + text + "' is not host:port");
}

}  // namespace mimeo::worker
