#include "common/oci/registry_client.h"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/base/ids.h"
#include "common/crypto/crypto.h"
#include "common/oci/registry_status.h"

namespace mimeo::oci {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr int kMaxIndexDepth = 3;  // A bundle's image may be an index; nothing nests deeper.

// The path of the next page in a Link header: `</v2/_catalog?last=b&n=2>; rel="next"`.
Result<std::optional<std::string>> next_page(const http::Response& answer) {
  const std::string_view link = answer.headers.get("Link");
  if (link.empty()) return std::optional<std::string>();
  const auto open = link.find('<');
  const auto close = link.find('>');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return absl::InternalError("the registry sent a malformed Link");
  }
  std::string_view target = link.substr(open + 1, close - open - 1);
  if (const auto scheme = target.find("://"); scheme != std::string_view::npos) {
    const auto path = target.find('/', scheme + 3);
    target = path == std::string_view::npos ? "/" : target.substr(path);  // Same host, always.
  }
  return std::optional<std::string>(target);
}

// Removed unless kept.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(fs::path path)
      : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wbe")) {}
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;
  ~UnfinishedFile() {
    if (file_ != nullptr) std::fclose(file_);
    std::error_code ignored;
    if (!is_kept_) fs::remove(path_, ignored);
  }
  [[nodiscard]] bool is_open() const { return file_ != nullptr; }
  bool write(std::string_view data) {
    return std::fwrite(data.data(), 1, data.size(), file_) == data.size();
  }
  Status keep_as(const fs::path& target) {
    const bool ok = std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0;
    std::error_code error;
    if (ok) fs::rename(path_, target, error);
    if (!ok || error) return absl::ResourceExhaustedError("cannot store " + target.string());
    is_kept_ = true;
    return absl::OkStatus();
  }

 private:
  const fs::path path_;
  std::FILE* file_;
  bool is_kept_ = false;
};

}  // namespace

RegistryClient::RegistryClient(const http::Outbound& outbound, std::string base_url,
                               TokenSource tokens, RegistryLimits limits)
    : outbound_(outbound),
      base_url_(std::move(base_url)),
      tokens_(std::move(tokens)),
      limits_(limits) {}

Result<http::OutboundRequest> RegistryClient::request(std::string_view repository,
                                                      std::string path) const {
  if (!repository.empty() && !is_repository(repository)) {
    return absl::InvalidArgumentError("\"" + std::string(repository) + "\" is no repository");
  }
  http::OutboundRequest out;
  out.url = base_url_ + path;
  out.timeout = limits_.timeout;
  MIMEO_ASSIGN_OR_RETURN(const std::string token, tokens_ ? tokens_(repository) : std::string());
  if (!token.empty()) out.headers.set("Authorization", "Bearer " + token);
  return out;
}

Result<http::OutboundRequest> RegistryClient::manifest_request(std::string_view repository,
                                                               std::string_view reference) const {
  if (!is_digest(reference) && !is_tag(reference)) {
    return absl::InvalidArgumentError("\"" + std::string(reference) + "\" is no tag or digest");
  }
  MIMEO_ASSIGN_OR_RETURN(auto request_out,
                         request(repository, "/v2/" + std::string(repository) + "/manifests/" +
                                                 std::string(reference)));
  for (const auto type : {kOciIndex, kDockerList, kOciManifest, kDockerManifest}) {
    request_out.headers.add("Accept", std::string(type));
  }
  request_out.max_response = limits_.max_manifest;
  return request_out;
}

Result<std::string> RegistryClient::get_digest(std::string_view repository,
                                               std::string_view tag) const {
  MIMEO_ASSIGN_OR_RETURN(auto request_out, manifest_request(repository, tag));
  request_out.method = "HEAD";
  MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(request_out));
  MIMEO_RETURN_IF_ERROR(status_of(answer));
  std::string digest(answer.headers.get("Docker-Content-Digest"));
  if (!is_digest(digest)) return absl::InternalError("the registry sent no digest of a manifest");
  return digest;
}

Result<RegistryClient::Fetched> RegistryClient::get_manifest(std::string_view repository,
                                                             std::string_view reference) const {
  MIMEO_ASSIGN_OR_RETURN(const auto request_out, manifest_request(repository, reference));
  MIMEO_ASSIGN_OR_RETURN(auto answer, outbound_.perform(request_out));
  MIMEO_RETURN_IF_ERROR(status_of(answer));
  Fetched out;
  out.media_type = answer.headers.get("Content-Type");
  out.body = std::move(answer.body);
  out.digest = digest_of(out.body);
  if (is_digest(reference) && out.digest != reference) {
    return absl::InternalError("the registry sent another manifest than " + std::string(reference));
  }
  return out;
}

Result<ResolvedImage> RegistryClient::resolve(std::string_view repository,
                                              std::string_view reference) const {
  ResolvedImage out;
  std::string next(reference);
  for (int depth = 0; depth <= kMaxIndexDepth; ++depth) {
    MIMEO_ASSIGN_OR_RETURN(const auto fetched, get_manifest(repository, next));
    MIMEO_ASSIGN_OR_RETURN(auto document, parse_document(fetched.media_type, fetched.body));
    if (depth == 0) out.digest = fetched.digest;
    if (auto* image = std::get_if<ImageManifest>(&document)) {
      if (depth == 0) out.media_type = image->media_type;
      out.image_digest = fetched.digest;
      out.image = std::move(*image);
      return out;
    }
    const auto& index = std::get<ImageIndex>(document);
    if (depth == 0) out.media_type = index.media_type;
    MIMEO_ASSIGN_OR_RETURN(auto choice, choose(index));
    for (auto& weight : choice.weights) out.weights.push_back(std::move(weight));
    next = choice.image.digest;
  }
  return absl::InvalidArgumentError("indexes are nested too deeply");
}

Result<ImageConfig> RegistryClient::get_config(std::string_view repository,
                                               const ImageManifest& image) const {
  MIMEO_ASSIGN_OR_RETURN(const std::string text, get_config_text(repository, image));
  return parse_config(text);
}

Result<std::string> RegistryClient::get_config_text(std::string_view repository,
                                                    const ImageManifest& image) const {
  if (image.config.size_bytes > limits_.max_config.count) {
    return absl::ResourceExhaustedError("the image's config is larger than " +
                                        std::to_string(limits_.max_config.count) + " bytes");
  }
  MIMEO_ASSIGN_OR_RETURN(
      auto request_out,
      request(repository, "/v2/" + std::string(repository) + "/blobs/" + image.config.digest));
  request_out.max_response = limits_.max_config;
  request_out.max_redirects = 3;  // Registries keep blobs in object storage.
  MIMEO_ASSIGN_OR_RETURN(auto answer, outbound_.perform(request_out));
  MIMEO_RETURN_IF_ERROR(status_of(answer));
  if (digest_of(answer.body) != image.config.digest) {
    return absl::InternalError("the registry sent another config than " + image.config.digest);
  }
  return std::move(answer.body);
}

Result<std::vector<std::string>> RegistryClient::list(std::string_view repository, std::string path,
                                                      const char* key) const {
  std::vector<std::string> names;
  std::optional<std::string> next = std::move(path);
  while (next) {
    MIMEO_ASSIGN_OR_RETURN(const auto request_out, request(repository, *next));
    MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(request_out));
    MIMEO_RETURN_IF_ERROR(status_of(answer));
    const Json json = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return absl::InternalError("the registry sent a malformed list");
    const std::size_t before = names.size();
    if (const auto at = json.find(key); at != json.end() && at->is_array()) {
      for (const auto& name : *at) {
        if (name.is_string()) names.push_back(name.get<std::string>());
      }
    }
    if (names.size() > limits_.max_names)
      return absl::ResourceExhaustedError("the list is too long");
    MIMEO_ASSIGN_OR_RETURN(next, next_page(answer));
    if (names.size() == before) break;  // An empty page that names a next one would never end.
  }
  return names;
}

Result<std::vector<std::string>> RegistryClient::list_repositories() const {
  return list("", "/v2/_catalog?n=100", "repositories");
}

Result<std::vector<std::string>> RegistryClient::list_tags(std::string_view repository) const {
  return list(repository, "/v2/" + std::string(repository) + "/tags/list?n=100", "tags");
}

Status RegistryClient::download_blob(std::string_view repository, const Descriptor& blob,
                                     const fs::path& file, const DownloadObserver& observer) const {
  if (!is_digest(blob.digest)) return absl::InvalidArgumentError("the blob has no SHA-256");
  MIMEO_ASSIGN_OR_RETURN(auto request_out, request(repository, "/v2/" + std::string(repository) +
                                                                   "/blobs/" + blob.digest));
  request_out.timeout = limits_.blob_timeout;
  request_out.max_response = Bytes{blob.size_bytes};
  request_out.max_redirects = 3;
  UnfinishedFile out(file.string() + ".unfinished");
  if (!out.is_open()) return absl::FailedPreconditionError("cannot write " + file.string());
  crypto::Sha256 hash;
  std::uint64_t size = 0;
  MIMEO_ASSIGN_OR_RETURN(const auto answer,
                         outbound_.download(request_out, [&](std::string_view piece) -> Status {
                           size += piece.size();
                           if (size > blob.size_bytes)
                             return absl::InternalError("the blob is longer than it says");
                           hash.update(piece);
                           if (!out.write(piece))
                             return absl::ResourceExhaustedError("the disk is full");
                           return observer ? observer(piece.size()) : absl::OkStatus();
                         }));
  MIMEO_RETURN_IF_ERROR(status_of(answer));
  if (size != blob.size_bytes || "sha256:" + to_hex(hash.finish()) != blob.digest) {
    return absl::InternalError("the registry sent another blob than " + blob.digest);
  }
  return out.keep_as(file);
}

}  // namespace mimeo::oci
