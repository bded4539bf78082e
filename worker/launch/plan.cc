#include "worker/launch/plan.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "worker/text.h"

namespace mimeo::worker {
namespace {

using nlohmann::json;

// Names and messages may hold any bytes; a file that cannot be written helps nobody.
std::string dump(const json& document) {
  return document.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string to_json(const LaunchPlan& plan) {
  return dump(json{{"instance", plan.instance.str()},
                   {"registry", plan.image.registry},
                   {"repository", plan.image.repository},
                   {"digest", plan.image.digest},
                   {"rootfs", plan.rootfs},
                   {"cgroup", plan.cgroup},
                   {"command", plan.command},
                   {"env", plan.env},
                   {"working_dir", plan.working_dir},
                   {"user", plan.user},
                   {"read_only_root", plan.root == RootFilesystem::kReadOnly},
                   {"cpu_milli", plan.cpu_milli},
                   {"memory_bytes", plan.memory.count},
                   {"pids", plan.pids},
                   {"open_files", plan.open_files},
                   {"tmp_bytes", plan.tmp.count},
                   {"shm_bytes", plan.shm.count}});
}

Result<LaunchPlan> parse_plan(std::string_view text) {
  LaunchPlan plan;
  try {
    const json document = json::parse(text);
    MIMEO_ASSIGN_OR_RETURN(plan.instance, Uuid::parse(document.at("instance").get<std::string>()));
    document.at("registry").get_to(plan.image.registry);
    document.at("repository").get_to(plan.image.repository);
    document.at("digest").get_to(plan.image.digest);
    document.at("rootfs").get_to(plan.rootfs);
    document.at("cgroup").get_to(plan.cgroup);
    document.at("command").get_to(plan.command);
    document.at("env").get_to(plan.env);
    document.at("working_dir").get_to(plan.working_dir);
    document.at("user").get_to(plan.user);
    plan.root = document.at("read_only_root").get<bool>() ? RootFilesystem::kReadOnly
                                                          : RootFilesystem::kWritable;
    document.at("cpu_milli").get_to(plan.cpu_milli);
    document.at("memory_bytes").get_to(plan.memory.count);
    document.at("pids").get_to(plan.pids);
    document.at("open_files").get_to(plan.open_files);
    document.at("tmp_bytes").get_to(plan.tmp.count);
    document.at("shm_bytes").get_to(plan.shm.count);
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(std::string("plan of a container: ") + error.what());
  }
  return plan;
}

std::string to_json(const ContainerExit& exit) {
  json document{{"out_of_memory", exit.is_out_of_memory}, {"error", exit.engine_error}};
  if (exit.code) document["code"] = *exit.code;
  return dump(document);
}

Result<ContainerExit> parse_exit(std::string_view text) {
  ContainerExit exit;
  try {
    const json document = json::parse(text);
    document.at("out_of_memory").get_to(exit.is_out_of_memory);
    document.at("error").get_to(exit.engine_error);
    if (document.contains("code")) exit.code = document["code"].get<int>();
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(std::string("end of a container: ") + error.what());
  }
  return exit;
}

std::string to_text(const Status& status) {
  if (status.ok()) return {};
  return absl::StrCat(status.raw_code(), " ", std::string(status.message()));
}

Status parse_status(std::string_view text) {
  if (text.empty()) return absl::OkStatus();
  const std::size_t space = std::min(text.find(' '), text.size());
  const int code = to_number<int>(text.substr(0, space)).value_or(0);
  if (code <= 0 || space == text.size()) return absl::InternalError(std::string(text));
  return {static_cast<absl::StatusCode>(code), std::string(text.substr(space + 1))};
}

}  // namespace mimeo::worker
