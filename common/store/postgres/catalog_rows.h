// Rows of the catalog as our values, in the order of the MIMEO_..._COLUMNS of the statements.

#pragma once

#include <vector>

#include "common/store/catalog.h"
#include "common/store/postgres/codec.h"

namespace mimeo::store {

[[nodiscard]] Account read_account(RowReader& reader);
[[nodiscard]] Token read_token(RowReader& reader);
[[nodiscard]] Model read_model(RowReader& reader);
[[nodiscard]] Version read_version(RowReader& reader);
[[nodiscard]] Target read_target(RowReader& reader);
// In the order of MIMEO_DEPLOYMENT_SELECT.
[[nodiscard]] Deployment read_deployment(RowReader& reader);

// The only row through `read`, or kNotFound.
template <class T>
Result<T> only(const pqxx::result& rows, T (*read)(RowReader&), const char* not_found) {
  if (rows.empty()) return absl::NotFoundError(not_found);
  const pqxx::row row = rows[0];
  RowReader reader(row);
  return read(reader);
}

template <class T>
std::vector<T> all(const pqxx::result& rows, T (*read)(RowReader&)) {
  std::vector<T> values;
  values.reserve(rows.size());
  for (const pqxx::row& row : rows) {
    RowReader reader(row);
    values.push_back(read(reader));
  }
  return values;
}

}  // namespace mimeo::store
