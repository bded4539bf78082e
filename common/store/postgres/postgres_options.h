// How to reach the database.

#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace mimeo::store {

struct PostgresOptions {
  std::string conninfo;             // libpq URL or key=value pairs.
  std::size_t max_connections = 8;  // Opened when needed, kept.
  std::chrono::milliseconds statement_timeout{5000};
  std::string application_name = "mimeo";  // As pg_stat_activity shows it.
};

}  // namespace mimeo::store
