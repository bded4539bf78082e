#include "common/store/postgres/codec.h"

#include <gtest/gtest.h>

#include "common/base/time_format.h"

namespace mimeo::store {
namespace {

TEST(SqlArray, QuotesWhatPostgresWouldTakeForSyntax) {
  SqlArray array;
  array.add_text("plain");
  array.add_text(R"(a "b" \c {d}, NULL)");
  array.add_text("");
  array.add_text_or_null("");
  EXPECT_EQ(array.take(), R"({"plain","a \"b\" \\c {d}, NULL","",NULL})");
}

TEST(SqlArray, HoldsEveryKindOfValue) {
  SqlArray array;
  array.add(std::int64_t{-7});
  array.add_bool(true);
  array.add(Uuid{});
  array.add(*Uuid::parse_hex("01234567-89ab-7def-8123-456789abcdef"));
  array.add(*VersionId::parse(std::string(64, 'a')));
  array.add(std::optional<WallTime>());
  EXPECT_EQ(array.take(), "{-7,t,NULL,01234567-89ab-7def-8123-456789abcdef,\"\\\\x" +
                              std::string(64, 'a') + "\",NULL}");
  EXPECT_EQ(SqlArray().take(), "{}");
}

TEST(SqlTime, KeepsMicroseconds) {
  EXPECT_EQ(sql_time(*parse_rfc3339("2026-03-01T02:03:04.000007Z")),
            "2026-03-01 02:03:04.000007+00");
  EXPECT_EQ(sql_time(*parse_rfc3339("1999-12-31T23:59:59.999999Z")),
            "1999-12-31 23:59:59.999999+00");
}

}  // namespace
}  // namespace mimeo::store
