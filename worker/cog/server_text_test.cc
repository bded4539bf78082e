// What servers say, in all dialects: health, schema, event streams, logs of containers.
#include <gtest/gtest.h>

#include "worker/cog/container_log.h"
#include "worker/cog/model_schema.h"
#include "worker/cog/server_health.h"
#include "worker/cog/sse_parser.h"

namespace mimeo::worker::cog {
namespace {

TEST(Health, TellsTheGenerationsApart) {
  const auto coglet =
      parse_health(200, R"({"status":"READY","setup":{"status":"succeeded","logs":"x"},)"
                        R"("version":{"coglet":"0.23.1"}})");
  ASSERT_TRUE(coglet.ok());
  EXPECT_EQ(to_string(coglet->generation, coglet->version), "coglet 0.23.1");
  EXPECT_EQ(coglet->setup_logs, "x");
  EXPECT_TRUE(coglet->is_setup_over);

  const auto go = parse_health(200, R"({"status":"BUSY","setup":{},"concurrency":{"max":4}})");
  EXPECT_EQ(go->generation, Generation::kGo);
  EXPECT_EQ(go->max_concurrency, 4U);
  EXPECT_EQ(go->health, ServerHealth::kBusy);

  EXPECT_EQ(parse_health(200, R"({"status":"STARTING","setup":null})")->generation,
            Generation::kPython);
  EXPECT_EQ(parse_health(404, "not found")->generation, Generation::kLegacy);
}

TEST(Health, ReadsTheVerdictFromTheBodyAlone) {
  EXPECT_EQ(parse_health(503, R"({"status":"STARTING","setup":{}})")->health,
            ServerHealth::kStarting);
  EXPECT_EQ(parse_health(200, R"({"status":"TOMORROWS_WORD"})")->health, ServerHealth::kOther);
  EXPECT_FALSE(parse_health(200, "<html>").ok());
  EXPECT_FALSE(parse_health(500, "").ok());
  // coglet says READY before its setup is written down.
  EXPECT_FALSE(
      parse_health(200, R"({"status":"READY","setup":{"status":"starting"}})")->is_setup_over);
}

TEST(Health, ComparesVersions) {
  EXPECT_TRUE(is_at_least("0.21.0", 0, 21));
  EXPECT_TRUE(is_at_least("1.0", 0, 21));
  EXPECT_FALSE(is_at_least("0.9.26", 0, 21));
  EXPECT_FALSE(is_at_least("", 0, 21));
  EXPECT_FALSE(is_at_least("dev", 0, 21));
}

TEST(ModelSchema, ReadsHowTheModelAnswers) {
  const auto iterator = ModelSchema::parse(
      R"({"paths":{"/predictions":{"post":{"x-cog-streaming":true}}},"components":{"schemas":{
          "Output":{"type":"array","items":{},"x-cog-array-type":"iterator"}}}})",
      RunKind::kPrediction);
  EXPECT_TRUE(iterator.has_events);
  EXPECT_EQ(iterator.output, OutputShape::kIterator);
  const auto list = ModelSchema::parse(
      R"({"components":{"schemas":{"Output":{"$ref":"#/components/schemas/Files"},
          "Files":{"type":"array"}}}})",
      RunKind::kPrediction);
  EXPECT_EQ(list.output, OutputShape::kList);
  EXPECT_FALSE(list.has_events);
  EXPECT_FALSE(ModelSchema::parse("", RunKind::kPrediction).is_known);
}

TEST(ModelSchema, DropsNullsOnlyWhereTheModelTakesThem) {
  const auto schema = ModelSchema::parse(
      R"({"components":{"schemas":{"size":{"enum":["s"],"nullable":true},"Input":{"properties":{
          "seed":{"type":"integer","nullable":true},
          "either":{"anyOf":[{"type":"string","nullable":true},{"type":"integer"}]},
          "size":{"allOf":[{"$ref":"#/components/schemas/size"}]},
          "text":{"type":"string"}}}}}})",
      RunKind::kPrediction);
  EXPECT_EQ(without_nulls(R"({"seed":null,"text":null,"either":null,"size":null,"b":1})", schema),
            R"({"text":null,"b":1})");
  // Untouched, not only equal: spelling and order are the user's.
  EXPECT_EQ(without_nulls(R"({ "text" : "null" })", schema), R"({ "text" : "null" })");
}

ModelSchema schema_of_input(const std::string& input) {
  return ModelSchema::parse(R"({"components":{"schemas":{"Input":)" + input + "}}}",
                            RunKind::kPrediction);
}

TEST(ModelSchema, DropsInputsThatTheModelDoesNotKnow) {
  const ModelSchema schema =
      schema_of_input(R"({"type":"object","properties":{"a":{},"b\"":{},"é":{}}})");
  EXPECT_EQ(without_unknown(R"({"x":1,"a":[{"x":"}"}],"y":{"a":1}})", schema),
            R"({"a":[{"x":"}"}]})");
  // The spelling of what stays is the user's, numbers that fit no type included.
  EXPECT_EQ(without_unknown(R"( { "a" : 123456789012345678901234567890 , "z":"\\" } )", schema),
            R"({"a" : 123456789012345678901234567890 })");
  EXPECT_EQ(without_unknown(R"({"b\"":"\"","\u00e9":2,"\"":3})", schema),
            R"({"b\"":"\"","\u00e9":2})");
  EXPECT_EQ(without_unknown(R"({"x":"a\\\"b","y":null})", schema), "{}");
  EXPECT_EQ(without_unknown(R"({ "a" : 1 })", schema), R"({ "a" : 1 })");
  EXPECT_EQ(without_unknown("{ }", schema), "{ }");
}

TEST(ModelSchema, KeepsUnknownInputsWhereTheModelTakesThem) {
  const std::string input = R"({"a":1,"x":2})";
  EXPECT_EQ(without_unknown(input, schema_of_input(R"({"type":"object"})")), input);
  EXPECT_EQ(without_unknown(input, schema_of_input(R"({"properties":{},)"
                                                   R"("additionalProperties":true})")),
            input);
  EXPECT_EQ(without_unknown(input, schema_of_input(R"({"properties":{},"additionalProperties":)"
                                                   R"({"type":"integer"}})")),
            input);
  EXPECT_EQ(without_unknown(input, schema_of_input(R"({"properties":{},"anyOf":[{}]})")), input);
  EXPECT_EQ(without_unknown(input, schema_of_input(R"({"properties":{"a":{}},)"
                                                   R"("additionalProperties":false})")),
            R"({"a":1})");
  EXPECT_EQ(without_unknown(input, ModelSchema()), input);
}

TEST(ModelSchema, LeavesTextAloneThatIsNoObject) {
  const ModelSchema schema = schema_of_input(R"({"properties":{}})");
  for (const char* text : {"", "[]", "{", R"({"a)", R"({"a":1)", R"({"a":1}})", R"({"a" 1})",
                           R"({"a":1,})", R"({"a":"\")", "{a:1}"}) {
    EXPECT_EQ(without_unknown(text, schema), text);
  }
}

TEST(ModelSchema, TrainingsAreNotMeasuredByTheInputsOfPredictions) {
  const char* both = R"({"components":{"schemas":{"Input":{"properties":{"a":{}}},
                         "TrainingInput":{"properties":{"x":{}}}}}})";
  EXPECT_EQ(without_unknown(R"({"a":1,"x":2})", ModelSchema::parse(both, RunKind::kTraining)),
            R"({"x":2})");
  const char* one = R"({"components":{"schemas":{"Input":{"properties":{"a":{}}}}}})";
  EXPECT_EQ(without_unknown(R"({"a":1,"x":2})", ModelSchema::parse(one, RunKind::kTraining)),
            R"({"a":1,"x":2})");
}

TEST(SseParser, TakesPiecesHoweverTheyAreCut) {
  const std::string text =
      ":keep-alive\n\nevent: output\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata: x\n\nevent: none\n\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    SseParser parser;
    auto events = parser.feed(text.substr(0, cut));
    for (SseEvent& event : parser.feed(text.substr(cut))) events.push_back(std::move(event));
    ASSERT_EQ(events.size(), 2U) << cut;
    EXPECT_EQ(events[0].name, "output");
    EXPECT_EQ(events[0].data, "{\"a\":\n1}");
    EXPECT_EQ(events[1].name, "message");
    EXPECT_EQ(events[1].data, "x");
  }
}

TEST(ContainerLog, FindsWhatOnePredictionPrinted) {
  const std::string lines =
      R"({"fields":{"message":"Starting prediction","prediction_id":"p1"},"target":"t"})"
      "\n"
      R"({"fields":{"message":"mine","prediction_id":"p1","source":"Stdout"}})"
      "\n"
      R"({"fields":{"message":"not mine","prediction_id":"p10","source":"Stdout"}})"
      "\n"
      "a line of a C library about p1\n";
  EXPECT_FALSE(find_prediction_log(lines, "p1").has_value()) << "it is not over";
  EXPECT_EQ(find_prediction_log(
                lines + R"({"fields":{"message":"Prediction failed","prediction_id":"p1"}})", "p1"),
            "mine\n");
}

TEST(ContainerLog, TakesDockersWrappingOff) {
  EXPECT_EQ(unwrap_json_file(R"({"log":"one\n","stream":"stderr","time":"t"})"
                             "\n"
                             R"({"log":"two\n","stream":"stdout","time":"t"})"
                             "\n"
                             "plain\n"),
            "one\ntwo\nplain\n");
  EXPECT_EQ(log_tail("/nowhere/at/all", 100), "");
}

TEST(ContainerLog, ShowsPeopleTheMessagesOfStructuredLines) {
  EXPECT_EQ(readable_log(R"({"timestamp":"t","level":"INFO","fields":{"message":"Spawning"}})"
                         "\n"
                         R"({"logger":"x","severity":"INFO","message":"hello"})"
                         "\n"
                         "Killed\n"),
            "Spawning\nhello\nKilled\n");
}

}  // namespace
}  // namespace mimeo::worker::cog
