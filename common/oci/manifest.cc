#include "common/oci/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/ids.h"
#include "common/crypto/crypto.h"

namespace mimeo::oci {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxEntries = 10'000;  // Of one manifest or index.

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::string text_at(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::vector<std::string> texts_at(const Json& object, const char* key) {
  std::vector<std::string> out;
  const auto at = object.find(key);
  if (at == object.end() || !at->is_array()) return out;
  for (const auto& item : *at) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

std::map<std::string, std::string> map_at(const Json& object, const char* key) {
  std::map<std::string, std::string> out;
  const auto at = object.find(key);
  if (at == object.end() || !at->is_object()) return out;
  for (const auto& [name, value] : at->items()) {
    if (value.is_string()) out.emplace(name, value.get<std::string>());
  }
  return out;
}

Result<Descriptor> parse_descriptor(const Json& json) {
  if (!json.is_object()) return absl::InvalidArgumentError("a descriptor is no object");
  Descriptor out;
  out.media_type = text_at(json, "mediaType");
  out.digest = text_at(json, "digest");
  if (!is_digest(out.digest)) return absl::InvalidArgumentError("a descriptor has no SHA-256");
  const auto size = json.find("size");
  if (size == json.end() || !size->is_number_unsigned()) {
    return absl::InvalidArgumentError("a descriptor has no size");
  }
  out.size_bytes = size->get<std::uint64_t>();
  out.artifact_type = text_at(json, "artifactType");
  if (const auto platform = json.find("platform");
      platform != json.end() && platform->is_object()) {
    out.os = text_at(*platform, "os");
    out.architecture = text_at(*platform, "architecture");
  }
  out.annotations = map_at(json, "annotations");
  return out;
}

Result<std::vector<Descriptor>> parse_descriptors(const Json& json) {
  if (!json.is_array()) return absl::InvalidArgumentError("a list of descriptors is missing");
  if (json.size() > kMaxEntries) return absl::InvalidArgumentError("too many descriptors");
  std::vector<Descriptor> out;
  for (const auto& item : json) {
    MIMEO_ASSIGN_OR_RETURN(auto descriptor, parse_descriptor(item));
    out.push_back(std::move(descriptor));
  }
  return out;
}

Result<Json> parse_object(std::string_view text, const char* what) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return absl::InvalidArgumentError(std::string(what) + " is no JSON object");
  return json;
}

}  // namespace

bool is_digest(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  return text.size() == kPrefix.size() + 64 && text.substr(0, kPrefix.size()) == kPrefix &&
         std::all_of(text.begin() + kPrefix.size(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string digest_of(std::string_view content) {
  return "sha256:" + to_hex(crypto::sha256(content));
}

bool is_repository(std::string_view text) {
  if (text.empty() || text.size() > 255) return false;
  char before = '/';
  for (const char c : text) {
    const bool is_plain = is_lower_or_digit(c);
    if (!is_plain && c != '.' && c != '_' && c != '-' && c != '/') return false;
    if (c == '/' && !is_lower_or_digit(before)) return false;
    if (before == '/' && !is_plain) return false;
    before = c;
  }
  return is_lower_or_digit(before);
}

bool is_tag(std::string_view text) {
  const auto is_word = [](char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && text.size() <= 128 && is_word(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Result<Document> parse_document(std::string_view media_type, std::string_view json) {
  MIMEO_ASSIGN_OR_RETURN(const Json root, parse_object(json, "the manifest"));
  std::string type = text_at(root, "mediaType");
  if (type.empty()) type = media_type.substr(0, media_type.find(';'));
  if (type == kDockerList || type == kOciIndex) {
    ImageIndex index;
    index.media_type = type;
    MIMEO_ASSIGN_OR_RETURN(index.manifests, parse_descriptors(root.value("manifests", Json())));
    return Document(std::move(index));
  }
  if (type != kDockerManifest && type != kOciManifest) {
    return absl::InvalidArgumentError("manifests of type \"" + type + "\" are not supported");
  }
  ImageManifest manifest;
  manifest.media_type = type;
  manifest.artifact_type = text_at(root, "artifactType");
  MIMEO_ASSIGN_OR_RETURN(manifest.config, parse_descriptor(root.value("config", Json())));
  MIMEO_ASSIGN_OR_RETURN(manifest.layers, parse_descriptors(root.value("layers", Json())));
  return Document(std::move(manifest));
}

Result<IndexChoice> choose(const ImageIndex& index) {
  IndexChoice choice;
  const Descriptor* image = nullptr;
  const Descriptor* without_platform = nullptr;
  for (const auto& entry : index.manifests) {
    if (entry.artifact_type == kCogWeight) {
      choice.weights.push_back(entry);
    } else if (!entry.artifact_type.empty()) {
      continue;
    } else if (entry.os == "linux" && entry.architecture == "amd64") {
      if (image == nullptr) image = &entry;
    } else if (entry.os.empty() && entry.architecture.empty()) {
      if (without_platform == nullptr) without_platform = &entry;
    }
  }
  if (image == nullptr) image = without_platform;
  if (image == nullptr) {
    return absl::InvalidArgumentError("the index has no image for linux/amd64");
  }
  choice.image = *image;
  return choice;
}

Result<ImageConfig> parse_config(std::string_view json) {
  MIMEO_ASSIGN_OR_RETURN(const Json root, parse_object(json, "the image's config"));
  ImageConfig out;
  out.os = text_at(root, "os");
  out.architecture = text_at(root, "architecture");
  if (const auto rootfs = root.find("rootfs"); rootfs != root.end() && rootfs->is_object()) {
    out.diff_ids = texts_at(*rootfs, "diff_ids");
  }
  const auto config = root.find("config");
  if (config == root.end() || !config->is_object()) return out;
  out.labels = map_at(*config, "Labels");
  out.env = texts_at(*config, "Env");
  out.entrypoint = texts_at(*config, "Entrypoint");
  out.cmd = texts_at(*config, "Cmd");
  out.working_dir = text_at(*config, "WorkingDir");
  out.user = text_at(*config, "User");
  return out;
}

}  // namespace mimeo::oci
