// For tests: a real docker-registry on a free port with a directory of its own, and a client that
// pushes small images the way `docker push` does, with plain HTTP calls.

#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/status.h"
#include "common/http/message.h"
#include "common/http/outbound.h"

namespace mimeo::oci {

struct TestRegistryOptions {
  // Token authentication; off when `realm` is empty.
  std::string realm;
  std::string service = "mimeo-registry";
  std::string certificate_pem;
  // Notifications; off when `events_url` is empty.
  std::string events_url;
  std::string events_secret;
};

// Runs from start() to the end of the object, or stop(). Its content outlives a stop().
class TestRegistry {
 public:
  TestRegistry();
  ~TestRegistry();
  TestRegistry(const TestRegistry&) = delete;
  TestRegistry& operator=(const TestRegistry&) = delete;

  // False when no docker-registry is installed: then skip, out loud.
  [[nodiscard]] static bool is_installed();
  // kInternal with what it said when it does not come up.
  Status start(const TestRegistryOptions& options);
  void stop();
  // "127.0.0.1:PORT"; another one after each start().
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::string url() const { return "http://" + address_; }

 private:
  const std::filesystem::path directory_;
  pid_t pid_ = -1;
  std::thread log_reader_;
  std::string address_;
};

// An image made up for a test. Its one layer holds no files unless given.
struct TestImage {
  std::map<std::string, std::string> labels;
  std::vector<std::string> env;
  std::string layer = "no tar, but nobody looks";
};

// Pushes as one user. Answers of the registry other than success come back as a status with the
// code of the HTTP answer in its text.
class TestPusher {
 public:
  TestPusher(std::string registry_url, std::string user, std::string password);
  // Anonymous.
  explicit TestPusher(std::string registry_url) : TestPusher(std::move(registry_url), "", "") {}

  // The manifest's digest.
  Result<std::string> push(const std::string& repository, const std::string& tag,
                           const TestImage& image);
  Result<std::string> push_manifest(const std::string& repository, const std::string& reference,
                                    const std::string& media_type, const std::string& body);
  // Its digest.
  Result<std::string> push_blob(const std::string& repository, const std::string& content);
  Status delete_manifest(const std::string& repository, const std::string& digest);
  Result<std::string> pull_manifest(const std::string& repository, const std::string& reference);

  // The manifest of `image` as JSON, once its blobs are there.
  Result<std::string> make_manifest(const std::string& repository, const TestImage& image);

 private:
  // One request; on 401 with a Bearer challenge, once more with a token from its realm.
  Result<http::Response> call(http::OutboundRequest request);
  Result<std::string> token_for(std::string_view challenge);

  const std::string url_;
  const std::string user_;
  const std::string password_;
  const http::Outbound outbound_;
};

}  // namespace mimeo::oci
