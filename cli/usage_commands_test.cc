#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command_line.h"
#include "common/store/memory/memory_discovery.h"
#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_retention.h"
#include "common/store/memory/memory_usage.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::hours;
using std::chrono::milliseconds;

// A public model that a caller ran for 1500 ms in an instance that then lived on for an hour.
class UsageCommands : public testing::Test {
 protected:
  struct Answer {
    int code = 0;
    std::string out;
    std::string error;
  };

  void SetUp() override {
    ASSERT_EQ(run({"account", "create", "acme"}).code, 0);
    ASSERT_EQ(run({"account", "create", "caller"}).code, 0);
    ASSERT_EQ(run({"hardware", "set", "cpu", "--price-micros", "100"}).code, 0);
    ASSERT_TRUE(store_.ensure_cell(1).ok());
    const store::Fence fence{1, store_.take_cell(1, ids_.next(), "", hours{1})->epoch};
    store::Model model;
    model.owner_id = store_.get_account_by_username("acme")->id;
    model.name = "hello";
    model.visibility = store::Visibility::kPublic;
    store::Version version;
    version.id = *VersionId::parse(std::string(64, 'a'));
    version.model = store_.create_model(model)->id;
    ASSERT_TRUE(store_.put_version(version).ok());
    store::InstanceRow instance;
    instance.id = ids_.next();
    instance.target = store_.ensure_version_pool(version.id, "cpu", 1)->id;
    instance.version = version.id;
    instance.sku = "cpu";
    ASSERT_TRUE(store_.insert_instances(fence, {&instance, 1}).ok());
    clock_.advance(milliseconds{20'000});
    const store::InstanceChange ready{instance.id, InstanceState::kReady, ""};
    ASSERT_TRUE(store_.update_instances({&ready, 1}).ok());
    clock_.advance(milliseconds{1500});
    store::NewPrediction p;
    p.id = ids_.next();
    p.account = store_.get_account_by_username("caller")->id;
    p.target = instance.target;
    p.cell = 1;
    p.model = version.model;
    p.created_at = clock_.now();
    p.grant = store::Grant{fence, instance.id, ids_.next(), 1, version.id, 0};
    ASSERT_TRUE(store_.create({&p, 1}).ok());
    store::Finish finish;
    finish.id = p.id;
    finish.status = PredictionStatus::kSucceeded;
    finish.completed_at = clock_.now();
    finish.billed = milliseconds{1500};
    ASSERT_TRUE(store_.finish({&finish, 1}).ok());
    clock_.advance(hours{1});
    ASSERT_TRUE(usage_.meter(clock_.now(), 100).ok());
  }

  Answer run(std::vector<std::string> arguments) {
    std::ostringstream out;
    std::ostringstream error;
    CommandLine line({clock_, random_, out, error, [this](const std::string&) {
                        return Stores{nullptr, store_,     store_,     store_,     usage_, store_,
                                      store_,  retention_, discovery_, discovery_, store_};
                      }});
    arguments.insert(arguments.begin(), {"--database", "memory"});
    const int code = line.run(std::move(arguments));
    return {code, out.str(), error.str()};
  }
  Json json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Answer answer = run(std::move(arguments));
    EXPECT_EQ(answer.code, 0) << answer.error;
    return Json::parse(answer.out);
  }

  FakeClock clock_;
  SeededRandom random_{1};
  IdGenerator ids_{clock_, random_};
  store::MemoryStore store_{clock_};
  store::MemoryFiles files_;
  store::MemoryRetention retention_{store_, files_};
  store::MemoryUsage usage_{store_};
  store::MemoryDiscovery discovery_{store_};
};

TEST_F(UsageCommands, ShowsWhoUsedWhatAndWhatNobodyPays) {
  const Json rows = json({"usage"});
  ASSERT_EQ(rows.size(), 2u) << rows;
  EXPECT_EQ(rows[0]["account"], nullptr);
  EXPECT_EQ(rows[0]["kind"], "public_model");
  EXPECT_EQ(rows[0]["setup_ms"], 20'000);
  EXPECT_EQ(rows[0]["idle_ms"], 3'600'000);
  EXPECT_EQ(rows[0]["active_ms"], 1500);
  EXPECT_EQ(rows[0]["amount_nanos"], (20'000 + 3'600'000) * 100);
  EXPECT_EQ(rows[1]["account"], "caller");
  EXPECT_EQ(rows[1]["active_ms"], 1500);
  EXPECT_EQ(rows[1]["amount_nanos"], 150'000);
  EXPECT_EQ(json({"usage", "--account", "caller"}).size(), 1u);
  EXPECT_EQ(json({"usage", "--account", "acme"}).size(), 0u);
  EXPECT_EQ(json({"usage", "--unbilled", "--group-by", "day"})[0]["begin"],
            "2023-11-14T00:00:00.000000Z");
}

TEST_F(UsageCommands, PrintsTablesForPeopleAndCsvForMachines) {
  const std::string table = run({"usage", "--account", "caller"}).out;
  EXPECT_NE(table.find("1.500"), std::string::npos) << table;
  EXPECT_NE(table.find("0.000150000"), std::string::npos) << table;
  EXPECT_EQ(run({"usage", "--account", "caller", "--group-by", "model", "--csv"}).out,
            "model,setup_ms,idle_ms,active_ms,setup_nanos,idle_nanos,active_nanos,amount_nanos,"
            "predictions,run_ms\r\nacme/hello,0,0,1500,0,0,150000,150000,1,1500\r\n");
}

TEST_F(UsageCommands, SaysWhatIsWrong) {
  EXPECT_EQ(run({"usage", "--account", "nobody"}).code, 1);
  EXPECT_EQ(run({"usage", "--group-by", "week"}).code, 1);
  EXPECT_EQ(run({"usage", "--from", "2024-01-01", "--to", "2023-01-01"}).code, 1);
  EXPECT_EQ(run({"usage", "--account", "caller", "--unbilled"}).code, 2);
  EXPECT_EQ(run({"spend-limit", "set", "caller", "-3"}).code, 1);
  EXPECT_EQ(run({"spend-limit", "set", "caller", "much"}).code, 1);
  EXPECT_EQ(run({"spend-limit", "set", "nobody", "3"}).code, 1);
  EXPECT_EQ(run({"spend-limit", "set", "caller", "9000000000000001"}).code, 1);
  EXPECT_EQ(run({"hardware", "prices", "none"}).code, 1);
  for (const char* price : {"-1", "1000000001"}) {
    const Answer answer = run({"hardware", "set", "cpu", "--price-micros", price});
    EXPECT_EQ(answer.code, 1) << price;
    EXPECT_NE(answer.error.find("1000000000"), std::string::npos) << answer.error;
  }
  EXPECT_NE(run({"usage", "--group-by", "week"}).error.find("account"), std::string::npos);
}

TEST_F(UsageCommands, LimitsAreSetShownAndTakenAway) {
  ASSERT_EQ(run({"spend-limit", "set", "caller", "150"}).code, 0);
  Json row = json({"spend-limit", "show", "caller"})[0];
  EXPECT_EQ(row["operator_limit_micros"], 150);
  EXPECT_EQ(row["spent_nanos"], 150'000);
  EXPECT_EQ(row["is_reached"], true);
  ASSERT_EQ(run({"spend-limit", "set", "caller", "none"}).code, 0);
  row = json({"spend-limit", "show", "caller"})[0];
  EXPECT_EQ(row["operator_limit_micros"], nullptr);
  EXPECT_EQ(row["is_reached"], false);
}

TEST_F(UsageCommands, PricesAreKept) {
  ASSERT_EQ(run({"hardware", "set", "cpu", "--price-micros", "225"}).code, 0);
  const Json rows = json({"hardware", "prices", "cpu"});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["price_micros"], 225);
  EXPECT_EQ(rows[1]["price_micros"], 100);
  EXPECT_EQ(rows[1]["since"], nullptr);
}

}  // namespace
}  // namespace mimeo::cli
