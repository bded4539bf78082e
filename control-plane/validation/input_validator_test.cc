#include "control-plane/validation/input_validator.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mimeo::control {
namespace {

using nlohmann::json;

// A document as Cog writes it, with this Input schema.
std::string document(const std::string& input, const std::string& rest = "") {
  return R"({"openapi":"3.0.2","components":{"schemas":{"Input":)" + input + rest + "}}}";
}

std::shared_ptr<const VersionSchema> compiled(const std::string& text) {
  auto schema = VersionSchema::compile(text);
  EXPECT_TRUE(schema.ok()) << schema.status();
  return schema.ok() ? *schema : nullptr;
}

// "type|field|description", one per problem.
std::vector<std::string> check(const std::string& input_schema, const char* input) {
  std::vector<std::string> out;
  for (const InputProblem& p :
       compiled(document(input_schema))->check(InputKind::kPrediction, json::parse(input))) {
    out.push_back(p.type + "|" + p.field + "|" + p.description);
  }
  return out;
}
std::vector<std::string> check_one(const std::string& property_schema, const char* value) {
  return check(R"({"type":"object","properties":{"x":)" + property_schema + "}}",
               (std::string(R"({"x":)") + value + "}").c_str());
}

using Lines = std::vector<std::string>;

TEST(InputValidator, AcceptsWhatFitsAndIgnoresUnknownKeys) {
  EXPECT_EQ(check(R"({"type":"object","required":["prompt"],
                      "properties":{"prompt":{"type":"string"},"steps":{"type":"integer"}}})",
                  R"({"prompt":"a","steps":4,"unknown":{"deep":[1]}})"),
            Lines{});
}

TEST(InputValidator, NamesTheParentOfWhatIsMissing) {
  EXPECT_EQ(check(R"({"type":"object","required":["prompt"],
                      "properties":{"prompt":{"type":"string"}}})",
                  "{}"),
            Lines{"required|input|prompt is required"});
}

TEST(InputValidator, SaysWhichTypeWasExpected) {
  EXPECT_EQ(check_one(R"({"type":"integer"})", R"("5")"),
            Lines{"invalid_type|input.x|Invalid type. Expected: integer, given: string"});
  EXPECT_EQ(check_one(R"({"type":"integer"})", "5.5"),
            Lines{"invalid_type|input.x|Invalid type. Expected: integer, given: number"});
  EXPECT_EQ(check_one(R"({"type":"string"})", "null"),
            Lines{"invalid_type|input.x|Invalid type. Expected: string, given: null"});
  EXPECT_EQ(check_one(R"({"type":"string"})", "7"),
            Lines{"invalid_type|input.x|Invalid type. Expected: string, given: integer"});
  EXPECT_EQ(check_one(R"({"type":["string","null"]})", "true"),
            Lines{"invalid_type|input.x|Invalid type. Expected: [string,null], given: boolean"});
  EXPECT_EQ(check_one(R"({"type":"integer"})", "4.0"), Lines{});
  EXPECT_EQ(check_one(R"({"type":"number"})", "4"), Lines{});
  EXPECT_EQ(check_one(R"({"type":"boolean"})", "1"),
            Lines{"invalid_type|input.x|Invalid type. Expected: boolean, given: integer"});
}

TEST(InputValidator, AcceptsNullWhereTheSchemaIsNullable) {
  EXPECT_EQ(check_one(R"({"type":"string","nullable":true})", "null"), Lines{});
  EXPECT_EQ(check_one(R"({"nullable":true,"allOf":[{"enum":["a"],"type":"string"}]})", "null"),
            Lines{});
}

TEST(InputValidator, NumberBoundsAreSpeltLikeTheirSchema) {
  EXPECT_EQ(check_one(R"({"type":"integer","minimum":1,"maximum":4})", "5"),
            Lines{"number_lte|input.x|Must be less than or equal to 4"});
  EXPECT_EQ(check_one(R"({"type":"integer","minimum":1,"maximum":4})", "0"),
            Lines{"number_gte|input.x|Must be greater than or equal to 1"});
  EXPECT_EQ(check_one(R"({"type":"number","minimum":0.5})", "0.25"),
            Lines{"number_gte|input.x|Must be greater than or equal to 0.5"});
  EXPECT_EQ(check_one(R"({"type":"integer","maximum":4294967295})", "4294967296"),
            Lines{"number_lte|input.x|Must be less than or equal to 4294967295"});
  EXPECT_EQ(check_one(R"({"type":"number","exclusiveMinimum":0})", "0"),
            Lines{"number_gt|input.x|Must be greater than 0"});
  EXPECT_EQ(check_one(R"({"type":"number","maximum":1,"exclusiveMaximum":true})", "1"),
            Lines{"number_lt|input.x|Must be less than 1"});
  EXPECT_EQ(check_one(R"({"type":"integer","multipleOf":8})", "12"),
            Lines{"multiple_of|input.x|Must be a multiple of 8"});
  EXPECT_EQ(check_one(R"({"type":"number","multipleOf":0.1})", "0.3"), Lines{});
}

TEST(InputValidator, BoundsHoldForTheLargestIntegers) {
  EXPECT_EQ(
      check_one(R"({"type":"integer","maximum":9007199254740992})", "9007199254740993").size(), 1U);
  EXPECT_EQ(check_one(R"({"type":"integer"})", "18446744073709551615"), Lines{});
}

TEST(InputValidator, LengthsCountCharactersNotBytes) {
  EXPECT_EQ(check_one(R"({"type":"string","maxLength":3})", R"("äöü")"), Lines{});
  EXPECT_EQ(check_one(R"({"type":"string","maxLength":3})", R"("abcd")"),
            Lines{"string_lte|input.x|String length must be less than or equal to 3"});
  EXPECT_EQ(check_one(R"({"type":"string","minLength":2})", R"("a")"),
            Lines{"string_gte|input.x|String length must be greater than or equal to 2"});
}

TEST(InputValidator, PatternsMatchAnywhereAndNeverTakeLong) {
  EXPECT_EQ(check_one(R"({"type":"string","pattern":"^[a-z]+$"})", R"("A1")"),
            Lines{"pattern|input.x|Does not match pattern '^[a-z]+$'"});
  const std::string many = "\"" + std::string(100'000, 'a') + "!\"";
  EXPECT_EQ(check_one(R"({"type":"string","pattern":"^(a+)+$"})", many.c_str()).size(), 1U);
  // Look-ahead is the container's business.
  EXPECT_EQ(check_one(R"({"type":"string","pattern":"^(?=a)b"})", R"("c")"), Lines{});
}

TEST(InputValidator, FilesAreUrisOfAnyScheme) {
  const char* schema = R"({"type":"string","format":"uri"})";
  for (const char* fine : {R"("https://x.example/a.png?b=c")", R"("data:image/png;base64,iVBO")",
                           R"("gs://bucket/x")"}) {
    EXPECT_EQ(check_one(schema, fine), Lines{}) << fine;
  }
  for (const char* bad : {R"("photo.png")", R"("")", R"("https://x/a b")", R"(":x")"}) {
    EXPECT_EQ(check_one(schema, bad), Lines{"format|input.x|Does not match format 'uri'"}) << bad;
  }
}

TEST(InputValidator, ChoicesAreListedAsJson) {
  const std::string schema =
      R"({"type":"object","properties":{"output_format":{"default":"jpg","x-order":1,
          "allOf":[{"$ref":"#/components/schemas/output_format"}]}}})";
  const auto version = compiled(
      document(schema, R"(,"output_format":{"title":"o","type":"string","enum":["jpg","png"]})"));
  const auto problems =
      version->check(InputKind::kPrediction, json::parse(R"({"output_format":"gif"})"));
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].type, "enum");
  EXPECT_EQ(problems[0].field, "input.output_format");
  EXPECT_EQ(problems[0].description, R"(output_format must be one of the following: "jpg", "png")");
}

TEST(InputValidator, ListsAreCheckedItemByItem) {
  const char* schema = R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})";
  EXPECT_EQ(check_one(schema, "[1,\"a\"]"),
            Lines{"invalid_type|input.x.1|Invalid type. Expected: integer, given: string"});
  EXPECT_EQ(check_one(schema, "[]"),
            Lines{"array_min_items|input.x|Array must have at least 1 items"});
  EXPECT_EQ(check_one(schema, "[1,2,3,4]"),
            Lines{"array_max_items|input.x|Array must have at most 3 items"});
  EXPECT_EQ(check_one(R"({"type":"array","uniqueItems":true})", "[1,2,1]"),
            Lines{"unique|input.x|array items[0,2] must be unique"});
}

TEST(InputValidator, UnionsNeedOneThatFits) {
  const char* schema = R"({"anyOf":[{"type":"string"},{"type":"integer"}]})";
  EXPECT_EQ(check_one(schema, "3"), Lines{});
  EXPECT_EQ(check_one(schema, "true"),
            Lines{"number_any_of|input.x|Must validate at least one schema (anyOf)"});
}

TEST(InputValidator, AClosedObjectNamesTheKeyTooMany) {
  EXPECT_EQ(
      check_one(R"({"type":"object","additionalProperties":false,"properties":{}})", R"({"y":1})"),
      Lines{"additional_property_not_allowed|input.x|Additional property y is not allowed"});
}

TEST(InputValidator, UnknownInputsAreTakenEvenWhereTheSchemaForbidsThem) {
  const auto version = compiled(document(
      R"({"type":"object","additionalProperties":false,"required":["a"],
          "allOf":[{"additionalProperties":false}],
          "properties":{"a":{"type":"object","additionalProperties":false}}})"));
  EXPECT_TRUE(
      version->check(InputKind::kPrediction, json::parse(R"({"a":{},"y":{"z":1}})")).empty());
  const auto problems =
      version->check(InputKind::kPrediction, json::parse(R"({"a":{"y":1},"y":1})"));
  ASSERT_EQ(problems.size(), 1U) << "below the top they are refused as the schema says";
  EXPECT_EQ(problems[0].field, "input.a");
}

TEST(InputValidator, AnInputThatIsNoObjectIsOneProblem) {
  const auto version = compiled(document(R"({"type":"object"})"));
  const auto problems = version->check(InputKind::kPrediction, json::array());
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].description, "Invalid type. Expected: object, given: array");
}

TEST(InputValidator, SecretsAreReplacedWhereverTheyAre) {
  const auto version = compiled(document(
      R"({"type":"object","properties":{
           "key":{"type":"string","format":"password","writeOnly":true,"x-cog-secret":true},
           "old":{"type":"string","format":"password"},
           "keys":{"type":"array","items":{"type":"string","x-cog-secret":true}},
           "prompt":{"type":"string"}}})"));
  const json input =
      json::parse(R"({"key":"s3cret","old":"also","keys":["a","b"],"prompt":"p","extra":1})");
  EXPECT_EQ(
      json::parse(version->redact(InputKind::kPrediction, input)),
      json::parse(
          R"({"key":"[REDACTED]","old":"[REDACTED]","keys":["[REDACTED]","[REDACTED]"],"prompt":"p","extra":1})"));
  EXPECT_EQ(version->redact(InputKind::kPrediction, json::parse(R"({"prompt":"p"})")), "");
}

TEST(InputValidator, TrainingsHaveASchemaOfTheirOwn) {
  const auto version = compiled(
      document(R"({"type":"object"})",
               R"(,"TrainingInput":{"type":"object","required":["data"],"properties":{}})"));
  EXPECT_TRUE(version->accepts(InputKind::kTraining));
  EXPECT_EQ(version->check(InputKind::kTraining, json::object()).size(), 1U);
  EXPECT_EQ(version->check(InputKind::kPrediction, json::object()).size(), 0U);
  EXPECT_FALSE(compiled(document(R"({"type":"object"})"))->accepts(InputKind::kTraining));
}

StreamKind stream_of(const std::string& output, const std::string& rest = "") {
  return compiled(document(R"({"type":"object"})", R"(,"Output":)" + output + rest))->stream();
}

TEST(InputValidator, KnowsWhatAVersionStreams) {
  EXPECT_EQ(stream_of(R"({"type":"string"})"), StreamKind::kNone);
  EXPECT_EQ(stream_of(R"({"type":"array","items":{"type":"string"}})"), StreamKind::kNone);
  EXPECT_EQ(stream_of(R"({"type":"array","items":{"type":"string"},"x-cog-array-type":"iterator",
                          "x-cog-array-display":"concatenate"})"),
            StreamKind::kText);
  EXPECT_EQ(stream_of(R"({"type":"array","x-cog-array-type":"iterator",
                          "items":{"type":"string","format":"uri"}})"),
            StreamKind::kFiles);
  EXPECT_EQ(stream_of(R"({"type":"string","format":"uri"})"), StreamKind::kFiles);
  EXPECT_EQ(stream_of(R"({"allOf":[{"$ref":"#/components/schemas/Real"}]})",
                      R"(,"Real":{"type":"string","format":"uri"})"),
            StreamKind::kFiles);
}

TEST(InputValidator, RefusesSchemasThatLeadNowhere) {
  EXPECT_FALSE(VersionSchema::compile("[]").ok());
  EXPECT_FALSE(VersionSchema::compile("{").ok());
  EXPECT_FALSE(VersionSchema::compile(document(R"({"$ref":"#/components/schemas/Gone"})")).ok());
  EXPECT_FALSE(VersionSchema::compile(document(R"({"$ref":"https://x.example/y"})")).ok());
  EXPECT_TRUE(VersionSchema::compile("{}").ok());
}

TEST(InputValidator, ASchemaThatContainsItselfEnds) {
  EXPECT_EQ(check(R"({"allOf":[{"$ref":"#/components/schemas/Input"}]})", R"({"a":1})"), Lines{});
  EXPECT_EQ(check(R"({"anyOf":[{"$ref":"#/components/schemas/Input"},
                               {"$ref":"#/components/schemas/Input"}]})",
                  R"({"a":1})")
                .size(),
            0U);
  const std::string tree =
      R"({"type":"object","properties":{"left":{"$ref":"#/components/schemas/Input"},
                                        "n":{"type":"integer"}}})";
  EXPECT_EQ(check(tree, R"({"left":{"left":{"n":"x"}}})"),
            Lines{"invalid_type|input.left.left.n|Invalid type. Expected: integer, given: string"});
}

}  // namespace
}  // namespace mimeo::control
