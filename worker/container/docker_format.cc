#include "worker/container/docker_format.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mimeo::worker {
namespace {

using nlohmann::json;

std::vector<std::string> strings_of(const json& object, const char* key) {
  std::vector<std::string> out;
  if (!object.is_object() || !object.contains(key) || !object[key].is_array()) return out;
  for (const auto& item : object[key]) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

std::string string_of(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return {};
  return object[key].get<std::string>();
}

const json& child(const json& object, const char* key) {
  static const json kNull;
  return object.is_object() && object.contains(key) ? object[key] : kNull;
}

json host_config(const ContainerSpec& spec, const DockerPolicy& policy) {
  const Resources& limits = spec.resources;
  json host;
  host["Memory"] = limits.memory.count;
  host["MemorySwap"] = limits.memory.count;  // Equal: no swap. Docker's default is twice as much.
  host["NanoCpus"] = std::uint64_t{limits.cpu_milli} * 1'000'000;
  host["PidsLimit"] = policy.pids;
  host["ShmSize"] = shm_size(limits).count;
  host["CapDrop"] = {"ALL"};
  host["SecurityOpt"] = {"no-new-privileges:true"};
  host["ReadonlyRootfs"] = policy.root == RootFilesystem::kReadOnly;
  // exec: compilers of kernels (Triton, Inductor) load what they put there.
  host["Tmpfs"]["/tmp"] =
      absl::StrCat("rw,exec,nosuid,nodev,mode=1777,size=", tmp_size(limits).count);
  if (policy.root == RootFilesystem::kReadOnly) {
    host["Tmpfs"]["/var/run/cog"] = "rw,nosuid,nodev,mode=755,size=1048576";
  }
  host["Init"] = true;  // A second init does no harm, and the label that says "has one" may lie.
  host["Ulimits"] = json::array(
      {json{{"Name", "nofile"}, {"Soft", policy.open_files}, {"Hard", policy.open_files}},
       json{{"Name", "core"}, {"Soft", 0}, {"Hard", 0}}});
  host["OomScoreAdj"] = kContainerOomScore;
  host["RestartPolicy"]["Name"] = "no";
  host["LogConfig"] =
      json{{"Type", "json-file"}, {"Config", json{{"max-size", "10m"}, {"max-file", "2"}}}};
  const bool needs_bridge =
      spec.network == NetworkAccess::kEgress || spec.reach == ServerReach::kPublishedPort;
  host["NetworkMode"] = needs_bridge ? policy.egress_network : "none";
  if (spec.reach == ServerReach::kPublishedPort) {
    host["PortBindings"][absl::StrCat(kServerPort, "/tcp")] =
        json::array({json{{"HostIp", "127.0.0.1"}, {"HostPort", ""}}});
  }
  if (!spec.gpus.empty()) {
    host["DeviceRequests"] = json::array({json{
        {"Driver", "nvidia"}, {"DeviceIDs", spec.gpus}, {"Capabilities", json::array({{"gpu"}})}}});
  }
  return host;
}

ContainerPhase phase_of(const json& state) {
  const std::string status = string_of(state, "Status");
  if (status == "created") return ContainerPhase::kCreated;
  if (status == "running" || status == "paused" || status == "restarting") {
    return ContainerPhase::kRunning;
  }
  return ContainerPhase::kExited;
}

}  // namespace

json create_body(const ContainerSpec& spec, const json& image, const DockerPolicy& policy) {
  const json& config = child(image, "Config");
  const std::vector<std::string> entrypoint = strings_of(config, "Entrypoint");
  const std::vector<std::string> command = strings_of(config, "Cmd");
  const std::vector<std::string> arguments = arguments_for(entrypoint, command, spec.cog_arguments);

  json body;
  body["Image"] = spec.image.reference();
  body["Hostname"] = kContainerHostname;
  body["Labels"] = json{{std::string(kInstanceLabel), spec.instance.str()},
                        {std::string(kWorkerLabel), policy.worker.str()}};
  body["StopSignal"] = "SIGTERM";
  body["ExposedPorts"][absl::StrCat(kServerPort, "/tcp")] = json::object();
  body["Env"] = json::array();
  for (const auto& [name, value] : spec.env) body["Env"].push_back(absl::StrCat(name, "=", value));
  if (arguments != command) body["Cmd"] = arguments;
  body["HostConfig"] = host_config(spec, policy);
  return body;
}

Result<ContainerInfo> parse_inspect(const json& json_in) {
  ContainerInfo info;
  info.id = string_of(json_in, "Id");
  if (info.id.empty()) return absl::InternalError("Docker's description of a container has no Id");
  const json& state = child(json_in, "State");
  const json& labels = child(child(json_in, "Config"), "Labels");
  auto instance = Uuid::parse(string_of(labels, std::string(kInstanceLabel).c_str()));
  if (instance.ok()) info.instance = *instance;
  info.phase = phase_of(state);
  info.log_path = string_of(json_in, "LogPath");
  if (info.phase == ContainerPhase::kRunning) {
    info.pid = child(state, "Pid").is_number() ? child(state, "Pid").get<std::uint32_t>() : 0;
    const json& ports = child(child(json_in, "NetworkSettings"), "Ports");
    const json& bindings = child(ports, (std::to_string(kServerPort) + "/tcp").c_str());
    if (bindings.is_array() && !bindings.empty()) {
      info.server_address =
          string_of(bindings[0], "HostIp") + ":" + string_of(bindings[0], "HostPort");
    }
  }
  if (info.phase == ContainerPhase::kExited) {
    ContainerExit exit;
    if (child(state, "ExitCode").is_number()) exit.code = child(state, "ExitCode").get<int>();
    exit.is_out_of_memory =
        child(state, "OOMKilled").is_boolean() && child(state, "OOMKilled").get<bool>();
    exit.engine_error = string_of(state, "Error");
    info.exit = std::move(exit);
  }
  return info;
}

std::optional<ImageName> parse_reference(std::string_view reference) {
  const std::size_t at = reference.find('@');
  const std::size_t slash = reference.find('/');
  if (at == std::string_view::npos || slash == std::string_view::npos || slash > at) {
    return std::nullopt;
  }
  const std::string_view host = reference.substr(0, slash);
  if (host.find('.') == std::string_view::npos && host.find(':') == std::string_view::npos &&
      host != "localhost") {
    return std::nullopt;  // "library/name" of the default registry: not ours.
  }
  return ImageName{std::string(host), std::string(reference.substr(slash + 1, at - slash - 1)),
                   std::string(reference.substr(at + 1))};
}

std::vector<LocalImage> parse_images(const json& json_in) {
  std::vector<LocalImage> out;
  if (!json_in.is_array()) return out;
  for (const auto& image : json_in) {
    const std::uint64_t size =
        child(image, "Size").is_number() ? child(image, "Size").get<std::uint64_t>() : 0;
    for (const auto& reference : strings_of(image, "RepoDigests")) {
      if (auto name = parse_reference(reference)) out.push_back({std::move(*name), Bytes{size}});
    }
  }
  return out;
}

std::string unframe_logs(std::string_view framed) {
  std::string out;
  while (framed.size() >= 8) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(framed[i]); };
    const std::size_t length = std::size_t{byte(4)} << 24 | std::size_t{byte(5)} << 16 |
                               std::size_t{byte(6)} << 8 | std::size_t{byte(7)};
    framed.remove_prefix(8);
    out.append(framed.substr(0, length));
    framed.remove_prefix(std::min(length, framed.size()));
  }
  return out;
}

Status PullTracker::feed(std::string_view line) {
  const json parsed = json::parse(line, nullptr, false);
  if (!parsed.is_object()) return absl::OkStatus();  // A blank line between two objects.
  if (parsed.contains("error")) {
    const std::string message = string_of(parsed, "error");
    if (absl::StrContains(message, "unauthorized") || absl::StrContains(message, "denied")) {
      return absl::PermissionDeniedError(message);
    }
    if (absl::StrContains(message, "manifest unknown") || absl::StrContains(message, "not found")) {
      return absl::NotFoundError(message);
    }
    return absl::InternalError(message);
  }
  const std::string id = string_of(parsed, "id");
  const std::string status = string_of(parsed, "status");
  if (id.empty() || absl::StartsWith(status, "Pulling from")) return absl::OkStatus();
  Layer& layer = layers_[id];
  const json& detail = child(parsed, "progressDetail");
  const auto number = [&](const char* key) -> std::uint64_t {
    const json& value = child(detail, key);
    return value.is_number() ? value.get<std::uint64_t>() : 0;
  };
  if (status == "Downloading") {
    layer.done = number("current");
    layer.total = std::max(layer.total, number("total"));
  } else if (status == "Verifying Checksum" || status == "Download complete" ||
             status == "Extracting" || status == "Pull complete" || status == "Already exists") {
    layer.done = layer.total;
    layer.is_downloaded = true;
    layer.is_extracting = status == "Extracting";
  }
  return absl::OkStatus();
}

PullProgress PullTracker::progress() const {
  PullProgress out;
  bool all_downloaded = !layers_.empty();
  for (const auto& [id, layer] : layers_) {
    out.done_bytes += layer.done;
    out.total_bytes += layer.total;
    all_downloaded = all_downloaded && layer.is_downloaded;
  }
  out.is_extracting = all_downloaded;
  return out;
}

}  // namespace mimeo::worker
