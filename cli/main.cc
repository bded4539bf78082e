// The `mimeo` program: command_line.h with the real surroundings.

#include <pwd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "cli/command_line.h"
#include "common/store/postgres/postgres_store.h"

namespace {

mimeo::cli::Stores open_stores(const std::string& database) {
  auto store = std::make_shared<mimeo::store::PostgresStore>(mimeo::store::PostgresOptions{
      .conninfo = database, .max_connections = 1, .application_name = "mimeo command"});
  auto& stores = *store;
  return {std::move(store), stores, stores, stores, stores, stores,
          stores,           stores, stores, stores, stores};
}

// The person, also behind sudo.
std::string operator_name() {
  if (const char* name = std::getenv("SUDO_USER"); name != nullptr && *name != '\0') return name;
  const passwd* entry = ::getpwuid(::geteuid());
  return entry != nullptr ? entry->pw_name : std::to_string(::geteuid());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    mimeo::SystemClock clock;
    mimeo::SystemRandom random;
    mimeo::cli::CommandLine line(
        {clock, random, std::cout, std::cerr, open_stores, operator_name()});
    return line.run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mimeo: %s\n", error.what());
    return 1;
  }
}
