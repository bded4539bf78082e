#include "worker/files/file_fields.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace mimeo::worker {
namespace {

using nlohmann::json;

std::string openapi(const json& input_properties, const json& output) {
  return json{{"components",
               {{"schemas",
                 {{"Input", {{"type", "object"}, {"properties", input_properties}}},
                  {"Pair",
                   {{"type", "object"},
                    {"properties", {{"left", {{"type", "string"}, {"format", "uri"}}}}}}},
                  {"Loop", {{"properties", {{"again", {{"$ref", "#/components/schemas/Loop"}}}}}}},
                  {"Output", output}}}}}}
      .dump();
}

// The strings of `value` that the schema calls files.
std::vector<std::string> files_in(const FileFields& fields, json value, bool is_output) {
  std::vector<std::string> out;
  const auto visitor = [&](std::string& text, FileFields::Declared declared) {
    if (declared == FileFields::Declared::kYes) out.push_back(text);
    return absl::OkStatus();
  };
  const Status visited =
      is_output ? fields.visit_output(value, visitor) : fields.visit_input(value, visitor);
  EXPECT_TRUE(visited.ok()) << visited;
  return out;
}

const json kUri{{"type", "string"}, {"format", "uri"}};
const json kText{{"type", "string"}};
using Strings = std::vector<std::string>;

TEST(FileFields, FindsFilesAtAnyDepth) {
  const auto fields = FileFields::parse(
      openapi({{"image", kUri},
               {"images", {{"type", "array"}, {"items", kUri}}},
               {"pair", {{"allOf", json::array({{{"$ref", "#/components/schemas/Pair"}}})}}},
               {"maybe", {{"anyOf", json::array({kUri, kText})}}},
               {"named", {{"type", "object"}, {"additionalProperties", kUri}}},
               {"prompt", kText}},
              kText),
      false);
  EXPECT_TRUE(fields->may_have_input_files());
  EXPECT_EQ(files_in(*fields,
                     {{"image", "1"},
                      {"images", {"2", "3"}},
                      {"pair", {{"left", "4"}, {"right", "no"}}},
                      {"maybe", "5"},
                      {"named", {{"x", "6"}}},
                      {"prompt", "https://example.com/not-a-file"},
                      {"unknown", "no"}},
                     false),
            (Strings{"1", "2", "3", "5", "6", "4"}));
}

TEST(FileFields, AModelWithoutFileInputsNeedsNoParsingOfItsInputs) {
  EXPECT_FALSE(
      FileFields::parse(openapi({{"prompt", kText}}, kUri), false)->may_have_input_files());
}

TEST(FileFields, ASchemaThatRefersToItselfEnds) {
  const auto fields =
      FileFields::parse(openapi({{"a", {{"$ref", "#/components/schemas/Loop"}}}}, kText), false);
  EXPECT_FALSE(fields->may_have_input_files());
  EXPECT_EQ(files_in(*fields, {{"a", {{"again", {{"again", "x"}}}}}}, false), Strings{});
}

TEST(FileFields, WhatIsNoSchemaDeclaresNothing) {
  for (const char* text : {"", "{}", "[1]", "not json", R"({"components":{"schemas":7}})"}) {
    const auto fields = FileFields::parse(text, false);
    EXPECT_FALSE(fields->may_have_input_files()) << text;
    EXPECT_EQ(files_in(*fields, {{"a", "x"}}, true), Strings{}) << text;
  }
}

TEST(FileFields, KnowsItemsOfAnIteratorOutput) {
  const auto fields =
      FileFields::parse(openapi(json::object(), {{"type", "array"}, {"items", kUri}}), false);
  EXPECT_EQ(files_in(*fields, {"1", "2"}, true), (Strings{"1", "2"}));
  json item = "3";
  Strings seen;
  EXPECT_TRUE(fields
                  ->visit_output_item(item,
                                      [&](std::string& text, FileFields::Declared declared) {
                                        if (declared == FileFields::Declared::kYes) {
                                          seen.push_back(text);
                                        }
                                        return absl::OkStatus();
                                      })
                  .ok());
  EXPECT_EQ(seen, Strings{"3"});
}

TEST(FileFields, AValueThatIsNestedWithoutEndIsRefused) {
  json deep = "x";
  for (int i = 0; i < 100; ++i) deep = json::array({deep});
  const auto fields = FileFields::parse("{}", false);
  EXPECT_FALSE(
      fields
          ->visit_output(deep, [](std::string&, FileFields::Declared) { return absl::OkStatus(); })
          .ok());
}

}  // namespace
}  // namespace mimeo::worker
