// Listings for people: aligned columns.

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace mimeo::cli {

// An array of flat objects with the same keys in the same order as a table: the keys as headings in
// capitals, null and empty as "-". "(none)" when there is no row.
[[nodiscard]] std::string table_of(const nlohmann::ordered_json& rows);

}  // namespace mimeo::cli
