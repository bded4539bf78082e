#include "worker/container/test_images.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

#include "common/oci/manifest.h"

namespace mimeo::worker {
namespace {

using nlohmann::json;

constexpr char kRepository[] = "test/model";
constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar";
constexpr std::size_t kBlock = 512;

}  // namespace

std::string tar_of(const std::string& name, const std::string& content) {
  std::string header(kBlock, '\0');
  const auto put = [&](std::size_t at, const std::string& text) {
    text.copy(&header[at], text.size());
  };
  std::array<char, 16> octal{};
  std::snprintf(octal.data(), octal.size(), "%011zo", content.size());
  put(0, name);
  put(100, "0000755");
  put(108, "0000000");
  put(116, "0000000");
  put(124, octal.data());
  put(136, "00000000000");
  put(148, "        ");
  put(156, "0");
  put(257, std::string("ustar\0"
                       "00",
                       8));
  const unsigned sum =
      std::accumulate(header.begin(), header.end(), 0U,
                      [](unsigned total, char c) { return total + static_cast<unsigned char>(c); });
  std::snprintf(octal.data(), octal.size(), "%06o", sum);
  put(148, octal.data());
  header[154] = '\0';
  std::string archive = header + content;
  archive.resize((archive.size() + kBlock - 1) / kBlock * kBlock + 2 * kBlock, '\0');
  return archive;
}

Result<std::unique_ptr<TestImages>> TestImages::start() {
  if (!oci::TestRegistry::is_installed()) {
    return absl::NotFoundError("no docker-registry is installed");
  }
  auto images = std::unique_ptr<TestImages>(new TestImages());
  MIMEO_RETURN_IF_ERROR(images->registry_.start({}));
  images->pusher_ = std::make_unique<oci::TestPusher>(images->registry_.url());
  std::ifstream program(MIMEO_TEST_MODEL, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(program)),
                            std::istreambuf_iterator<char>());
  const std::string layer = tar_of("model", content);
  images->layer_size_ = layer.size();
  MIMEO_ASSIGN_OR_RETURN(images->layer_digest_, images->pusher_->push_blob(kRepository, layer));
  return images;
}

Result<ImageName> TestImages::push(const std::vector<std::string>& arguments,
                                   const TestImageConfig& image) {
  json config;
  config["os"] = "linux";
  config["architecture"] = "amd64";
  config["config"]["Entrypoint"] = image.entrypoint;
  config["config"]["Cmd"] = arguments;
  config["config"]["Env"] = {"PATH=/", "GIVEN=by the image"};
  config["config"]["WorkingDir"] = image.working_dir;
  config["config"]["User"] = image.user;
  config["rootfs"]["type"] = "layers";
  config["rootfs"]["diff_ids"] = {layer_digest_};
  const std::string config_text = config.dump();
  MIMEO_ASSIGN_OR_RETURN(const std::string config_digest,
                         pusher_->push_blob(kRepository, config_text));
  json manifest;
  manifest["schemaVersion"] = 2;
  manifest["mediaType"] = oci::kOciManifest;
  manifest["config"] = {{"mediaType", "application/vnd.oci.image.config.v1+json"},
                        {"digest", config_digest},
                        {"size", config_text.size()}};
  manifest["layers"] =
      json::array({{{"mediaType", kLayerType}, {"digest", layer_digest_}, {"size", layer_size_}}});
  ImageName name;
  name.registry = registry_.address();
  name.repository = kRepository;
  MIMEO_ASSIGN_OR_RETURN(name.digest,
                         pusher_->push_manifest(kRepository, oci::digest_of(manifest.dump()),
                                                std::string(oci::kOciManifest), manifest.dump()));
  return name;
}

}  // namespace mimeo::worker
