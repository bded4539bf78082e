#include "worker/shim/config.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "worker/shim/container_network.h"

namespace mimeo::worker {
namespace {

Status require(bool is_given, const char* field) {
  if (is_given) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("instance config: ", field, " is missing"));
}

Status check(const ShimConfig& config) {
  MIMEO_RETURN_IF_ERROR(require(!config.instance_id().empty(), "instance_id"));
  MIMEO_RETURN_IF_ERROR(require(!config.socket_path().empty(), "socket_path"));
  MIMEO_RETURN_IF_ERROR(require(!config.spool_dir().empty(), "spool_dir"));
  MIMEO_RETURN_IF_ERROR(require(config.container_pid() != 0 || !config.container_addr().empty(),
                                "container_pid or container_addr"));
  if (config.container_pid() == 0) {
    MIMEO_RETURN_IF_ERROR(with_context(parse_address(config.container_addr()).status(),
                                       "instance config: container_addr"));
  }
  if (config.container_port() > 65535 || config.gateway_port() > 65535) {
    return absl::InvalidArgumentError("instance config: a port is above 65535");
  }
  const std::string& secret = config.gateway_secret();
  const bool is_plain = std::all_of(secret.begin(), secret.end(),
                                    [](unsigned char c) { return absl::ascii_isalnum(c); });
  if (!is_plain) {
    return absl::InvalidArgumentError("instance config: gateway_secret has odd characters");
  }
  return absl::OkStatus();
}

void fill_defaults(ShimConfig* config) {
  if (config->container_port() == 0) config->set_container_port(5000);
  if (config->slots() == 0) config->set_slots(1);
  if (config->setup_limit_ms() == 0) config->set_setup_limit_ms(600'000);
  if (config->unhealthy_limit_ms() == 0) config->set_unhealthy_limit_ms(30'000);
  if (config->gateway_address().empty() || config->container_pid() != 0) {
    config->set_gateway_address("127.0.0.1");
  }
  if (config->max_file_bytes() == 0) config->set_max_file_bytes(std::uint64_t{5} << 30U);
  if (config->max_spool_bytes() == 0) config->set_max_spool_bytes(std::uint64_t{20} << 30U);
  if (config->exit_wait_ms() == 0) config->set_exit_wait_ms(5'000);
  if (config->log_level().empty()) config->set_log_level("info");
}

}  // namespace

Result<ShimConfig> parse_shim_config(const std::string& text) {
  ShimConfig config;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '{') {
    const auto parsed = google::protobuf::util::JsonStringToMessage(text, &config);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("instance config: ", parsed.ToString()));
    }
  } else if (!google::protobuf::TextFormat::ParseFromString(text, &config)) {
    return absl::InvalidArgumentError("instance config: not a ShimConfig in protobuf text");
  }
  MIMEO_RETURN_IF_ERROR(check(config));
  fill_defaults(&config);
  return config;
}

Result<ShimConfig> load_shim_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return parse_shim_config(
      std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>()));
}

}  // namespace mimeo::worker
