// The numbered SQL files of this folder, as part of the program. How they are applied is
// common/store/postgres/migrator.h's business.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace mimeo {

struct Migration {
  std::int32_t number = 0;  // From 1, without gaps.
  std::string_view name;    // "0001_accounts".
  std::string_view sql;
};

// In order.
[[nodiscard]] std::span<const Migration> migrations();

}  // namespace mimeo
