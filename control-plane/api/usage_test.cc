#include <set>
#include <sstream>

#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// acme's model is public here; prices are 100 micro-units a second.
class UsageTest : public ApiTest {
 protected:
  void SetUp() override {
    Hardware cpu;
    cpu.sku = "cpu";
    cpu.name = "CPU";
    cpu.price_micros_per_second = 100;
    ASSERT_EQ(store_.put_hardware(cpu, 0), absl::OkStatus());
    clock_.advance(hours{1});
    store::ModelChange open;
    open.visibility = store::Visibility::kPublic;
    ASSERT_TRUE(store_.update_model(model_.id, open).ok());
  }
  // A prediction of acme that ran for that long in no particular instance.
  PredictionId ran(milliseconds time) {
    const PredictionId id = created_running();
    clock_.advance(time);
    store::Finish finish = finish_of(id);
    finish.started_at = clock_.now() - time;
    finish.completed_at = clock_.now();
    finish.billed = time;
    EXPECT_EQ(complete_and_wait(finish), store::FinishOutcome::kCommitted);
    return id;
  }
  void meter() { ASSERT_TRUE(usage_.meter(clock_.now(), 1000).ok()); }
  json usage(const std::string& query) {
    const Reply reply = get("/v1/account/usage" + query);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json();
  }
};

TEST_F(UsageTest, WhatRanIsShownByDayWithItsPrice) {
  ran(milliseconds{1500});
  ran(milliseconds{500});
  meter();
  const json answer = usage("");
  ASSERT_EQ(answer["results"].size(), 1U) << answer;
  const json& line = answer["results"][0];
  EXPECT_EQ(line["begin"], "2023-11-14T00:00:00.000000Z");
  EXPECT_EQ(line["active_ms"], 2000);
  EXPECT_EQ(line["amount_nanos"], 200'000);
  EXPECT_EQ(line["predictions"], 2);
  EXPECT_EQ(line["run_ms"], 2000);
  EXPECT_EQ(answer["total"]["amount_nanos"], 200'000);
  EXPECT_EQ(answer["from"], "2023-11-01T00:00:00.000000Z") << "the month so far";
}

TEST_F(UsageTest, GroupsAreThoseThatWereAskedFor) {
  ran(milliseconds{1500});
  meter();
  const json line = usage("?group_by=hour,model,hardware,deployment,kind")["results"][0];
  EXPECT_EQ(line["model"], "acme/hello");
  EXPECT_EQ(line["hardware"], "cpu");
  EXPECT_EQ(line["deployment"], nullptr);
  EXPECT_EQ(line["kind"], "public_model");
  EXPECT_FALSE(usage("?group_by=model")["results"][0].contains("begin"));
  EXPECT_TRUE(usage("?from=2023-11-20&to=2023-11-21")["results"].empty());
  EXPECT_EQ(usage("?from=2023-11-20T02:00&to=2023-11-21+02:00:00+02:00")["to"],
            "2023-11-21T00:00:00.000000Z");
}

TEST_F(UsageTest, ComesAsCsvDayByDay) {
  ran(milliseconds{1500});
  clock_.advance(hours{24});
  ran(milliseconds{250});
  meter();
  const std::string expected =
      "begin,setup_ms,idle_ms,active_ms,setup_nanos,idle_nanos,active_nanos,amount_nanos,"
      "predictions,run_ms\r\n"
      "2023-11-14T00:00:00.000000Z,0,0,1500,0,0,150000,150000,1,1500\r\n"
      "2023-11-15T00:00:00.000000Z,0,0,250,0,0,25000,25000,1,250\r\n";
  const Reply by_parameter = get("/v1/account/usage?format=csv&group_by=day&to=2023-12-01");
  EXPECT_EQ(by_parameter.status, 200);
  EXPECT_EQ(by_parameter.body, expected);
  EXPECT_TRUE(by_parameter.header("Content-Type").starts_with("text/csv"));
  const Reply by_header = call("GET", "/v1/account/usage", "", {{"Accept", "text/csv"}});
  EXPECT_EQ(by_header.body, expected);
}

TEST_F(UsageTest, CsvHasNoLimitOfLines) {
  std::vector<store::Target> pools;
  for (int i = 0; i < 440; ++i) {
    pools.push_back(*store_.ensure_version_pool(version_.id, "sku-" + std::to_string(i), 1));
  }
  const WallTime day = floor<std::chrono::days>(clock_.now());
  for (int hour = 0; hour < 24; ++hour) {
    for (const store::Target& pool : pools) {
      store::NewPrediction p;
      p.id = ids_.next();
      p.account = account_.id;
      p.target = pool.id;
      p.model = model_.id;
      p.version = version_.id;
      p.created_at = clock_.now();
      p.input = "{}";
      p.grant = grant_;
      ASSERT_TRUE(store_.create({&p, 1}).ok());
      store::Finish finish = finish_of(p.id);
      finish.completed_at = day + hours{hour};
      finish.billed = milliseconds{10};
      ASSERT_TRUE(store_.finish({&finish, 1}).ok());
    }
  }
  meter();
  const std::string groups = "?group_by=hour,hardware&from=2023-11-14&to=2023-11-15";
  EXPECT_EQ(get("/v1/account/usage" + groups).status, 400) << "too much for JSON";
  const Reply reply = get("/v1/account/usage" + groups + "&format=csv");
  ASSERT_EQ(reply.status, 200);
  std::set<std::string> lines;
  std::istringstream text(reply.body);
  std::size_t count = 0;
  for (std::string line; std::getline(text, line); ++count) lines.insert(line);
  EXPECT_EQ(count, 1 + 24 * 440U);
  EXPECT_EQ(lines.size(), count) << "each once";
}

TEST_F(UsageTest, SaysWhatIsWrongWithARequest) {
  for (const char* query : {"?group_by=week", "?group_by=account", "?group_by=hour,day",
                            "?from=yesterday", "?from=2023-11-02&to=2023-11-01", "?from=2020-01-01",
                            "?format=xml", "?from=2023-09-01&to=2023-11-01&group_by=hour"}) {
    const Reply reply = get(std::string("/v1/account/usage") + query);
    EXPECT_EQ(reply.status, 400) << query;
    EXPECT_EQ(reply.json()["status"], 400) << query;
  }
  EXPECT_EQ(get("/v1/account/usage/predictions?cursor=x").status, 400);
  EXPECT_EQ(get("/v1/account/usage/predictions?from=2023-09-01&to=2023-11-01").status, 400);
  EXPECT_EQ(call("GET", "/v1/account/usage", "", as("r8_wrong")).status, 401);
}

TEST_F(UsageTest, EveryPredictionHasItsTimeAndPrice) {
  std::vector<PredictionId> ids;
  for (int i = 0; i < 101; ++i) ids.push_back(ran(milliseconds{10 + i}));
  const Reply first = get("/v1/account/usage/predictions");
  const json page = first.json();
  ASSERT_EQ(page["results"].size(), 100U);
  EXPECT_EQ(page["results"][0]["id"], ids.back().str());
  EXPECT_EQ(page["results"][0]["run_ms"], 110);
  EXPECT_EQ(page["results"][0]["amount_nanos"], 11'000);
  EXPECT_EQ(page["results"][0]["is_charged"], true);
  EXPECT_EQ(page["previous"], nullptr);
  const std::string next = page["next"];
  const json second = get(next.substr(next.find("/v1/"))).json();
  ASSERT_EQ(second["results"].size(), 1U);
  EXPECT_EQ(second["results"][0]["id"], ids.front().str());
  EXPECT_EQ(second["next"], nullptr);
  const std::string csv = get("/v1/account/usage/predictions?format=csv").body;
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 102);
  EXPECT_EQ(call("GET", "/v1/account/usage/predictions", "", as(stranger_token_))
                .json()["results"]
                .size(),
            0U);
}

TEST_F(UsageTest, OnePredictionsUsageIsThereOnceItHasEnded) {
  const PredictionId running = created_running();
  EXPECT_EQ(get("/v1/predictions/" + running.str() + "/usage").status, 404);
  const PredictionId id = ran(milliseconds{40});
  const Reply reply = get("/v1/predictions/" + id.str() + "/usage");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["id"], id.str());
  EXPECT_EQ(reply.json()["run_ms"], 40);
  EXPECT_EQ(call("GET", "/v1/predictions/" + id.str() + "/usage", "", as(stranger_token_)).status,
            404);
  EXPECT_EQ(get("/v1/predictions/none/usage").status, 404);
}

TEST_F(UsageTest, AtTheLimitNothingNewIsCreatedUntilItIsRaised) {
  ran(seconds{10});  // 1000 micro-units.
  meter();
  const auto set = [&](const json& limit) {
    return call("PUT", "/v1/account/spend-limit", json{{"limit_micros", limit}}.dump(),
                {{"Content-Type", "application/json"}});
  };
  const Reply low = set(1000);
  ASSERT_EQ(low.status, 200) << low.body;
  EXPECT_EQ(low.json()["limit_micros"], 1000);
  EXPECT_EQ(low.json()["account_limit_micros"], 1000);
  EXPECT_EQ(low.json()["operator_limit_micros"], nullptr);
  EXPECT_EQ(low.json()["spent_nanos"], 1'000'000);
  EXPECT_EQ(low.json()["is_reached"], true);
  EXPECT_EQ(low.json()["month_end"], "2023-12-01T00:00:00.000000Z");

  const Reply refused = post("/v1/predictions", valid_body());
  EXPECT_EQ(refused.status, 402);
  EXPECT_TRUE(refused.body.ends_with("}\n"));
  EXPECT_EQ(refused.json()["title"], "Insufficient credit");
  EXPECT_EQ(refused.json()["status"], 402);
  EXPECT_TRUE(refused.json()["detail"].get<std::string>().starts_with(
      "You have insufficient credit to run this model."));
  EXPECT_EQ(refused.json().size(), 3U);
  EXPECT_EQ(post("/v1/models/acme/hello/predictions", {{"input", {{"text", "a"}}}}).status, 402);
  EXPECT_EQ(
      post("/v1/predictions", {{"version", version_.id.hex()}, {"input", json::object()}}).status,
      422)
      << "what is wrong anyway is said first";
  EXPECT_EQ(
      call("POST", "/v1/predictions", valid_body().dump(),
           {{"Authorization", "Bearer " + stranger_token_}, {"Content-Type", "application/json"}})
          .status,
      201)
      << "others go on";

  EXPECT_EQ(set(1001).status, 200);
  EXPECT_EQ(post("/v1/predictions", valid_body()).status, 201);
  EXPECT_EQ(set(1000).status, 200);
  EXPECT_EQ(post("/v1/predictions", valid_body()).status, 402);
  EXPECT_EQ(set(nullptr).json()["limit_micros"], nullptr);
  EXPECT_EQ(post("/v1/predictions", valid_body()).status, 201);
}

TEST_F(UsageTest, AnAccountCannotRaiseTheOperatorsLimit) {
  ASSERT_EQ(usage_.set_spend_limit(account_.id, store::LimitSetter::kOperator, 0),
            absl::OkStatus());
  EXPECT_EQ(call("PUT", "/v1/account/spend-limit", R"({"limit_micros":1000000})").status, 200);
  EXPECT_EQ(post("/v1/predictions", valid_body()).status, 402);
  EXPECT_EQ(get("/v1/account/spend-limit").json()["limit_micros"], 0);
}

TEST_F(UsageTest, AWrongLimitIsRefused) {
  for (const char* body : {"{}", "[]", "no", R"({"limit_micros":-1})", R"({"limit_micros":1.5})",
                           R"({"limit_micros":"1"})", R"({"limit_micros":1e300})"}) {
    EXPECT_EQ(call("PUT", "/v1/account/spend-limit", body).status, 400) << body;
  }
}

}  // namespace
}  // namespace mimeo::control
