#include "control-plane/registry/trained_image.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/time_format.h"
#include "control-plane/registry/push_events.h"

namespace mimeo::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kVariable = "COG_WEIGHTS";

// "0.16" of "0.16.12" as {0, 16}.
std::optional<std::pair<int, int>> parse_release(std::string_view text) {
  std::pair<int, int> out;
  const char* const end = text.data() + text.size();
  const auto major = std::from_chars(text.data(), end, out.first);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
  const auto minor = std::from_chars(major.ptr + 1, end, out.second);
  if (minor.ec != std::errc()) return std::nullopt;
  return out;
}

// Of the server inside: what pip says is installed, because the label for the version is that of
// the command line that built the image.
std::optional<std::pair<int, int>> cog_release(const oci::ImageConfig& config) {
  const auto label = [&config](const char* name) -> std::string_view {
    const auto at = config.labels.find(name);
    return at == config.labels.end() ? std::string_view() : std::string_view(at->second);
  };
  constexpr std::string_view kLine = "cog==";
  const std::string_view freeze = label("run.cog.pip_freeze");
  for (std::size_t at = 0; at < freeze.size();) {
    const std::size_t end = std::min(freeze.find('\n', at), freeze.size());
    const std::string_view line = freeze.substr(at, end - at);
    if (line.starts_with(kLine)) return parse_release(line.substr(kLine.size()));
    at = end + 1;
  }
  if (const auto known = parse_release(label("run.cog.version"))) return known;
  return parse_release(label("org.cogmodel.cog_version"));
}

// False when something else than `empty`'s type is at `name`, where `empty` is put when missing.
bool ensure(Json& object, const char* name, const Json& empty) {
  Json& value = object[name];
  if (value.is_null()) value = empty;
  return value.type() == empty.type();
}

void set_environment(Json& env, const WeightsPlace& place) {
  const std::string assignment = std::string(kVariable) + "=";
  const auto is_ours = [&](const Json& entry) {
    return entry.is_string() && entry.get_ref<const std::string&>().starts_with(assignment);
  };
  env.erase(std::remove_if(env.begin(), env.end(), is_ours), env.end());
  if (place.sets_cog_weights) env.push_back(assignment + place.path);
}

}  // namespace

WeightsPlace weights_place(const oci::ImageConfig& base) {
  WeightsPlace place;
  std::string folder = base.working_dir;
  while (folder.ends_with('/')) folder.pop_back();
  place.path = folder + "/weights";
  const auto release = cog_release(base);
  place.sets_cog_weights = !release || *release >= std::pair(0, 17);
  return place;
}

Result<std::string> trained_config(std::string_view base_config, const TrainedImage& trained) {
  const auto refuse = [] { return absl::InvalidArgumentError("the image's config is malformed"); };
  Json config = Json::parse(base_config, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object() || !config["config"].is_object() || !config["rootfs"].is_object()) {
    return refuse();
  }
  // All of it before the first reference: a new member moves the others of its object.
  const bool is_whole = ensure(config["rootfs"], "diff_ids", Json::array()) &&
                        ensure(config["config"], "Env", Json::array()) &&
                        ensure(config["config"], "Labels", Json::object()) &&
                        ensure(config, "created", "") && ensure(config, "history", Json::array());
  if (!is_whole) return refuse();
  Json& diff_ids = config["rootfs"]["diff_ids"];
  Json& env = config["config"]["Env"];
  Json& labels = config["config"]["Labels"];
  Json& history = config["history"];
  diff_ids.push_back(trained.layer_digest);
  set_environment(env, trained.place);
  labels[std::string(kTrainingLabel)] = trained.training.str();
  labels["mimeo.training-attempt"] = std::to_string(trained.attempt);
  labels["mimeo.base-version"] = trained.base_version;
  // Of the training, not of now: a repetition must make the same image.
  const std::string created = to_rfc3339(trained.training.created_at());
  config["created"] = created;
  if (!history.empty()) {  // One entry per layer, or none at all.
    history.push_back({{"created", created},
                       {"created_by", "training " + trained.training.str()},
                       {"comment", "weights at " + trained.place.path}});
  }
  return config.dump();
}

std::string trained_manifest(const oci::ImageManifest& base, std::string_view config,
                             const TrainedImage& trained) {
  const bool is_docker = base.media_type == oci::kDockerManifest;
  const auto described = [](const std::string& media_type, const std::string& digest,
                            std::uint64_t size) {
    return Json{{"mediaType", media_type}, {"digest", digest}, {"size", size}};
  };
  Json layers = Json::array();
  for (const oci::Descriptor& layer : base.layers) {
    layers.push_back(described(layer.media_type, layer.digest, layer.size_bytes));
  }
  layers.push_back(described(is_docker ? "application/vnd.docker.image.rootfs.diff.tar"
                                       : "application/vnd.oci.image.layer.v1.tar",
                             trained.layer_digest, trained.layer_bytes));
  Json manifest = {{"schemaVersion", 2}, {"mediaType", base.media_type}};
  manifest["config"] = described(base.config.media_type, oci::digest_of(config), config.size());
  manifest["layers"] = std::move(layers);
  return manifest.dump();
}

std::string trained_tag(PredictionId training, std::uint32_t attempt) {
  return std::string(kTrainedTagPrefix) + training.str() + "-" + std::to_string(attempt);
}

}  // namespace mimeo::control
