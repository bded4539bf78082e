// Our values in the text forms of Postgres: parameters, array parameters, and the fields of a row.
//
// libpqxx 6 has no array parameters, so arrays are written as literals ({"a","b"}) and cast in SQL.

#pragma once

#include <chrono>
#include <optional>
#include <pqxx/result>
#include <pqxx/row>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace mimeo::store {

// A parameter that may be NULL.
using Param = std::optional<std::string>;

[[nodiscard]] std::string sql_time(WallTime at);
[[nodiscard]] Param sql_time(const std::optional<WallTime>& at);
// The nil id is NULL.
[[nodiscard]] Param sql_uuid(const Uuid& id);
[[nodiscard]] std::string sql_bytea(std::string_view raw);
[[nodiscard]] std::string sql_version(const VersionId& id);
[[nodiscard]] std::string sql_interval(std::chrono::milliseconds duration);
// Storable (text.h); empty is NULL.
[[nodiscard]] Param sql_text_or_null(std::string_view text);

// One array parameter, element by element.
class SqlArray {
 public:
  void add_null();
  void add(std::int64_t number);
  void add(bool value) = delete;  // A number or a boolean? Say which.
  void add_bool(bool value);
  void add(const Uuid& id);  // Nil is NULL.
  void add(const VersionId& id);
  void add(WallTime at);
  // Storable (text.h), quoted.
  void add_text(std::string_view text);
  void add_text_or_null(std::string_view text);
  template <class T>
  void add(const std::optional<T>& value) {
    value.has_value() ? add(*value) : add_null();
  }
  // The literal; once.
  [[nodiscard]] std::string take();

 private:
  void separate();
  std::string text_ = "{";
};

// Reads the fields of one row in the order of its SELECT list.
class RowReader {
 public:
  explicit RowReader(const pqxx::row& row) : row_(row) {}

  [[nodiscard]] bool next_is_null() const { return row_[next_].is_null(); }
  void skip() { ++next_; }

  std::string text();  // NULL is "".
  std::int64_t integer();
  template <class T>
  T integer_as() {
    return static_cast<T>(integer());
  }
  std::optional<std::int64_t> maybe_integer();
  double real();
  bool boolean();
  WallTime time();
  std::optional<WallTime> maybe_time();
  Uuid uuid();  // NULL is nil.
  VersionId version();
  std::optional<VersionId> maybe_version();
  std::string bytes();

 private:
  std::string_view view();
  const pqxx::row& row_;
  pqxx::row::size_type next_ = 0;
};

}  // namespace mimeo::store
