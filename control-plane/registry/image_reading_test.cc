#include "control-plane/registry/image_reading.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

const std::string kSchema =
    R"({"openapi":"3.0.2","components":{"schemas":{"Input":{"type":"object","properties":{}},)"
    R"("Output":{"type":"string","title":"Output"}}}})";

oci::ImageConfig model(std::map<std::string, std::string> labels = {}) {
  oci::ImageConfig config;
  config.architecture = "amd64";
  config.labels = {{"run.cog.version", "0.16.8"},
                   {"run.cog.config", R"({"build":{"gpu":false}})"},
                   {"run.cog.openapi_schema", kSchema}};
  for (auto& [name, value] : labels) config.labels[name] = std::move(value);
  return config;
}
std::string refusal(const oci::ImageConfig& config) {
  return std::string(read_model_image(config).status().message());
}

TEST(ModelImage, ReadsWhatCogWrites) {
  const auto image = read_model_image(model(
      {{"run.cog.config", R"({"build":{"gpu":true},"concurrency":{"max":4},"new_key":[]})"}}));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->cog_version, "0.16.8");
  EXPECT_EQ(image->openapi_schema, kSchema);
  EXPECT_TRUE(image->needs_gpu);
  EXPECT_EQ(image->concurrency, 4);
}

TEST(ModelImage, ReadsTheOldNamespaceOfLabels) {
  oci::ImageConfig config;
  config.labels = {{"org.cogmodel.cog_version", "0.1.4"},
                   {"org.cogmodel.config", R"({"build":{"gpu":true}})"},
                   {"org.cogmodel.openapi_schema", kSchema}};
  const auto image = read_model_image(config);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->cog_version, "0.1.4");
  EXPECT_TRUE(image->needs_gpu);
}

TEST(ModelImage, ConcurrencyComesFromTheConfigThenTheEnvironmentAndHasBounds) {
  auto config = model();
  EXPECT_EQ(read_model_image(config)->concurrency, 1);
  config.env = {"PATH=/bin", "COG_MAX_CONCURRENCY=8"};
  EXPECT_EQ(read_model_image(config)->concurrency, 8);
  config.env = {"COG_MAX_CONCURRENCY=many"};
  EXPECT_EQ(read_model_image(config)->concurrency, 1);
  config.labels["run.cog.config"] = R"({"concurrency":{"max":1000000000000}})";
  EXPECT_EQ(read_model_image(config)->concurrency, 1'000);
  config.labels["run.cog.config"] = R"({"concurrency":{"max":-3}})";
  EXPECT_EQ(read_model_image(config)->concurrency, 1);
}

TEST(ModelImage, TellsItsOwnerWhyItIsNone) {
  oci::ImageConfig plain;
  EXPECT_EQ(refusal(plain),
            "the image doesn't look like it was built with Cog: it has no label run.cog.config");
  EXPECT_NE(refusal(model({{"run.cog.config", "yaml: no"}})).find("no JSON object"),
            std::string::npos);
  EXPECT_NE(refusal(model({{"run.cog.openapi_schema", ""}})).find("without skipping the schema"),
            std::string::npos);
  EXPECT_NE(refusal(model({{"run.cog.openapi_schema", "nonsense"}})).find("openapi_schema"),
            std::string::npos);
  EXPECT_NE(refusal(model({{"run.cog.openapi_schema", std::string(3U << 20, ' ')}})).find("large"),
            std::string::npos);
  EXPECT_NE(refusal(model({{"run.cog.config", R"({"x":"\u0000"})"}})).find("NUL"),
            std::string::npos);
  auto arm = model();
  arm.architecture = "arm64";
  EXPECT_EQ(refusal(arm), "the image is for arm64; build it for linux/amd64");
}

TEST(ModelImage, AStrangeVersionOfCogIsCutDownToText) {
  EXPECT_EQ(read_model_image(model({{"run.cog.version", "0.1\n\x01 beta"}}))->cog_version,
            "0.1beta");
  EXPECT_EQ(read_model_image(model({{"run.cog.version", ""}}))->cog_version, "unknown");
  EXPECT_EQ(
      read_model_image(model({{"run.cog.version", std::string(500, 'x')}}))->cog_version.size(),
      64U);
}

}  // namespace
}  // namespace mimeo::control
