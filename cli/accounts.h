// What the commands about users, organizations and tokens share.

#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/command_line.h"
#include "common/store/accounts.h"

namespace mimeo::cli {

// kNotFound says how to make it, or where to look.
Result<store::Account> find_account(const Stores& stores, const std::string& username);
// The same for exactly one type.
Result<store::Account> find_user(const Stores& stores, const std::string& username);
Result<store::Account> find_organization(const Stores& stores, const std::string& username);

// The audit log's entry for what the operator does. `account` 0 = the installation's.
[[nodiscard]] store::AuditEntry operator_entry(CommandLine& line, std::string action,
                                               AccountId account, std::string target);
// Writes that entry behind what has been done. `details` is a JSON object.
Status log_change(CommandLine& line, const Stores& stores, std::string action, AccountId account,
                  std::string target, const nlohmann::ordered_json& details);

// Makes an account, whose first owner is `owner` (0 = nobody), and prints its name.
Status create_account(CommandLine& line, store::Account account, AccountId owner);
Result<nlohmann::ordered_json> list_accounts(CommandLine& line,
                                             std::optional<store::AccountType> type);

// RFC 3339 or null.
nlohmann::ordered_json time_or_null(const std::optional<WallTime>& at);

}  // namespace mimeo::cli
