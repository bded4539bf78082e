#include "common/oci/registry_writer.h"

#include <utility>

#include "common/oci/registry_status.h"

namespace mimeo::oci {
namespace {

constexpr const char* kBytes = "application/octet-stream";

std::string with_parameter(std::string url, const std::string& parameter) {
  url += url.find('?') == std::string::npos ? '?' : '&';
  return url + parameter;
}

}  // namespace

RegistryWriter::RegistryWriter(const http::Outbound& outbound, std::string base_url,
                               TokenSource tokens, Limits limits)
    : outbound_(outbound),
      base_url_(std::move(base_url)),
      tokens_(std::move(tokens)),
      limits_(limits) {}

std::string RegistryWriter::path(const std::string& repository, const std::string& rest) const {
  return base_url_ + "/v2/" + repository + rest;
}

Result<http::OutboundRequest> RegistryWriter::request(const std::string& repository,
                                                      const std::string& from, std::string method,
                                                      std::string url) const {
  if (!is_repository(repository)) {
    return absl::InvalidArgumentError("\"" + repository + "\" is no repository");
  }
  http::OutboundRequest out;
  out.method = std::move(method);
  out.url = std::move(url);
  out.timeout = limits_.timeout;
  MIMEO_ASSIGN_OR_RETURN(const std::string token,
                         tokens_ ? tokens_(repository, from) : std::string());
  if (!token.empty()) out.headers.set("Authorization", "Bearer " + token);
  return out;
}

Result<bool> RegistryWriter::has_blob(const std::string& repository,
                                      const std::string& digest) const {
  MIMEO_ASSIGN_OR_RETURN(const auto head,
                         request(repository, "", "HEAD", path(repository, "/blobs/" + digest)));
  MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(head));
  const bool is_elsewhere = answer.status >= 300 && answer.status < 400;
  if (is_elsewhere) return true;  // Registries keep blobs in object storage and say where.
  const Status status = status_of(answer);
  if (absl::IsNotFound(status)) return false;
  MIMEO_RETURN_IF_ERROR(status);
  return true;
}

Status RegistryWriter::mount_blob(const std::string& repository, const std::string& from,
                                  const std::string& digest) const {
  MIMEO_ASSIGN_OR_RETURN(const bool is_there, has_blob(repository, digest));
  if (is_there) return absl::OkStatus();
  const std::string query =
      "mount=" + http::percent_encode(digest) + "&from=" + http::percent_encode(from);
  MIMEO_ASSIGN_OR_RETURN(const auto post, request(repository, from, "POST",
                                                  path(repository, "/blobs/uploads/?" + query)));
  MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(post));
  MIMEO_RETURN_IF_ERROR(status_of(answer));
  if (answer.status == 201) return absl::OkStatus();
  // An upload was begun instead, which the registry clears away by itself.
  return absl::FailedPreconditionError("the registry has no " + digest + " in " + from);
}

Result<std::string> RegistryWriter::location_of(const http::Response& answer) const {
  std::string location(answer.headers.get("Location"));
  if (location.empty()) return absl::InternalError("the registry sent no Location");
  if (location.front() == '/') return base_url_ + location;
  // Its own idea of its name may not be ours; the path is what counts.
  const auto scheme = location.find("://");
  const auto slash = scheme == std::string::npos ? scheme : location.find('/', scheme + 3);
  if (slash == std::string::npos) return absl::InternalError("the registry sent a bad Location");
  return base_url_ + location.substr(slash);
}

Result<std::string> RegistryWriter::begin_upload(const std::string& repository) const {
  MIMEO_ASSIGN_OR_RETURN(const auto post,
                         request(repository, "", "POST", path(repository, "/blobs/uploads/")));
  MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(post));
  MIMEO_RETURN_IF_ERROR(status_of(answer));
  return location_of(answer);
}

Status RegistryWriter::put_blob(const std::string& repository, const std::string& content) const {
  const std::string digest = digest_of(content);
  MIMEO_ASSIGN_OR_RETURN(const bool is_there, has_blob(repository, digest));
  if (is_there) return absl::OkStatus();
  MIMEO_ASSIGN_OR_RETURN(const std::string location, begin_upload(repository));
  const std::string url = with_parameter(location, "digest=" + http::percent_encode(digest));
  MIMEO_ASSIGN_OR_RETURN(auto put, request(repository, "", "PUT", url));
  put.headers.set("Content-Type", kBytes);
  put.body = content;
  MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(put));
  return status_of(answer);
}

Result<std::string> RegistryWriter::put_layer(const std::string& repository,
                                              SingleFileLayer layer) const {
  MIMEO_ASSIGN_OR_RETURN(const std::string location, begin_upload(repository));
  MIMEO_ASSIGN_OR_RETURN(auto patch, request(repository, "", "PATCH", location));
  patch.headers.set("Content-Type", kBytes);
  patch.timeout = limits_.layer_timeout;
  patch.stall_limit = limits_.stall_limit;
  std::uint64_t given = 0;
  http::BodySource body;
  body.size_bytes = layer.size_bytes();
  body.read = [&](std::uint64_t offset, std::span<char> buffer) -> Result<std::size_t> {
    // A kept connection turned out to be dead, and a layer gives its bytes once.
    if (offset != given) return absl::UnavailableError("the connection broke");
    MIMEO_ASSIGN_OR_RETURN(const std::size_t count, layer.read(buffer));
    given += count;
    return count;
  };
  MIMEO_ASSIGN_OR_RETURN(const auto sent, outbound_.upload(patch, body));
  MIMEO_RETURN_IF_ERROR(status_of(sent));
  const std::string digest = layer.digest();
  MIMEO_ASSIGN_OR_RETURN(const std::string next, location_of(sent));
  const std::string url = with_parameter(next, "digest=" + http::percent_encode(digest));
  MIMEO_ASSIGN_OR_RETURN(auto put, request(repository, "", "PUT", url));
  put.timeout = limits_.commit_timeout;
  MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(put));
  MIMEO_RETURN_IF_ERROR(status_of(answer));
  return digest;
}

Result<std::string> RegistryWriter::put_manifest(const std::string& repository,
                                                 const std::string& tag,
                                                 const std::string& media_type,
                                                 const std::string& manifest) const {
  if (!is_tag(tag)) return absl::InvalidArgumentError("\"" + tag + "\" is no tag");
  MIMEO_ASSIGN_OR_RETURN(auto put,
                         request(repository, "", "PUT", path(repository, "/manifests/" + tag)));
  put.headers.set("Content-Type", media_type);
  put.body = manifest;
  MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(put));
  MIMEO_RETURN_IF_ERROR(status_of(answer));
  return digest_of(manifest);
}

}  // namespace mimeo::oci
