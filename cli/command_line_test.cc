#include "cli/command_line.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/crypto/crypto.h"
#include "common/store/memory/memory_discovery.h"
#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_retention.h"
#include "common/store/memory/memory_store.h"
#include "common/store/memory/memory_usage.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;

// Runs commands against a store in memory.
class CommandLineTest : public testing::Test {
 protected:
  struct Answer {
    int code = 0;
    std::string out;
    std::string error;
  };

  Answer run(std::vector<std::string> arguments, bool with_database = true) {
    std::ostringstream out;
    std::ostringstream error;
    CommandLine line({clock_, random_, out, error,
                      [this](const std::string&) {
                        return Stores{nullptr, store_,     store_,     store_,     usage_, store_,
                                      store_,  retention_, discovery_, discovery_, store_};
                      },
                      "root"});
    if (with_database) arguments.insert(arguments.begin(), {"--database", "memory"});
    const int code = line.run(std::move(arguments));
    return {code, out.str(), error.str()};
  }
  Json list(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Answer answer = run(std::move(arguments));
    EXPECT_EQ(answer.code, 0) << answer.error;
    return Json::parse(answer.out);
  }

  FakeClock clock_;
  SeededRandom random_{1};
  store::MemoryStore store_{clock_};
  store::MemoryFiles files_;
  store::MemoryRetention retention_{store_, files_};
  store::MemoryUsage usage_{store_};
  store::MemoryDiscovery discovery_{store_};
};

TEST_F(CommandLineTest, SetsHowLongDataIsKept) {
  ASSERT_EQ(run({"account", "create", "acme"}).code, 0);
  const Json before = list({"account", "retention", "acme"});
  EXPECT_EQ(before, Json::parse(R"([{"source":"api","seconds":3600,"rule":"operator"},
                                   {"source":"web","seconds":7776000,"rule":"operator"}])"));
  const Json own = list({"account", "retention", "acme", "--api", "2h", "--web", "max"});
  EXPECT_EQ(own[0], Json::parse(R"({"source":"api","seconds":7200,"rule":"account"})"));
  EXPECT_EQ(own[1], Json::parse(R"({"source":"web","seconds":null,"rule":"account"})"));
  EXPECT_EQ(list({"account", "retention", "acme", "--api", "default"})[0]["seconds"], 3600);
  EXPECT_EQ(list({"account", "retention", "--operator", "--api", "10m"})[0]["seconds"], 600);
  EXPECT_EQ(list({"account", "retention", "acme"})[0]["seconds"], 600);
  EXPECT_EQ(run({"account", "retention", "acme", "--api", "10s"}).code, 1);
  EXPECT_EQ(run({"account", "retention", "--operator", "--api", "default"}).code, 1);
  EXPECT_EQ(run({"account", "retention"}).code, 1);
}

TEST_F(CommandLineTest, MakesAccountsThatAreListed) {
  EXPECT_EQ(run({"account", "create", "acme"}).code, 0);
  EXPECT_EQ(run({"account", "create", "corp", "--organization"}).code, 0);
  const Json rows = list({"account", "list"});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["username"], "acme");
  EXPECT_EQ(rows[1]["type"], "organization");
  const auto account = store_.get_account_by_username("acme");
  EXPECT_TRUE(account->webhook_secret.starts_with("whsec_"));
  EXPECT_EQ(crypto::base64_decode(account->webhook_secret.substr(6))->size(), 24u);
}

TEST_F(CommandLineTest, SaysWhatIsWrongWithAnAccount) {
  run({"account", "create", "acme"});
  const Answer again = run({"account", "create", "acme"});
  EXPECT_EQ(again.code, 1);
  EXPECT_NE(again.error.find("exists already"), std::string::npos) << again.error;
  EXPECT_EQ(run({"account", "create", "Not A Name"}).code, 1);
  EXPECT_TRUE(again.out.empty());
}

TEST_F(CommandLineTest, PrintsATokenOnceAndKeepsItsHash) {
  run({"account", "create", "acme"});
  const Answer made = run({"token", "create", "acme", "--name", "ci", "--expires", "30d"});
  ASSERT_EQ(made.code, 0) << made.error;
  const std::string token = made.out.substr(0, made.out.size() - 1);
  EXPECT_EQ(token.size(), 40u);
  EXPECT_EQ(made.out.find('\n'), made.out.size() - 1) << "nothing but the token";
  const auto owner = store_.get_token_owner(crypto::sha256(token));
  ASSERT_TRUE(owner.ok()) << owner.status();
  EXPECT_EQ(owner->account.username, "acme");
  EXPECT_EQ(owner->token.expires_at, clock_.now() + std::chrono::hours{24 * 30});
  const Json rows = list({"token", "list", "acme"});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["name"], "ci");
  EXPECT_EQ(rows[0]["prefix"], token.substr(0, 7));
  EXPECT_TRUE(rows[0]["disabled_at"].is_null());
}

TEST_F(CommandLineTest, DisablesATokenByItsNumber) {
  run({"account", "create", "acme"});
  run({"token", "create", "acme"});
  const auto id = list({"token", "list", "acme"})[0]["id"].get<std::int64_t>();
  EXPECT_EQ(run({"token", "disable", std::to_string(id)}).code, 0);
  EXPECT_FALSE(list({"token", "list", "acme"})[0]["disabled_at"].is_null());
  EXPECT_EQ(run({"token", "disable", "999999"}).code, 1);
}

TEST_F(CommandLineTest, TellsHowToMakeAMissingAccount) {
  const Answer answer = run({"token", "create", "nobody"});
  EXPECT_EQ(answer.code, 1);
  EXPECT_NE(answer.error.find("mimeo account create nobody"), std::string::npos) << answer.error;
}

TEST_F(CommandLineTest, RefusesADurationThatIsNone) {
  run({"account", "create", "acme"});
  for (const char* text : {"30", "d", "-1d", "soon"}) {
    EXPECT_EQ(run({"token", "create", "acme", "--expires=" + std::string(text)}).code, 1) << text;
  }
  EXPECT_EQ(run({"token", "create", "acme", "--expires", "never"}).code, 0);
}

TEST_F(CommandLineTest, ATokenHasScopesAndTheRoleOfItsMaker) {
  run({"user", "create", "ada"});
  run({"org", "create", "corp"});
  const std::vector<std::string> create = {"token",   "create", "corp",     "--scope", "models",
                                           "--scope", "read",   "--member", "ada"};
  const Answer early = run(create);
  EXPECT_EQ(early.code, 1);
  EXPECT_NE(early.error.find("mimeo org add-member corp ada"), std::string::npos) << early.error;
  ASSERT_EQ(run({"org", "add-member", "corp", "ada", "--role", "viewer"}).code, 0);
  const Answer made = run(create);
  ASSERT_EQ(made.code, 0) << made.error;
  const auto owner = store_.get_token_owner(crypto::sha256(made.out.substr(0, 40)));
  EXPECT_EQ(owner->scopes(), Scopes{Scope::kRead});
  const Json row = list({"token", "list", "corp"})[0];
  EXPECT_EQ(row["scopes"], "read models");
  EXPECT_EQ(row["made_by"], "ada");
  const Answer wrong = run({"token", "create", "corp", "--scope", "model"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.error.find("models"), std::string::npos) << wrong.error;
  EXPECT_EQ(run({"token", "create", "corp", "--expires-in", "2w"}).code, 0);
}

TEST_F(CommandLineTest, MembersComeChangeAndGo) {
  run({"user", "create", "ada", "--name", "Ada L."});
  run({"user", "create", "bob"});
  ASSERT_EQ(run({"org", "create", "corp", "--owner", "ada"}).code, 0);
  EXPECT_EQ(run({"org", "add-member", "corp", "bob"}).code, 0);
  EXPECT_EQ(run({"org", "add-member", "corp", "bob"}).code, 0) << "said twice";
  const Answer other = run({"org", "add-member", "corp", "bob", "--role", "admin"});
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.error.find("mimeo org set-role corp bob admin"), std::string::npos);
  EXPECT_EQ(run({"org", "set-role", "corp", "bob", "admin"}).code, 0);
  EXPECT_EQ(run({"org", "set-role", "corp", "bob", "king"}).code, 1);
  const Json shown = Json::parse(run({"org", "show", "corp"}).out);
  EXPECT_EQ(shown["members"][0]["role"], "owner");
  EXPECT_EQ(shown["members"][1]["role"], "admin");
  EXPECT_EQ(Json::parse(run({"user", "show", "bob"}).out)["organizations"][0]["role"], "admin");
  const Answer last = run({"org", "remove-member", "corp", "ada"});
  EXPECT_EQ(last.code, 1);
  EXPECT_NE(last.error.find("only owner"), std::string::npos) << last.error;
  EXPECT_EQ(run({"org", "remove-member", "corp", "bob"}).code, 0);
  EXPECT_EQ(run({"org", "remove-member", "corp", "bob"}).code, 0) << "said twice";
  EXPECT_EQ(run({"org", "set-role", "corp", "bob", "viewer"}).code, 1);
  EXPECT_EQ(run({"org", "add-member", "ada", "bob"}).code, 1) << "a user is no organization";
  EXPECT_EQ(run({"user", "show", "corp"}).code, 1);
  EXPECT_EQ(list({"user", "list"}).size(), 2u);
  EXPECT_EQ(list({"org", "list"}).size(), 1u);
}

TEST_F(CommandLineTest, AUserIsMadeOnceAndDisabledOnce) {
  EXPECT_EQ(run({"user", "create", "ada"}).code, 0);
  EXPECT_EQ(run({"user", "create", "ada"}).code, 1);
  const Answer again = run({"user", "create", "ada", "--if-missing"});
  EXPECT_EQ(again.code, 0) << again.error;
  EXPECT_EQ(again.out, "ada\n");
  EXPECT_EQ(run({"org", "create", "ada", "--if-missing"}).code, 1) << "it is a user";
  EXPECT_EQ(run({"user", "disable", "ada"}).code, 0);
  EXPECT_EQ(run({"user", "disable", "ada"}).code, 0);
  EXPECT_FALSE(list({"user", "list"})[0]["disabled_at"].is_null());
  EXPECT_EQ(run({"user", "enable", "ada"}).code, 0);
  EXPECT_TRUE(list({"user", "list"})[0]["disabled_at"].is_null());
  EXPECT_EQ(run({"user", "disable", "nobody"}).code, 1);
}

TEST_F(CommandLineTest, TheAuditLogHasWhatTheOperatorDid) {
  run({"user", "create", "ada"});
  run({"token", "create", "ada", "--name", "ci"});
  const auto id = list({"token", "list", "ada"})[0]["id"].get<std::int64_t>();
  run({"token", "disable", std::to_string(id)});
  run({"token", "disable", std::to_string(id)});
  run({"hardware", "set", "cpu"});
  const Json all = list({"audit"});
  ASSERT_EQ(all.size(), 4u) << all.dump(1);
  EXPECT_EQ(all[0]["action"], "hardware.set");
  EXPECT_EQ(all[0]["target"], "cpu");
  EXPECT_EQ(all[0]["actor"], "operator root");
  EXPECT_EQ(all[1]["action"], "token.disable");
  EXPECT_EQ(list({"audit", "--account", "ada", "--action", "token."}).size(), 2u);
  EXPECT_EQ(list({"audit", "--limit", "1"}).size(), 1u);
  EXPECT_EQ(list({"audit", "--actor", "operator root", "--since", "1h"}).size(), 4u);
  EXPECT_EQ(run({"audit", "--account", "nobody"}).code, 1);
}

TEST_F(CommandLineTest, MakesAWorkerTokenAndItsCell) {
  const Answer made = run({"worker-token", "create", "--name", "rack", "--cell", "2"});
  ASSERT_EQ(made.code, 0) << made.error;
  const auto cell =
      store_.check_worker_token(crypto::sha256(made.out.substr(0, made.out.size() - 1)));
  EXPECT_EQ(*cell, 2);
  const Json cells = list({"cells"});
  ASSERT_EQ(cells.size(), 1u);
  EXPECT_EQ(cells[0]["held"], false);
  EXPECT_EQ(run({"worker-token", "create", "--cell", "0"}).code, 2);
}

TEST_F(CommandLineTest, SetsHardwareFieldByField) {
  EXPECT_EQ(run({"hardware", "set", "cpu", "--name", "CPU", "--cpu-milli", "2000"}).code, 0);
  EXPECT_EQ(run({"hardware", "set", "gpu-t4", "--gpus", "1", "--gpu-memory-mb", "15000",
                 "--price-micros", "225"})
                .code,
            0);
  EXPECT_EQ(run({"hardware", "set", "cpu", "--memory-mb", "4096"}).code, 0);
  const Json rows = list({"hardware", "list"});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["sku"], "cpu");
  EXPECT_EQ(rows[0]["name"], "CPU") << "what is not given stays";
  EXPECT_EQ(rows[0]["cpu_milli"], 2000);
  EXPECT_EQ(rows[0]["memory_mb"], 4096);
  EXPECT_EQ(rows[1]["gpu_memory_mb"], 15000);
  EXPECT_EQ(rows[1]["price_micros"], 225);
  EXPECT_EQ(run({"hardware", "set", "cpu", "--memory-mb", "lots"}).code, 2);
}

TEST_F(CommandLineTest, ListsModelsVersionsAndPredictions) {
  run({"account", "create", "acme"});
  store::Model model;
  model.owner_id = store_.get_account_by_username("acme")->id;
  model.name = "hello";
  model.sku = "cpu";
  model.created_at = clock_.now();
  const auto made = store_.create_model(model);
  store::Version version;
  version.id = *VersionId::parse(std::string(64, 'a'));
  version.model = made->id;
  version.cog_version = "0.16.0";
  version.created_at = clock_.now();
  ASSERT_TRUE(store_.put_version(version).ok());
  const Json models = list({"model", "list"});
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0]["model"], "acme/hello");
  EXPECT_EQ(list({"version", "list", "acme/hello"})[0]["version"], std::string(64, 'a'));
  const Answer none = run({"version", "list", "acme/none"});
  EXPECT_EQ(none.code, 1);
  EXPECT_NE(none.error.find("mimeo model list"), std::string::npos);

  IdGenerator ids(clock_, random_);
  store::NewPrediction p;
  p.id = ids.next();
  p.account = model.owner_id;
  p.model = made->id;
  p.version = version.id;
  p.input = R"({"text":"hi"})";
  ASSERT_TRUE(store_.create({&p, 1}).ok());
  const Answer shown = run({"prediction", "show", p.id.str()});
  ASSERT_EQ(shown.code, 0) << shown.error;
  const Json object = Json::parse(shown.out);
  EXPECT_EQ(object["status"], "starting");
  EXPECT_EQ(object["account"], "acme");
  EXPECT_EQ(object["input"]["text"], "hi");
  EXPECT_EQ(run({"prediction", "show", ids.next().str()}).code, 1);
  EXPECT_EQ(run({"prediction", "show", "nonsense"}).code, 1);
}

TEST_F(CommandLineTest, ListsWorkersAndInstances) {
  IdGenerator ids(clock_, random_);
  store::WorkerRow worker;
  worker.id = ids.next();
  worker.cell = 1;
  worker.hostname = "host-1";
  ASSERT_TRUE(store_.register_worker(worker).ok());
  ASSERT_TRUE(store_.ensure_cell(1).ok());
  const auto lease = store_.take_cell(1, ids.next(), "here", std::chrono::hours{1});
  store::InstanceRow instance;
  instance.id = ids.next();
  instance.worker = worker.id;
  instance.sku = "cpu";
  instance.gpu_indices = {0, 3};
  ASSERT_TRUE(store_.insert_instances({1, lease->epoch}, {&instance, 1}).ok());
  EXPECT_EQ(list({"workers"})[0]["state"], "ready");
  const Json rows = list({"instances"});
  EXPECT_EQ(rows[0]["state"], "requested");
  EXPECT_EQ(rows[0]["gpus"], "0,3");
  EXPECT_EQ(list({"cells"})[0]["held"], true);
}

TEST_F(CommandLineTest, ListsWhatBecameOfWebhooks) {
  EXPECT_EQ(run({"account", "create", "acme"}).code, 0);
  store::WebhookSettlement item;
  item.delivery.emplace();
  item.delivery->id = "msg_1";
  item.delivery->account = store_.get_account_by_username("acme")->id;
  item.delivery->url = "https://hook.example";
  item.delivery->state = store::DeliveryState::kFailed;
  item.attempt.response_status = 500;
  item.attempt.error = "the receiver answered 500";
  ASSERT_TRUE(store_.settle({&item, 1}).ok());
  const Json rows = list({"webhooks", "list", "--account", "acme"});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["id"], "msg_1");
  EXPECT_EQ(rows[0]["event"], "completed");
  EXPECT_EQ(rows[0]["status"], "failed");
  EXPECT_EQ(rows[0]["error"], "the receiver answered 500");
  EXPECT_EQ(run({"webhooks", "list", "--account", "nobody"}).code, 1);
  EXPECT_EQ(run({"webhooks", "list", "--prediction", "x"}).code, 1);
  EXPECT_EQ(run({"webhooks", "list"}).code, 1);
}

TEST_F(CommandLineTest, PrintsAlignedColumns) {
  run({"account", "create", "acme"});
  const Answer answer = run({"account", "list"});
  EXPECT_TRUE(answer.out.starts_with("USERNAME  TYPE  WEIGHT  MAX RUNNING")) << answer.out;
  EXPECT_NE(answer.out.find("\nacme      user  1.0"), std::string::npos) << answer.out;
  EXPECT_EQ(run({"workers"}).out, "(none)\n");
}

TEST_F(CommandLineTest, MakesRegistryKeysOnce) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("mimeo-keys-" + random_.base32(8));
  const auto read = [](const std::filesystem::path& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_EQ(run({"registry-keys", directory.string()}, false).code, 0);
  const std::string key = read(directory / "registry.key");
  EXPECT_TRUE(crypto::TokenSigner::load(key, read(directory / "registry.crt")).ok());
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(directory / "registry.key").permissions() & perms::all,
            perms::owner_read | perms::owner_write);
  EXPECT_EQ(run({"registry-keys", directory.string()}, false).code, 0);
  EXPECT_EQ(read(directory / "registry.key"), key);
  std::filesystem::remove(directory / "registry.crt");
  EXPECT_EQ(run({"registry-keys", directory.string()}, false).code, 1);
  std::filesystem::remove_all(directory);
}

TEST_F(CommandLineTest, WrongUsageIsTwoAndHelpIsZero) {
  EXPECT_EQ(run({}).code, 2);
  EXPECT_EQ(run({"account"}).code, 2);
  EXPECT_EQ(run({"account", "create"}).code, 2);
  EXPECT_EQ(run({"nonsense"}).code, 2);
  EXPECT_EQ(run({"account", "list", "--frobnicate"}).code, 2);
  const Answer help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_NE(help.out.find("worker-token"), std::string::npos);
}

TEST_F(CommandLineTest, KeepsCollectionsOfModelsInOrder) {
  run({"account", "create", "acme"});
  for (const char* name : {"a", "b"}) {
    store::Model model;
    model.owner_id = store_.get_account_by_username("acme")->id;
    model.name = name;
    model.visibility = store::Visibility::kPublic;
    ASSERT_TRUE(store_.create_model(model).ok());
  }
  const std::string file = testing::TempDir() + "/collection.md";
  std::ofstream(file) << "# Pictures";
  EXPECT_EQ(run({"collection", "create", "pictures", "--description", "Makes them",
                 "--full-description", file})
                .code,
            0);
  EXPECT_EQ(run({"collection", "create", "pictures"}).code, 1);
  EXPECT_EQ(run({"collection", "create", "No Slug"}).code, 1);
  EXPECT_EQ(run({"collection", "update", "pictures", "--name", "Pictures"}).code, 0);
  EXPECT_EQ(run({"collection", "add", "pictures", "acme/a"}).code, 0);
  EXPECT_EQ(run({"collection", "add", "pictures", "acme/b", "--position", "1"}).code, 0);
  Json rows = list({"collection", "list"});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["slug"], "pictures");
  EXPECT_EQ(rows[0]["name"], "Pictures");
  EXPECT_EQ(rows[0]["description"], "Makes them");
  EXPECT_EQ(rows[0]["public_models"], "acme/b acme/a");
  EXPECT_EQ(discovery_.get_collection("pictures")->full_description, "# Pictures");
  EXPECT_EQ(run({"collection", "remove", "pictures", "acme/b"}).code, 0);
  EXPECT_EQ(run({"collection", "remove", "pictures", "acme/b"}).code, 1);
  EXPECT_EQ(list({"collection", "list"})[0]["public_models"], "acme/a");
  const Answer missing = run({"collection", "add", "none", "acme/a"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.error.find("mimeo collection list"), std::string::npos) << missing.error;
  EXPECT_EQ(run({"collection", "add", "pictures", "acme/none"}).code, 1);
  EXPECT_EQ(run({"collection", "delete", "pictures"}).code, 0);
  EXPECT_EQ(run({"collection", "delete", "pictures"}).code, 1);
}

TEST_F(CommandLineTest, MakesAModelOfficialAndBack) {
  run({"account", "create", "acme"});
  store::Model model;
  model.owner_id = store_.get_account_by_username("acme")->id;
  model.name = "a";
  const ModelId id = store_.create_model(model)->id;
  EXPECT_EQ(run({"model", "set-official", "acme/a"}).code, 0);
  EXPECT_TRUE(*discovery_.is_official(id));
  EXPECT_EQ(run({"model", "set-official", "acme/a", "--off"}).code, 0);
  EXPECT_FALSE(*discovery_.is_official(id));
  EXPECT_EQ(run({"model", "set-official", "acme/none"}).code, 1);
}

TEST_F(CommandLineTest, SetsLimitsOfAnAccountOneByOne) {
  run({"account", "create", "acme"});
  EXPECT_TRUE(list({"account", "limits", "acme"})[0]["create_per_minute"].is_null());
  Json row = list({"account", "limits", "acme", "--create", "6", "--create-burst", "1"})[0];
  EXPECT_EQ(row["create_per_minute"], 6);
  row = list({"account", "limits", "acme", "--other", "0"})[0];
  EXPECT_EQ(row["create_burst"], 1) << "what is not given stays";
  EXPECT_EQ(row["other_per_minute"], 0);
  row = list({"account", "limits", "acme", "--create=-1"})[0];
  EXPECT_TRUE(row["create_per_minute"].is_null());
  list({"account", "limits", "acme", "--reset"});
  EXPECT_TRUE(discovery_.list_account_limits()->empty());
  EXPECT_EQ(run({"account", "limits", "nobody"}).code, 1);
}

}  // namespace
}  // namespace mimeo::cli
