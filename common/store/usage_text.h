// Usage in words: which columns somebody asks for, and lines as CSV (RFC 4180), for the API and
// for operators alike. docs/usage.md defines the columns.

#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/store/usage.h"

namespace mimeo::store {

// "day,model": words from hour, day, month, account, hardware, model, deployment, kind; at most one
// of the first three. kInvalidArgument names what is wrong.
[[nodiscard]] Result<UsageGrouping> parse_usage_grouping(std::string_view text);

// Header and lines end in CRLF. Only grouped columns are there, in the order above.
[[nodiscard]] std::string usage_csv_header(const UsageGrouping& by);
void append_usage_csv(std::string& text, const UsageLine& line, const UsageGrouping& by);

[[nodiscard]] std::string prediction_csv_header();
void append_prediction_csv(std::string& text, const PredictionUsage& usage);

}  // namespace mimeo::store
