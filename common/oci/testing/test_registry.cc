#include "common/oci/testing/test_registry.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/ids.h"
#include "common/crypto/crypto.h"
#include "common/oci/manifest.h"

extern char** environ;

namespace mimeo::oci {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

fs::path find_program() {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    for (const char* name : {"docker-registry", "registry"}) {
      fs::path candidate = fs::path(rest.substr(0, colon)) / name;
      if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    rest = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  }
  return {};
}

fs::path fresh_directory() {
  static std::atomic<int> count{0};
  return fs::temp_directory_path() / ("mimeo_test_registry_" + std::to_string(::getpid()) + "_" +
                                      std::to_string(count.fetch_add(1)));
}

std::string config_text(const TestRegistryOptions& options, const fs::path& directory) {
  Json config;  // JSON is YAML.
  config["version"] = 0.1;
  config["log"]["level"] = "info";
  config["log"]["formatter"] = "text";
  config["storage"]["filesystem"]["rootdirectory"] = (directory / "data").string();
  config["storage"]["delete"]["enabled"] = true;
  config["http"]["addr"] = "127.0.0.1:0";
  config["http"]["secret"] = "only-a-test";
  if (!options.realm.empty()) {
    std::ofstream(directory / "bundle.crt") << options.certificate_pem;
    config["auth"]["token"]["realm"] = options.realm;
    config["auth"]["token"]["service"] = options.service;
    config["auth"]["token"]["issuer"] = "mimeo";
    config["auth"]["token"]["rootcertbundle"] = (directory / "bundle.crt").string();
  }
  if (!options.events_url.empty()) {
    Json endpoint;
    endpoint["name"] = "mimeo";
    endpoint["url"] = options.events_url;
    endpoint["headers"]["Authorization"] = {"Bearer " + options.events_secret};
    endpoint["timeout"] = "2s";
    endpoint["threshold"] = 3;
    endpoint["backoff"] = "100ms";
    endpoint["ignore"]["mediatypes"] = {"application/octet-stream"};
    endpoint["ignore"]["actions"] = {"pull", "mount"};
    config["notifications"]["events"]["includereferences"] = true;
    config["notifications"]["endpoints"] = Json::array({endpoint});
  }
  return config.dump(1);
}

// Reads the log until it names the address that was taken; what came instead at its end.
Result<std::string> address_from(int log) {
  constexpr std::string_view kMark = "listening on ";
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t got = ::read(log, buffer.data(), buffer.size());
    if (got <= 0) return absl::InternalError("the registry ended: " + text);
    text.append(buffer.data(), static_cast<std::size_t>(got));
    const auto at = text.find(kMark);
    if (at == std::string::npos) continue;
    const auto end = text.find_first_of("\"\n ,", at + kMark.size());
    if (end == std::string::npos) continue;
    return text.substr(at + kMark.size(), end - at - kMark.size());
  }
}

}  // namespace

TestRegistry::TestRegistry() : directory_(fresh_directory()) { fs::create_directories(directory_); }

TestRegistry::~TestRegistry() {
  stop();
  fs::remove_all(directory_);
}

bool TestRegistry::is_installed() { return !find_program().empty(); }

Status TestRegistry::start(const TestRegistryOptions& options) {
  const fs::path program = find_program();
  const std::string config = directory_ / "config.yml";
  std::ofstream(config) << config_text(options, directory_);
  std::array<int, 2> log{};
  if (::pipe2(log.data(), O_CLOEXEC) != 0) return absl::InternalError("no pipe");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, log[1], 1);
  ::posix_spawn_file_actions_adddup2(&actions, log[1], 2);
  std::string serve = "serve";
  std::string config_argument = config;
  std::string name = program;
  std::array<char*, 4> arguments{name.data(), serve.data(), config_argument.data(), nullptr};
  const int failed =
      ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(log[1]);
  if (failed != 0) return absl::InternalError("cannot start docker-registry");
  auto address = address_from(log[0]);
  // Somebody must read on, or the registry stands still with a full pipe.
  log_reader_ = std::thread([log_end = log[0]] {
    std::array<char, 4096> buffer{};
    while (::read(log_end, buffer.data(), buffer.size()) > 0) {
    }
    ::close(log_end);
  });
  MIMEO_RETURN_IF_ERROR(address.status());
  address_ = *address;
  return absl::OkStatus();
}

void TestRegistry::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (log_reader_.joinable()) log_reader_.join();
  pid_ = -1;
}

TestPusher::TestPusher(std::string registry_url, std::string user, std::string password)
    : url_(std::move(registry_url)),
      user_(std::move(user)),
      password_(std::move(password)),
      outbound_([] {
        http::AddressRules rules;
        rules.allow_private = true;
        return rules;
      }()) {}

Result<std::string> TestPusher::token_for(std::string_view challenge) {
  const auto value = [&](const std::string& name) {
    const auto at = challenge.find(name + "=\"");
    if (at == std::string_view::npos) return std::string();
    const auto begin = at + name.size() + 2;
    return std::string(challenge.substr(begin, challenge.find('"', begin) - begin));
  };
  http::OutboundRequest request;
  request.url = value("realm") + "?service=" + http::percent_encode(value("service")) +
                "&scope=" + http::percent_encode(value("scope"));
  if (!user_.empty()) {
    request.headers.set("Authorization", "Basic " + crypto::base64(user_ + ":" + password_));
  }
  MIMEO_ASSIGN_OR_RETURN(const auto answer, outbound_.perform(request));
  if (answer.status != 200) {
    return absl::UnauthenticatedError("the token service answered " +
                                      std::to_string(answer.status) + ": " + answer.body);
  }
  return Json::parse(answer.body).at("token").get<std::string>();
}

Result<http::Response> TestPusher::call(http::OutboundRequest request) {
  MIMEO_ASSIGN_OR_RETURN(auto answer, outbound_.perform(request));
  if (answer.status == 401) {
    MIMEO_ASSIGN_OR_RETURN(const auto token, token_for(answer.headers.get("WWW-Authenticate")));
    request.headers.set("Authorization", "Bearer " + token);
    MIMEO_ASSIGN_OR_RETURN(answer, outbound_.perform(request));
  }
  if (answer.status >= 300) {
    return absl::InternalError("the registry answered " + std::to_string(answer.status) + ": " +
                               answer.body);
  }
  return answer;
}

Result<std::string> TestPusher::push_blob(const std::string& repository,
                                          const std::string& content) {
  http::OutboundRequest begin;
  begin.method = "POST";
  begin.url = url_ + "/v2/" + repository + "/blobs/uploads/";
  MIMEO_ASSIGN_OR_RETURN(const auto upload, call(begin));
  std::string location(upload.headers.get("Location"));
  if (location.rfind('/', 0) == 0) location = url_ + location;
  const std::string digest = digest_of(content);
  http::OutboundRequest put;
  put.method = "PUT";
  put.url = location + (location.find('?') == std::string::npos ? "?" : "&") +
            "digest=" + http::percent_encode(digest);
  put.headers.set("Content-Type", "application/octet-stream");
  put.body = content;
  MIMEO_RETURN_IF_ERROR(call(put).status());
  return digest;
}

Result<std::string> TestPusher::make_manifest(const std::string& repository,
                                              const TestImage& image) {
  Json config;
  config["architecture"] = "amd64";
  config["os"] = "linux";
  config["config"]["Labels"] = image.labels;
  config["config"]["Env"] = image.env;
  config["rootfs"]["type"] = "layers";
  config["rootfs"]["diff_ids"] = {digest_of(image.layer)};
  const std::string config_text_json = config.dump();
  MIMEO_ASSIGN_OR_RETURN(const auto config_digest, push_blob(repository, config_text_json));
  MIMEO_ASSIGN_OR_RETURN(const auto layer_digest, push_blob(repository, image.layer));
  Json manifest;
  manifest["schemaVersion"] = 2;
  manifest["mediaType"] = kDockerManifest;
  manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json";
  manifest["config"]["size"] = config_text_json.size();
  manifest["config"]["digest"] = config_digest;
  Json layer;
  layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip";
  layer["size"] = image.layer.size();
  layer["digest"] = layer_digest;
  manifest["layers"] = Json::array({layer});
  return manifest.dump();
}

Result<std::string> TestPusher::push(const std::string& repository, const std::string& tag,
                                     const TestImage& image) {
  MIMEO_ASSIGN_OR_RETURN(const auto manifest, make_manifest(repository, image));
  return push_manifest(repository, tag, std::string(kDockerManifest), manifest);
}

Result<std::string> TestPusher::push_manifest(const std::string& repository,
                                              const std::string& reference,
                                              const std::string& media_type,
                                              const std::string& body) {
  http::OutboundRequest put;
  put.method = "PUT";
  put.url = url_ + "/v2/" + repository + "/manifests/" + reference;
  put.headers.set("Content-Type", media_type);
  put.body = body;
  MIMEO_RETURN_IF_ERROR(call(put).status());
  return digest_of(body);
}

Status TestPusher::delete_manifest(const std::string& repository, const std::string& digest) {
  http::OutboundRequest request;
  request.method = "DELETE";
  request.url = url_ + "/v2/" + repository + "/manifests/" + digest;
  return call(request).status();
}

Result<std::string> TestPusher::pull_manifest(const std::string& repository,
                                              const std::string& reference) {
  http::OutboundRequest request;
  request.url = url_ + "/v2/" + repository + "/manifests/" + reference;
  request.headers.set("Accept", std::string(kDockerManifest));
  MIMEO_ASSIGN_OR_RETURN(auto answer, call(request));
  return std::move(answer.body);
}

}  // namespace mimeo::oci
