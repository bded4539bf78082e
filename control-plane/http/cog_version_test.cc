#include "control-plane/http/cog_version.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

TEST(CogVersion, NumbersOfPythonAreShownAsTheyAre) {
  for (const char* label : {"0.3.9",
                            "0.3.10",
                            "0.4",
                            "0.16.12",
                            "1",
                            "v1.0",
                            "1!0.2",
                            "0.17.0-alpha1",
                            "0.17.0a1",
                            "0.17.0rc2+g1a2b3c4",
                            "0.10.0.post1",
                            "0.10.0-1",
                            "0.9.dev4",
                            "0.9.4-beta.dev8",
                            "0.9.5.dev6+gABC.d20240229",
                            "0.3.9.post1",
                            "0.3.9+shimmed",
                            "0.3.9.0.1",
                            "0.03.0010",
                            "99999999999999999999999.0"}) {
    EXPECT_EQ(shown_cog_version(label), label);
  }
}

TEST(CogVersion, OlderOnesBecomeTheOldestThatClientsTakeLiterally) {
  for (const char* label : {"0", "0.1.4", "0.1.3+shimmed", "v0.3", "0!0.3.8", "0.3.8.post9",
                            "0.1.dev1+gabc", "0.3.9rc1", "0.3.9.dev2", "0.3.9.0-alpha1", "00.2"}) {
    EXPECT_EQ(shown_cog_version(label), "0.3.9") << label;
  }
}

TEST(CogVersion, EverythingElseBecomesOneThatClientsCanRead) {
  for (const std::string label :
       {"", "unknown", "dev", "0.9.4-dirty", "0.9.4+", "1..2", "0.9 .4", "nightly-2024", "1.0\n"}) {
    EXPECT_EQ(shown_cog_version(label), "0.3.9") << label;
  }
  EXPECT_EQ(shown_cog_version(std::string(5'000, '1')), "0.3.9");
}

}  // namespace
}  // namespace mimeo::control
