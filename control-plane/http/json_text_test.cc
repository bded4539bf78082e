#include "control-plane/http/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "control-plane/http/json_writer.h"

namespace mimeo::control {
namespace {

TEST(JsonText, ParsesWhatIsJson) {
  const auto value = parse_json(R"({"a":[1,"\u00e4","[[["]})");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ((*value)["a"][1], "ä");
}

TEST(JsonText, SaysWhatIsWrong) {
  for (const char* text : {"", "{", "{\"a\":}", "\xff\xfe", "nul", "{} x", "\"\\ud800\"", "'a'"}) {
    const auto value = parse_json(text);
    EXPECT_TRUE(absl::IsInvalidArgument(value.status())) << text;
    EXPECT_NE(std::string(value.status().message()), "") << text;
  }
}

TEST(JsonText, RefusesWhatIsNestedTooDeeply) {
  EXPECT_TRUE(parse_json(std::string(128, '[') + std::string(128, ']')).ok());
  EXPECT_TRUE(
      absl::IsInvalidArgument(parse_json(std::string(129, '[') + std::string(129, ']')).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(parse_json(std::string(1'000'000, '[')).status()));
}

TEST(JsonText, RefusesNulInStrings) {
  EXPECT_TRUE(absl::IsOutOfRange(parse_json(R"({"a":"x\u0000y"})").status()));
  EXPECT_TRUE(absl::IsOutOfRange(parse_json(R"({"\u0000":1})").status()));
  EXPECT_TRUE(parse_json(R"({"a":"\\u0000"})").ok());  // A backslash and text.
}

TEST(JsonWriter, QuotesWhatMustBeQuoted) {
  std::string out;
  append_json_string(out, "a\"b\\c\n\t\x01 ä€😀");
  EXPECT_EQ(nlohmann::json::parse(out).get<std::string>(), "a\"b\\c\n\t\x01 ä€😀");
}

TEST(JsonWriter, RepairsWhatIsNotUtf8) {
  std::string out;
  append_json_string(out, "a\xff\xc0\xaf\xed\xa0\x80z");
  EXPECT_FALSE(nlohmann::json::parse(out, nullptr, false).is_discarded()) << out;
}

TEST(JsonWriter, PutsCommasByItself) {
  JsonWriter json;
  json.begin_object().key("a").integer(-1).key("b").begin_array().boolean(true).null();
  json.begin_object().end_object().end_array().members_of(R"({"c":1})").members_of("{ }");
  json.key("d").string_or_null("").end_object();
  EXPECT_EQ(json.take(), R"({"a":-1,"b":[true,null,{}],"c":1,"d":null})");
}

TEST(JsonWriter, SecondsAreFloats) {
  const auto text = [](std::int64_t microseconds) {
    std::string out;
    append_json_seconds(out, microseconds);
    return out;
  };
  EXPECT_EQ(text(128'148), "0.128148");
  EXPECT_EQ(text(3), "0.000003");
  EXPECT_EQ(text(2'000'000), "2.0");
  EXPECT_EQ(text(1'500'000), "1.5");
  EXPECT_EQ(text(0), "0.0");
}

}  // namespace
}  // namespace mimeo::control
