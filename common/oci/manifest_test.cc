#include "common/oci/manifest.h"

#include <gtest/gtest.h>

namespace mimeo::oci {
namespace {

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');
const std::string kC = "sha256:" + std::string(64, 'c');

std::string entry(const std::string& digest, const std::string& more) {
  return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","size":7,"digest":")" +
         digest + "\"" + more + "}";
}
ImageIndex index_of(const std::string& entries) {
  return std::get<ImageIndex>(
      parse_document(kOciIndex, R"({"schemaVersion":2,"manifests":[)" + entries + "]}").value());
}
const std::string kAmd64 = R"(,"platform":{"os":"linux","architecture":"amd64"})";
const std::string kArm64 = R"(,"platform":{"os":"linux","architecture":"arm64"})";
const std::string kUnknown = R"(,"platform":{"os":"unknown","architecture":"unknown"})";
const std::string kWeight = R"(,"artifactType":"application/vnd.cog.weight.v1")" + kUnknown;

TEST(Manifest, ReadsAnImageOfDockerAndOfOci) {
  for (const auto type : {kDockerManifest, kOciManifest}) {
    const auto document =
        parse_document(type, R"({"schemaVersion":2,"config":)" + entry(kA, "") + R"(,"layers":[)" +
                                 entry(kB, "") + "," + entry(kC, "") + "]}");
    ASSERT_TRUE(document.ok()) << document.status();
    const auto& image = std::get<ImageManifest>(*document);
    EXPECT_EQ(image.media_type, type);
    EXPECT_EQ(image.config.digest, kA);
    ASSERT_EQ(image.layers.size(), 2U);
    EXPECT_EQ(image.layers[1].digest, kC);
    EXPECT_EQ(image.layers[1].size_bytes, 7U);
  }
}

TEST(Manifest, RefusesWhatItCannotUse) {
  for (const std::string& text : std::initializer_list<std::string>{
           std::string("nonsense"),
           std::string("[]"),
           std::string("{}"),
           R"({"config":)" + entry(kA, "") + "}",
           R"({"config":)" + entry("sha256:123", "") + R"(,"layers":[]})",
           R"({"config":)" + entry("md5:" + std::string(64, 'a'), "") + R"(,"layers":[]})",
           R"({"config":{"digest":")" + kA + R"(","size":-1},"layers":[]})",
           R"({"mediaType":"application/x-other","config":)" + entry(kA, "") + R"(,"layers":[]})",
       }) {
    EXPECT_TRUE(absl::IsInvalidArgument(parse_document(kOciManifest, text).status())) << text;
  }
}

TEST(Choice, TakesLinuxOnAmd64AndPassesAttestationsBy) {
  const auto index =
      index_of(entry(kA, kUnknown) + "," + entry(kB, kArm64) + "," + entry(kC, kAmd64));
  EXPECT_EQ(choose(index)->image.digest, kC);
  EXPECT_TRUE(choose(index)->weights.empty());
}

TEST(Choice, KeepsTheWeightsOfABundleApart) {
  const auto choice =
      choose(index_of(entry(kA, kAmd64) + "," + entry(kB, kWeight) + "," + entry(kC, kWeight)));
  ASSERT_TRUE(choice.ok());
  EXPECT_EQ(choice->image.digest, kA);
  ASSERT_EQ(choice->weights.size(), 2U);
  EXPECT_EQ(choice->weights[1].digest, kC);
}

TEST(Choice, TakesAnEntryWithoutPlatformWhenThereIsNoBetterOne) {
  EXPECT_EQ(choose(index_of(entry(kB, kArm64) + "," + entry(kA, "")))->image.digest, kA);
}

TEST(Choice, SaysWhenThereIsNothingForUs) {
  EXPECT_EQ(choose(index_of(entry(kB, kArm64))).status(),
            absl::InvalidArgumentError("the index has no image for linux/amd64"));
}

TEST(Config, ReadsLabelsAndProcess) {
  const auto config = parse_config(
      R"({"os":"linux","architecture":"amd64","config":{"Labels":{"a":"b","n":1},"Env":["X=1"],)"
      R"("Entrypoint":["/e"],"Cmd":null,"WorkingDir":"/src","User":"7"},)"
      R"("rootfs":{"type":"layers","diff_ids":["sha256:1"]}})");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->labels, (std::map<std::string, std::string>{{"a", "b"}}));
  EXPECT_EQ(config->env, std::vector<std::string>{"X=1"});
  EXPECT_EQ(config->entrypoint, std::vector<std::string>{"/e"});
  EXPECT_TRUE(config->cmd.empty());
  EXPECT_EQ(config->working_dir, "/src");
  EXPECT_EQ(config->diff_ids, std::vector<std::string>{"sha256:1"});
  EXPECT_TRUE(parse_config("{}").ok());
  EXPECT_FALSE(parse_config("[1]").ok());
}

TEST(Names, AreCheckedBeforeTheyGetIntoAUrl) {
  for (const char* good : {"a", "alice/hello", "a/b/c-d_e.f", "0/1"}) {
    EXPECT_TRUE(is_repository(good)) << good;
  }
  for (const char* bad :
       {"", "/", "a/", "/a", "a//b", "A/b", "a/../b", "a/.b", "a b", "a?b", "a-"}) {
    EXPECT_FALSE(is_repository(bad)) << bad;
  }
  EXPECT_TRUE(is_tag("v1.0_x-Y"));
  for (const char* bad : {"", ".a", "-a", "a/b", "a?b", "a b"}) EXPECT_FALSE(is_tag(bad)) << bad;
  EXPECT_TRUE(is_digest(digest_of("x")));
  EXPECT_FALSE(is_digest("sha256:" + std::string(64, 'A')));
}

}  // namespace
}  // namespace mimeo::oci
