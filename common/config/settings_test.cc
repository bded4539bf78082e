#include "common/config/settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace mimeo {
namespace {

struct Config {
  std::string database = "postgres://localhost";
  std::uint16_t port = 8080;
  bool allow_egress = false;
  double weight = 1.5;
  std::vector<std::string> schedulers{"a:1"};
  std::chrono::seconds idle_timeout{60};
  std::string runtime = "docker";
  std::string token;
};

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() {
    settings_.add("database", &config_.database, "Where Postgres is");
    settings_.add("http-port", &config_.port, "Port to listen on");
    settings_.add("allow-egress", &config_.allow_egress, "Let models reach the network");
    settings_.add("weight", &config_.weight, "Share");
    settings_.add("schedulers", &config_.schedulers, "Addresses");
    settings_.add("idle-timeout-s", &config_.idle_timeout, "Stop idle instances after");
    settings_.add_choice("runtime", &config_.runtime, {"docker", "process"}, "What runs models");
    file_ = std::filesystem::temp_directory_path() /
            ("mimeo_settings_test_" + std::to_string(::getpid()) + ".conf");
  }
  ~SettingsTest() override { std::filesystem::remove(file_); }

  Result<Settings::Outcome> parse(const std::vector<std::string>& arguments) {
    return settings_.parse(arguments, [this](const std::string& name) {
      const auto at = environment_.find(name);
      return at == environment_.end() ? std::nullopt : std::optional<std::string>(at->second);
    });
  }
  std::string error(const std::vector<std::string>& arguments) {
    return std::string(parse(arguments).status().message());
  }
  std::string write_file(const std::string& text) {
    std::ofstream(file_) << text;
    return file_.string();
  }

  Config config_;
  Settings settings_{"mimeo-test", "Shows settings."};
  std::map<std::string, std::string> environment_;
  std::filesystem::path file_;
};

TEST_F(SettingsTest, NothingSetKeepsTheDefaults) {
  ASSERT_TRUE(parse({}).ok());
  EXPECT_EQ(config_.port, 8080);
  EXPECT_EQ(config_.schedulers, std::vector<std::string>{"a:1"});
}

TEST_F(SettingsTest, AFlagWinsOverTheEnvironmentAndThatOverTheFile) {
  const std::string file =
      write_file("# comment\nhttp-port = 1\n\nweight=1\n database = \"file\"\n");
  environment_ = {{"MIMEO_HTTP_PORT", "2"}, {"MIMEO_WEIGHT", "2.5"}};
  ASSERT_TRUE(parse({"--http-port", "3", "--config", file}).ok());
  EXPECT_EQ(config_.port, 3);
  EXPECT_EQ(config_.weight, 2.5);
  EXPECT_EQ(config_.database, "file");
}

TEST_F(SettingsTest, TheFileMayBeNamedByTheEnvironment) {
  environment_ = {{"MIMEO_CONFIG", write_file("runtime = process\n")}};
  ASSERT_TRUE(parse({}).ok());
  EXPECT_EQ(config_.runtime, "process");
}

TEST_F(SettingsTest, ReadsEveryKindOfValue) {
  ASSERT_TRUE(parse({"--allow-egress", "--schedulers", "x:1, y:2,", "--idle-timeout-s=5"}).ok());
  EXPECT_TRUE(config_.allow_egress);
  EXPECT_EQ(config_.schedulers, (std::vector<std::string>{"x:1", "y:2"}));
  EXPECT_EQ(config_.idle_timeout, std::chrono::seconds(5));
}

TEST_F(SettingsTest, AFlagMayBeTurnedOffAgain) {
  environment_ = {{"MIMEO_ALLOW_EGRESS", "yes"}};
  ASSERT_TRUE(parse({"--allow-egress=false"}).ok());
  EXPECT_FALSE(config_.allow_egress);
}

TEST_F(SettingsTest, ErrorsNameTheSettingWhereItWasSetAndTheReason) {
  EXPECT_EQ(error({"--http-port", "70000"}),
            "--http-port: \"70000\" is not a whole number from 0 to 65535");
  EXPECT_EQ(error({"--runtime", "lxc"}), "--runtime: \"lxc\" is none of docker|process");
  environment_ = {{"MIMEO_IDLE_TIMEOUT_S", "soon"}};
  EXPECT_EQ(error({}), "MIMEO_IDLE_TIMEOUT_S: \"soon\" is not a whole number of seconds");
  environment_.clear();
  const std::string file = write_file("weight = 1\nweight = 2\n");
  EXPECT_EQ(error({"--config", file}), file + ":2: weight is already set in line 1");
  write_file("\nweigth = 1\n");
  EXPECT_EQ(error({"--config", file}), file + ":2: mimeo-test has no setting \"weigth\"");
  write_file("weight = heavy\n");
  EXPECT_EQ(error({"--config", file}), file + ":1: weight: \"heavy\" is not a number");
  write_file("weight\n");
  EXPECT_EQ(error({"--config", file}), file + ":1: expected `name = value`");
  EXPECT_EQ(error({"--config", "/nowhere"}), "config: cannot read the file /nowhere");
}

TEST_F(SettingsTest, WrongFlagsAreWrongUsage) {
  EXPECT_NE(error({"--nope"}).find("--nope"), std::string::npos);
  EXPECT_NE(error({"--http-port"}).find("--http-port"), std::string::npos);
  EXPECT_NE(error({"stray"}).find("stray"), std::string::npos);
}

TEST_F(SettingsTest, RequiredSettingsMustBeSetSomewhere) {
  settings_.add_required("token", &config_.token, "Who we are");
  EXPECT_EQ(error({}), "--token is required: Who we are");
  environment_ = {{"MIMEO_TOKEN", "t"}};
  ASSERT_TRUE(parse({}).ok());
  EXPECT_EQ(config_.token, "t");
}

TEST_F(SettingsTest, HelpShowsEverySettingWithItsDefaultAndVariable) {
  EXPECT_EQ(parse({"--help"}).value(), Settings::Outcome::kHelp);
  EXPECT_EQ(parse({"--version"}).value(), Settings::Outcome::kVersion);
  const std::string help = settings_.help();
  for (const char* part : {"Shows settings.", "--http-port", "8080", "[MIMEO_HTTP_PORT]",
                           "Port to listen on", "docker|process", "--config"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part << " in\n" << help;
  }
  EXPECT_EQ(settings_.version().substr(0, 11), "mimeo-test ");
}

}  // namespace
}  // namespace mimeo
