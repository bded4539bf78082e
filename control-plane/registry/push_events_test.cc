#include "control-plane/registry/push_events.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'c');

std::string event(const std::string& action, const std::string& media_type) {
  return R"({"id":"1","action":")" + action + R"(","target":{"mediaType":")" + media_type +
         R"(","size":5,"digest":")" + kDigest +
         R"(","repository":"alice/tiny","url":"http://x","tag":"v1"},"actor":{"name":"alice"}})";
}
const std::string kManifest = "application/vnd.docker.distribution.manifest.v2+json";

TEST(PushEvents, FindsPushesOfManifestsAndPassesTheRestBy) {
  const auto pushes = parse_push_events(
      R"({"events":[)" + event("pull", kManifest) + "," +
      event("push", "application/octet-stream") + "," + event("push", kManifest) + "," +
      event("push", "application/vnd.oci.image.index.v1+json") + R"(,7,{"action":"push"},)" +
      R"({"action":"delete","target":{"repository":"alice/tiny","tag":"v1"}}]})");
  ASSERT_TRUE(pushes.ok()) << pushes.status();
  ASSERT_EQ(pushes->size(), 2U);
  EXPECT_EQ(pushes->front().repository, "alice/tiny");
  EXPECT_EQ(pushes->front().digest, kDigest);
  EXPECT_EQ(pushes->front().tag, "v1");
  EXPECT_EQ(pushes->front().pushed_by, "alice");
}

TEST(PushEvents, ASubjectOfOursNamesTokenAndMember) {
  const auto push = [](const std::string& subject) {
    return parse_push_events(R"({"events":[{"action":"push","target":{"mediaType":")" + kManifest +
                             R"(","digest":")" + kDigest +
                             R"(","repository":"corp/tiny"},"actor":{"name":")" + subject +
                             R"("},"request":{"id":"r1","addr":"10.0.0.9:5123"}}]})")
        .value()
        .at(0);
  };
  const Push ours = push("corp#42#ada");
  EXPECT_EQ(ours.pushed_by, "corp");
  EXPECT_EQ(ours.token, 42);
  EXPECT_EQ(ours.member, "ada");
  EXPECT_EQ(ours.address, "10.0.0.9");
  EXPECT_EQ(ours.request_id, "r1");
  EXPECT_EQ(push("alice#7#").pushed_by, "alice");
  EXPECT_EQ(push("alice#7#").member, "");
  EXPECT_EQ(push("#").token, 0);
}

TEST(PushEvents, RefusesWhatIsNoNotification) {
  for (const char* body : {"", "[]", "{}", R"({"events":{}})", "\xff"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(parse_push_events(body).status())) << body;
  }
  EXPECT_TRUE(parse_push_events(R"({"events":[]})")->empty());
}

TEST(PushEvents, PartsOfABundleMakeNoVersion) {
  EXPECT_FALSE(can_make_version("cog-image.20260301T120000Z"));
  EXPECT_FALSE(can_make_version("cog-weight.z.0123456789ab"));
  EXPECT_TRUE(can_make_version("20260301T120000Z"));
  EXPECT_TRUE(can_make_version("cog-imagery"));
  EXPECT_TRUE(can_make_version(""));
}

}  // namespace
}  // namespace mimeo::control
