#include "worker/cog/server_health.h"

#include <absl/strings/str_cat.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace mimeo::worker::cog {
namespace {

using nlohmann::json;

ServerHealth health_of(std::string_view word) {
  if (word == "STARTING") return ServerHealth::kStarting;
  if (word == "READY") return ServerHealth::kReady;
  if (word == "BUSY") return ServerHealth::kBusy;
  if (word == "SETUP_FAILED") return ServerHealth::kSetupFailed;
  if (word == "DEFUNCT") return ServerHealth::kDefunct;
  if (word == "UNHEALTHY") return ServerHealth::kUnhealthy;
  if (word == "UNKNOWN") return ServerHealth::kNoPredictor;
  return ServerHealth::kOther;
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

Result<HealthReport> parse_health(int status, std::string_view body) {
  HealthReport report;
  if (status == 404) {
    report.health = ServerHealth::kReady;
    report.generation = Generation::kLegacy;
    report.is_setup_over = true;
    return report;
  }
  if (status != 200 && status != 503) {
    return absl::InternalError(absl::StrCat("/health-check answered ", status));
  }
  const json parsed = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("status") || !parsed["status"].is_string()) {
    return absl::InternalError("/health-check answered something that is no health report");
  }
  report.health = health_of(parsed["status"].get<std::string>());
  report.problem = text_at(parsed, "user_healthcheck_error");
  const json version = parsed.value("version", json());
  if (version.is_object() && version.contains("coglet")) {
    report.generation = Generation::kCoglet;
    report.version = text_at(version, "coglet");
  } else if (parsed.contains("concurrency")) {
    report.generation = Generation::kGo;
    const json& concurrency = parsed["concurrency"];
    if (concurrency.is_object() && concurrency.contains("max") &&
        concurrency["max"].is_number_unsigned()) {
      report.max_concurrency = concurrency["max"].get<std::uint32_t>();
    }
  } else {
    report.generation = Generation::kPython;
  }
  // "setup" is absent, null (0.7), {} or complete.
  const json setup = parsed.value("setup", json());
  if (setup.is_object()) {
    report.setup_logs = text_at(setup, "logs");
    const std::string state = text_at(setup, "status");
    report.is_setup_over = state == "succeeded" || state == "failed";
  }
  return report;
}

std::string to_string(Generation generation, std::string_view version) {
  switch (generation) {
    case Generation::kUnknown:
      return "";
    case Generation::kLegacy:
      return "legacy";
    case Generation::kPython:
      return "python";
    case Generation::kGo:
      return "go";
    case Generation::kCoglet:
      return version.empty() ? "coglet" : "coglet " + std::string(version);
  }
  return "";
}

bool is_at_least(std::string_view version, int major, int minor) {
  int have_major = 0;
  int have_minor = 0;
  const char* const end = version.data() + version.size();
  const auto first = std::from_chars(version.data(), end, have_major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return false;
  const auto second = std::from_chars(first.ptr + 1, end, have_minor);
  if (second.ec != std::errc()) return false;
  return have_major > major || (have_major == major && have_minor >= minor);
}

}  // namespace mimeo::worker::cog
