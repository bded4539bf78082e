#include "control-plane/http/paging.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

TEST(Cursor, ComesBackAsItWas) {
  for (const PageDirection direction : {PageDirection::kForward, PageDirection::kBackward}) {
    const auto decoded = decode_cursor(encode_cursor({direction, "a b&c=ü"}));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->direction, direction);
    EXPECT_EQ(decoded->position, "a b&c=ü");
  }
}

TEST(Cursor, LooksAsClientsKnowIt) {
  EXPECT_EQ(encode_cursor({PageDirection::kForward, "x"}), "cD14");  // base64 of "p=x".
}

TEST(Cursor, GarbageIsRefused) {
  for (const char* text : {"!", "eA==", "cD0=", "cj0xJg==", "cD0lenA="}) {
    EXPECT_TRUE(absl::IsInvalidArgument(decode_cursor(text).status())) << text;
  }
  EXPECT_FALSE(parse_key_position("12x.a").ok());
  EXPECT_FALSE(parse_key_position("9223372036854775807.a").ok()) << "no store can hold that time";
  EXPECT_FALSE(parse_row_position("12").ok());
  EXPECT_FALSE(parse_row_position("12.x").ok());
}

TEST(Cursor, PositionsInTimeComeBackExactly) {
  const WallTime at{std::chrono::microseconds(1'700'000'000'123'456)};
  const auto key = *parse_key_position(key_position(at, "a.b"));
  EXPECT_EQ(key.first, at);
  EXPECT_EQ(key.second, "a.b");
  const auto row = *parse_row_position(row_position(at, 42));
  EXPECT_EQ(row.first, at);
  EXPECT_EQ(row.second, 42);
}

TEST(PageLinks, KeepTheFiltersAndReplaceTheCursor) {
  http::RequestHead head;
  head.query = {
      {"source", "web"}, {"cursor", "old"}, {"created_after", "2026-01-01T00:00:00+01:00"}};
  const PageLinks links("https://m.example/v1/predictions", head);
  EXPECT_EQ(links.to({PageDirection::kForward, "x"}),
            "https://m.example/v1/predictions?source=web&created_after="
            "2026-01-01T00%3A00%3A00%2B01%3A00&cursor=cD14");
}

TEST(PageLinks, HoldTheTextOfASearch) {
  http::RequestHead head;
  head.query = {{"query", "old"}, {"cursor", "old"}};
  const PageLinks links("https://m.example/v1/models", head, "a b");
  EXPECT_EQ(links.to({PageDirection::kForward, "x"}),
            "https://m.example/v1/models?query=a%20b&cursor=cD14");
}

TEST(Page, EndsWhereItsTextsAreTooLong) {
  const std::string large(kMaxPageBytes / 2, 'x');
  const std::optional<Cursor> forward = Cursor{PageDirection::kForward, "0"};
  const std::optional<Cursor> backward = Cursor{PageDirection::kBackward, "9"};
  EXPECT_EQ(texts_that_fit({}, 5, forward), 0U);
  EXPECT_EQ(texts_that_fit({"a", "b", "c"}, 2, forward), 2U);
  EXPECT_EQ(texts_that_fit({large, large, large}, 5, forward), 2U);
  EXPECT_EQ(texts_that_fit({large + large + large, "b"}, 5, forward), 1U) << "at least one";
  EXPECT_EQ(texts_that_fit({"a", "", "c"}, 5, forward), 1U) << "not read any more";
  EXPECT_EQ(texts_that_fit({"a", "", "c", "d"}, 5, backward), 2U);
  EXPECT_EQ(texts_that_fit({large, "b", large, large}, 5, backward), 2U);

  const PageLinks links("https://m.example/x", http::RequestHead{});
  const auto position = [](int row) { return std::to_string(row); };
  const std::vector<int> rows{1, 2, 3};
  const auto link = [&](PageDirection direction, const char* row) {
    return links.to({direction, row});
  };
  EXPECT_EQ(page_of(rows, {"1", "2", ""}, 5, forward, links, position),
            page_json(link(PageDirection::kForward, "2"), link(PageDirection::kBackward, "1"),
                      {"1", "2"}));
  EXPECT_EQ(page_of(rows, {"", "2", "3"}, 5, backward, links, position),
            page_json(link(PageDirection::kForward, "3"), link(PageDirection::kBackward, "2"),
                      {"2", "3"}));
}

TEST(Page, LinksToItsNeighboursOnly) {
  const PageLinks links("https://m.example/x", http::RequestHead{});
  const auto position = [](int row) { return std::to_string(row); };
  const std::optional<Cursor> none;
  const std::optional<Cursor> forward = Cursor{PageDirection::kForward, "0"};
  const std::optional<Cursor> backward = Cursor{PageDirection::kBackward, "9"};
  const auto link = [&](PageDirection direction, const char* row) {
    return links.to({direction, row});
  };
  struct Case {
    std::optional<Cursor> cursor;
    std::vector<int> read, shown;
    std::optional<std::string> next, previous;
  };
  for (const Case& c : std::vector<Case>{
           {none, {}, {}, {}, {}},
           {none, {1, 2}, {1, 2}, {}, {}},
           {none, {1, 2, 3}, {1, 2}, link(PageDirection::kForward, "2"), {}},
           {forward, {1, 2}, {1, 2}, {}, link(PageDirection::kBackward, "1")},
           {backward, {1, 2}, {1, 2}, link(PageDirection::kForward, "2"), {}},
           {backward,
            {1, 2, 3},
            {2, 3},
            link(PageDirection::kForward, "3"),
            link(PageDirection::kBackward, "2")},
       }) {
    std::vector<int> rows = c.read;
    const PageEnds ends = end_page(rows, 2, c.cursor, links, position);
    EXPECT_EQ(rows, c.shown);
    EXPECT_EQ(ends.next, c.next);
    EXPECT_EQ(ends.previous, c.previous);
  }
}

TEST(Page, AlwaysHasItsThreeKeys) {
  EXPECT_EQ(page_json(std::nullopt, std::nullopt, {}),
            R"({"next":null,"previous":null,"results":[]})");
  EXPECT_EQ(page_json("https://x/?a=1", std::nullopt, {"{}", "1"}),
            R"({"next":"https://x/?a=1","previous":null,"results":[{},1]})");
}

}  // namespace
}  // namespace mimeo::control
