#include "control-plane/registry/trained_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control-plane/registry/push_events.h"

namespace mimeo::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kBase =
    R"({"architecture":"amd64","os":"linux","created":"2020-01-01T00:00:00Z",
  "config":{"WorkingDir":"/src","Env":["PATH=/bin","COG_WEIGHTS=/old"],
            "Labels":{"run.cog.version":"0.23.1"}},
  "history":[{"created_by":"base"}],
  "rootfs":{"type":"layers","diff_ids":["sha256:aa"]}})";

oci::ImageConfig config_with(const std::string& version, const std::string& freeze = "") {
  oci::ImageConfig config;
  config.working_dir = "/src";
  config.labels["run.cog.version"] = version;
  if (!freeze.empty()) config.labels["run.cog.pip_freeze"] = freeze;
  return config;
}

TrainedImage trained() {
  TrainedImage out;
  out.training = *Uuid::parse("01m8d9mbd0ewnt0mfjfa25q8x0");
  out.attempt = 2;
  out.base_version = std::string(64, 'a');
  out.place = weights_place(config_with("0.23.1"));
  out.layer_digest = "sha256:" + std::string(64, 'c');
  out.layer_bytes = 2048;
  return out;
}

std::vector<std::string> env_of(const std::string& config) {
  return Json::parse(config)["config"]["Env"].get<std::vector<std::string>>();
}

TEST(WeightsPlace, IsBesideTheSourceAndNamedWhereTheServerAsksForTheName) {
  EXPECT_EQ(weights_place(config_with("0.23.1")).path, "/src/weights");
  EXPECT_TRUE(weights_place(config_with("0.23.1")).sets_cog_weights);
  EXPECT_TRUE(weights_place(config_with("0.17.0")).sets_cog_weights);
  EXPECT_FALSE(weights_place(config_with("0.16.12")).sets_cog_weights);
  EXPECT_FALSE(weights_place(config_with("0.9.4")).sets_cog_weights);
  EXPECT_TRUE(weights_place(config_with("dev")).sets_cog_weights) << "unknown: as the newest";
}

TEST(WeightsPlace, WhatIsInstalledCountsMoreThanWhatBuiltTheImage) {
  EXPECT_FALSE(
      weights_place(config_with("0.22.0", "attrs==1\ncog==0.16.8\nnumpy==2\n")).sets_cog_weights);
  EXPECT_TRUE(weights_place(config_with("0.16.0", "cog==0.20.1")).sets_cog_weights);
}

TEST(WeightsPlace, AnImageWithoutWorkingDirectoryHasThemInTheRoot) {
  EXPECT_EQ(weights_place(oci::ImageConfig{}).path, "/weights");
}

TEST(TrainedImage, TheConfigIsTheBasesWithTheWeights) {
  const std::string text = trained_config(kBase, trained()).value();
  const Json config = Json::parse(text);
  EXPECT_EQ(env_of(text), (std::vector<std::string>{"PATH=/bin", "COG_WEIGHTS=/src/weights"}));
  EXPECT_EQ(config["rootfs"]["diff_ids"].size(), 2U);
  EXPECT_EQ(config["rootfs"]["diff_ids"][1], trained().layer_digest);
  EXPECT_EQ(config["history"].size(), 2U);
  EXPECT_EQ(config["config"]["Labels"]["mimeo.training"], trained().training.str());
  EXPECT_EQ(config["config"]["Labels"]["mimeo.base-version"], std::string(64, 'a'));
  EXPECT_EQ(config["config"]["Labels"]["run.cog.version"], "0.23.1");
  EXPECT_TRUE(oci::parse_config(text).ok());
}

TEST(TrainedImage, OldServersFindTheFileBecauseTheVariableIsNotSet) {
  TrainedImage image = trained();
  image.place.sets_cog_weights = false;
  EXPECT_EQ(env_of(trained_config(kBase, image).value()), std::vector<std::string>{"PATH=/bin"});
}

TEST(TrainedImage, TheManifestHasOneMoreLayer) {
  oci::ImageManifest base;
  base.config.media_type = "application/vnd.docker.container.image.v1+json";
  base.layers.resize(1);
  base.layers[0].media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip";
  base.layers[0].digest = "sha256:" + std::string(64, 'b');
  base.layers[0].size_bytes = 10;
  for (const auto media_type : {oci::kDockerManifest, oci::kOciManifest}) {
    base.media_type = media_type;
    const std::string config = trained_config(kBase, trained()).value();
    const std::string text = trained_manifest(base, config, trained());
    const auto document = oci::parse_document(media_type, text);
    ASSERT_TRUE(document.ok()) << document.status();
    const auto& image = std::get<oci::ImageManifest>(*document);
    EXPECT_EQ(image.media_type, media_type);
    EXPECT_EQ(image.config.digest, oci::digest_of(config));
    ASSERT_EQ(image.layers.size(), 2U);
    EXPECT_EQ(image.layers[0].digest, base.layers[0].digest);
    EXPECT_EQ(image.layers[1].digest, trained().layer_digest);
    EXPECT_EQ(image.layers[1].size_bytes, 2048U);
    EXPECT_TRUE(image.layers[1].media_type.ends_with("tar"));
  }
}

TEST(TrainedImage, TheSameTrainingMakesTheSameBytesAndAnotherAttemptDoesNot) {
  EXPECT_EQ(trained_config(kBase, trained()).value(), trained_config(kBase, trained()).value());
  TrainedImage other = trained();
  other.attempt = 3;
  EXPECT_NE(trained_config(kBase, trained()).value(), trained_config(kBase, other).value());
}

TEST(TrainedImage, ABaseThatLacksWhatIsOptionalGetsIt) {
  const std::string text = trained_config(R"({"config":{},"rootfs":{}})", trained()).value();
  EXPECT_EQ(env_of(text), std::vector<std::string>{"COG_WEIGHTS=/src/weights"});
  EXPECT_EQ(Json::parse(text)["config"]["Labels"].size(), 3U);
  EXPECT_EQ(Json::parse(text)["rootfs"]["diff_ids"].size(), 1U);
  EXPECT_TRUE(Json::parse(text)["history"].empty()) << "one entry per layer, or none";
}

TEST(TrainedImage, ConfigsThatAreNoneAreRefused) {
  for (const char* bad :
       {"", "[]", "{}", R"({"config":{},"rootfs":[]})", R"({"config":{"Env":5},"rootfs":{}})",
        R"({"config":{"Labels":[]},"rootfs":{}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(trained_config(bad, trained()).status())) << bad;
  }
}

TEST(TrainedImage, ItsTagMakesNoVersionByItself) {
  const std::string tag = trained_tag(trained().training, 1);
  EXPECT_TRUE(oci::is_tag(tag)) << tag;
  EXPECT_FALSE(can_make_version(tag));
}

}  // namespace
}  // namespace mimeo::control
