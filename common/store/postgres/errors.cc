#include "common/store/postgres/errors.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <pqxx/except>
#include <string>

namespace mimeo::store {
namespace {

// The first line, without "ERROR:  ".
std::string message_of(const std::exception& error) {
  const std::string whole = error.what();
  const std::string line = whole.substr(0, whole.find('\n'));
  return std::string(absl::StripLeadingAsciiWhitespace(absl::StripPrefix(line, "ERROR:")));
}

// Classes and codes of https://www.postgresql.org/docs/15/errcodes-appendix.html.
absl::StatusCode code_of(const std::string& state) {
  if (state == "40001" || state == "40P01") return absl::StatusCode::kAborted;
  if (state == "23505") return absl::StatusCode::kAlreadyExists;
  if (state == "23503") return absl::StatusCode::kFailedPrecondition;
  if (state == "42P01" || state == "42883") return absl::StatusCode::kFailedPrecondition;
  const std::string group = state.substr(0, 2);
  if (group == "22" || group == "23") return absl::StatusCode::kInvalidArgument;
  // Connection, resources, given up (lock and statement timeouts), operator, system.
  for (const char* transient : {"08", "53", "55", "57", "58"}) {
    if (group == transient) return absl::StatusCode::kUnavailable;
  }
  return absl::StatusCode::kInternal;
}

}  // namespace

Status status_of(const std::exception& error) {
  if (dynamic_cast<const pqxx::broken_connection*>(&error) != nullptr) {
    return absl::UnavailableError(absl::StrCat("database: ", message_of(error)));
  }
  if (dynamic_cast<const pqxx::in_doubt_error*>(&error) != nullptr) {
    return absl::UnavailableError(absl::StrCat("database: ", message_of(error)));
  }
  const auto* sql = dynamic_cast<const pqxx::sql_error*>(&error);
  if (sql == nullptr) return absl::InternalError(absl::StrCat("database: ", error.what()));
  std::string message = message_of(error);
  if (sql->sqlstate() == "42P01" || sql->sqlstate() == "42883") {
    absl::StrAppend(&message, " (is the schema up to date? run `mimeo migrate`)");
  }
  return {code_of(sql->sqlstate()), absl::StrCat("database: ", message)};
}

}  // namespace mimeo::store
