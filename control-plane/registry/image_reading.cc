#include "control-plane/registry/image_reading.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "control-plane/validation/input_validator.h"

namespace mimeo::control {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxSchema = 1U << 20;  // A page of versions holds several.
constexpr std::size_t kMaxConfig = 256U << 10;
constexpr std::size_t kMaxCogVersion = 64;
constexpr std::int32_t kMaxConcurrency = 1'000;

// Images before Cog 0.9.13 have both namespaces or only the old one.
std::string label(const oci::ImageConfig& config, const std::string& name,
                  const std::string& old_name) {
  for (const auto& key : {"run.cog." + name, "org.cogmodel." + old_name}) {
    const auto at = config.labels.find(key);
    if (at != config.labels.end() && !at->second.empty()) return at->second;
  }
  return {};
}

// No database text holds a NUL character, spelled out or escaped.
bool has_nul(std::string_view text) {
  return text.find('\0') != std::string_view::npos ||
         text.find("\\u0000") != std::string_view::npos;
}

std::int32_t read_concurrency(const Json& cog, const oci::ImageConfig& config) {
  std::int64_t value = 0;
  if (const auto at = cog.find("concurrency"); at != cog.end() && at->is_object()) {
    const auto max = at->find("max");
    if (max != at->end() && max->is_number_integer()) value = max->get<std::int64_t>();
  }
  constexpr std::string_view kVariable = "COG_MAX_CONCURRENCY=";
  for (const std::string& variable : config.env) {
    if (value > 0 || variable.rfind(kVariable, 0) != 0) continue;
    const char* const begin = variable.data() + kVariable.size();
    std::int64_t from_env = 0;
    const auto [end, error] = std::from_chars(begin, variable.data() + variable.size(), from_env);
    if (error == std::errc() && end == variable.data() + variable.size()) value = from_env;
  }
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, 1, kMaxConcurrency));
}

bool read_gpu(const Json& cog) {
  const auto build = cog.find("build");
  if (build == cog.end() || !build->is_object()) return false;
  const auto gpu = build->find("gpu");
  return gpu != build->end() && gpu->is_boolean() && gpu->get<bool>();
}

std::string read_cog_version(const oci::ImageConfig& config) {
  std::string version = label(config, "version", "cog_version");
  std::erase_if(version, [](char c) { return c <= ' ' || c > '~'; });
  if (version.size() > kMaxCogVersion) version.resize(kMaxCogVersion);
  return version.empty() ? "unknown" : version;
}

}  // namespace

Result<ModelImage> read_model_image(const oci::ImageConfig& config) {
  if (!config.architecture.empty() && config.architecture != "amd64") {
    return absl::InvalidArgumentError("the image is for " + config.architecture +
                                      "; build it for linux/amd64");
  }
  ModelImage out;
  out.config = label(config, "config", "config");
  if (out.config.empty()) {
    return absl::InvalidArgumentError(
        "the image doesn't look like it was built with Cog: it has no label run.cog.config");
  }
  if (out.config.size() > kMaxConfig || has_nul(out.config)) {
    return absl::InvalidArgumentError("the label run.cog.config is too large or holds a NUL");
  }
  const Json cog = Json::parse(out.config, nullptr, /*allow_exceptions=*/false);
  if (!cog.is_object()) {
    return absl::InvalidArgumentError("the label run.cog.config is no JSON object");
  }
  out.openapi_schema = label(config, "openapi_schema", "openapi_schema");
  if (out.openapi_schema.empty()) {
    return absl::InvalidArgumentError(
        "the image has no label run.cog.openapi_schema; build it without skipping the schema");
  }
  if (out.openapi_schema.size() > kMaxSchema || has_nul(out.openapi_schema)) {
    return absl::InvalidArgumentError(
        "the label run.cog.openapi_schema is too large or holds a NUL");
  }
  if (const auto schema = VersionSchema::compile(out.openapi_schema); !schema.ok()) {
    return absl::InvalidArgumentError("the label run.cog.openapi_schema: " +
                                      std::string(schema.status().message()));
  }
  out.cog_version = read_cog_version(config);
  out.needs_gpu = read_gpu(cog);
  out.concurrency = read_concurrency(cog, config);
  return out;
}

std::int64_t image_bytes(const oci::ImageManifest& image) {
  constexpr std::uint64_t kHighest = 1ULL << 50;
  std::uint64_t sum = std::min(image.config.size_bytes, kHighest);
  for (const auto& layer : image.layers) {
    sum = std::min(sum + std::min(layer.size_bytes, kHighest), kHighest);
  }
  return static_cast<std::int64_t>(sum);
}

}  // namespace mimeo::control
