// Settings of mimeo-worker; docs/processes.md lists them for operators.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/domain/resources.h"
#include "common/rpc/server.h"

namespace mimeo::worker {

struct WorkerConfig {
  std::vector<std::string> schedulers;  // Any of them knows who owns our cell.
  std::string join_token_file;
  std::string state_dir = "/var/lib/mimeo/worker";
  std::string runtime = "docker";  // "docker" or "process".
  std::string docker_socket = "/var/run/docker.sock";
  std::string shim;                      // Empty = beside this program.
  std::string launcher;                  // Of the process runtime; empty = beside this program.
  std::vector<std::string> skus{"cpu"};  // Hardware classes that this machine offers.
  std::vector<std::string> labels;       // "key=value".
  std::uint32_t total_cpu_milli = 0;     // 0 = all cores.
  std::uint64_t total_memory_mb = 0;     // 0 = nine tenths of the machine's.
  std::uint64_t image_cache_mb = 100 * 1024;
  std::uint64_t max_input_mb = 10 * 1024;  // Of one input file.
  bool allow_egress = false;               // Containers may reach the outside.
  bool allow_private_inputs = false;       // Input URLs may lead to private addresses.
  bool read_only_root = false;             // Containers cannot write outside of /tmp.
  bool publish_ports = false;  // Reach containers by ports where entering them is not permitted.
  std::uint16_t gateway_port = 4747;
  std::string on_stop = "drain";  // "drain" or "keep": what becomes of instances at SIGTERM.
  std::chrono::seconds drain_timeout{30};
  std::string metrics_listen;  // host:port; empty = none.
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_ca;
  std::string log_level = "info";
  std::string log_format = "text";

  [[nodiscard]] rpc::TlsFiles tls() const { return {tls_certificate, tls_key, tls_ca}; }
};

// nullopt to go on with `config` filled, else the exit code.
[[nodiscard]] std::optional<int> parse_config(int argc, const char* const* argv,
                                              WorkerConfig& config);

// What the settings leave open, from this machine: shares, paths of our other programs.
Status complete_config(WorkerConfig& config);

struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
};
// "127.0.0.1:9000"; kInvalidArgument.
[[nodiscard]] Result<ListenAddress> parse_listen(const std::string& text);

}  // namespace mimeo::worker
