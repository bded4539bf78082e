#include "sdk/cpp/schema.h"

#include <gtest/gtest.h>

namespace mimeo::sdk {
namespace {

Json properties(const Model& model) {
  return Schema(model).document()["components"]["schemas"]["Input"]["properties"];
}

TEST(Schema, DescribesInputsAsCogDoes) {
  Model model;
  model.input(
      string("prompt").describe("Text").min_length(1).max_length(500).matching("^[a-z ]+$"));
  model.input(integer("num_steps").default_value(20).at_least(1).at_most(100));
  model.input(number("scale").default_value(7.5));
  model.input(boolean("tile").default_value(false).deprecated());
  model.input(file("image").optional().accept("image/*"));
  model.input(file("refs").list());
  model.input(string("fmt").choices({"png", "jpg"}).default_value("png"));
  model.input(secret("key").optional());
  model.output(Output::iterator(Output::file()));
  const Json got = properties(model);
  EXPECT_EQ(got["prompt"], Json::parse(R"({"type":"string","minLength":1,"maxLength":500,
      "pattern":"^[a-z ]+$","title":"Prompt","description":"Text","x-order":0})"));
  EXPECT_EQ(got["num_steps"], Json::parse(R"({"type":"integer","minimum":1,"maximum":100,
      "title":"Num Steps","default":20,"x-order":1})"));
  EXPECT_EQ(got["scale"],
            Json::parse(R"({"type":"number","title":"Scale","default":7.5,"x-order":2})"));
  EXPECT_EQ(got["tile"], Json::parse(R"({"type":"boolean","title":"Tile","default":false,
      "deprecated":true,"x-order":3})"));
  EXPECT_EQ(got["image"], Json::parse(R"({"type":"string","format":"uri","title":"Image",
      "nullable":true,"x-cog-accept":"image/*","x-order":4})"));
  EXPECT_EQ(got["refs"], Json::parse(R"({"type":"array","items":{"type":"string","format":"uri"},
      "title":"Refs","x-order":5})"));
  EXPECT_EQ(got["fmt"], Json::parse(R"({"allOf":[{"$ref":"#/components/schemas/fmt"}],
      "default":"png","x-order":6})"));
  EXPECT_EQ(got["key"], Json::parse(R"({"type":"string","format":"password","writeOnly":true,
      "x-cog-secret":true,"title":"Key","nullable":true,"x-order":7})"));
  const Json schemas = Schema(model).document()["components"]["schemas"];
  EXPECT_EQ(schemas["fmt"], Json::parse(R"({"title":"fmt","description":"An enumeration.",
      "enum":["png","jpg"],"type":"string"})"));
  EXPECT_EQ(schemas["Input"]["required"], (Json{"prompt", "refs"}));
}

TEST(Schema, DescribesOutputs) {
  const auto output = [](const Output& declared) {
    Model model;
    model.output(declared);
    return Schema(model).document()["components"]["schemas"]["Output"];
  };
  EXPECT_EQ(output(Output::string()), Json::parse(R"({"type":"string","title":"Output"})"));
  EXPECT_EQ(output(Output::file()),
            Json::parse(R"({"type":"string","format":"uri","title":"Output"})"));
  EXPECT_EQ(output(Output::iterator(Output::integer())),
            Json::parse(R"({"type":"array","items":{"type":"integer"},
                            "x-cog-array-type":"iterator","title":"Output"})"));
  EXPECT_EQ(output(Output::text_stream()),
            Json::parse(R"({"type":"array","items":{"type":"string"},"x-cog-array-type":"iterator",
                            "x-cog-array-display":"concatenate","title":"Output"})"));
}

TEST(Schema, MarksModelsThatStream) {
  Model model;
  model.output(Output::text_stream());
  EXPECT_EQ(Schema(model).document()["paths"]["/predictions"]["post"]["x-cog-streaming"], true);
  model.output(Output::string());
  EXPECT_FALSE(
      Schema(model).document()["paths"]["/predictions"]["post"].contains("x-cog-streaming"));
}

TEST(Schema, AVeryLongTextDoesNotReachThePattern) {
  Model model;
  model.input(string("text").matching("^(a|b)*$"));
  const Json input = {{"text", std::string(1'000'000, 'a')}};
  EXPECT_EQ(Schema(model).check(input).errors.size(), 1U);
}

TEST(Schema, DescribesTrainings) {
  Model model;
  model.output(Output::string());
  model.predict([](Prediction&) { return ""; });
  model.training_input(file("texts").list());
  model.train([](Prediction&) { return ""; });
  const Json document = Schema(model).document();
  const Json& schemas = document["components"]["schemas"];
  EXPECT_EQ(schemas["TrainingInput"]["required"], Json::parse(R"(["texts"])"));
  EXPECT_EQ(schemas["TrainingOutput"],
            Json::parse(R"({"type":"string","format":"uri","title":"Output"})"));
  EXPECT_TRUE(document["paths"].contains("/trainings/{training_id}/cancel"));
  model.training_output(Output::object());
  EXPECT_EQ(Schema(model).document()["components"]["schemas"]["TrainingOutput"]["type"], "object");
  model.training_output(Output::files());
  EXPECT_THROW(Schema{model}, std::invalid_argument);
}

}  // namespace
}  // namespace mimeo::sdk
