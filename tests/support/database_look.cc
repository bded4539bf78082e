#include "tests/support/database_look.h"

#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

namespace mimeo::testing_support {

std::vector<std::string> look(const std::string& conninfo, const std::string& statement) {
  pqxx::connection connection(conninfo);
  pqxx::nontransaction transaction(connection);
  std::vector<std::string> values;
  for (const auto& row : transaction.exec(statement)) values.emplace_back(row[0].c_str());
  return values;
}

std::vector<std::string> rows_with(const std::string& conninfo, const std::string& text) {
  std::vector<std::string> found;
  for (const std::string& table :
       look(conninfo,
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
            "'public'::regnamespace ORDER BY 1")) {
    for (const std::string& row :
         look(conninfo,
              "SELECT t::text FROM " + table + " AS t WHERE strpos(t::text, '" + text + "') > 0")) {
      found.push_back(table + ": " + row);
    }
  }
  return found;
}

}  // namespace mimeo::testing_support
