// All rows of a result through one reader.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/store/postgres/codec.h"

namespace mimeo::store {

template <class T>
[[nodiscard]] std::vector<T> read_all(const pqxx::result& rows, T (*read)(RowReader&)) {
  std::vector<T> values;
  values.reserve(rows.size());
  for (const pqxx::row& row : rows) {
    RowReader reader(row);
    values.push_back(read(reader));
  }
  return values;
}

// One array parameter.
[[nodiscard]] inline std::string sql_numbers(std::span<const std::int64_t> numbers) {
  SqlArray array;
  for (const std::int64_t number : numbers) array.add(number);
  return array.take();
}

}  // namespace mimeo::store
