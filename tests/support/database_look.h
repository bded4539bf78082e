// A look into a database past the stores, for tests of what is left there.

#pragma once

#include <string>
#include <vector>

namespace mimeo::testing_support {

// The first column of what the statement gives, as text. Throws what libpqxx throws.
[[nodiscard]] std::vector<std::string> look(const std::string& conninfo,
                                            const std::string& statement);

// Every row of every table that holds this text, as "table: row".
[[nodiscard]] std::vector<std::string> rows_with(const std::string& conninfo,
                                                 const std::string& text);

}  // namespace mimeo::testing_support
