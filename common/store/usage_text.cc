#include "common/store/usage_text.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "common/base/time_format.h"

namespace mimeo::store {
namespace {

constexpr std::string_view kSums =
    "setup_ms,idle_ms,active_ms,setup_nanos,idle_nanos,active_nanos,amount_nanos,predictions,"
    "run_ms\r\n";

// Quoted only where it must be.
void append_field(std::string& text, std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
    text.append(field);
  } else {
    text += '"';
    for (const char c : field) {
      if (c == '"') text += '"';
      text += c;
    }
    text += '"';
  }
  text += ',';
}

void append_number(std::string& text, std::int64_t number) {
  text.append(std::to_string(number)) += ',';
}

void end_line(std::string& text) {
  text.pop_back();  // The last comma.
  text.append("\r\n");
}

}  // namespace

Result<UsageGrouping> parse_usage_grouping(std::string_view text) {
  UsageGrouping by;
  const auto set_step = [&by](UsageStep step) {
    const bool is_first = by.step == UsageStep::kNone;
    by.step = step;
    return is_first;
  };
  const std::string words(text);  // absl's views do not convert from the standard ones.
  for (const absl::string_view word : absl::StrSplit(words, ',')) {
    bool is_alone = true;
    if (word == "hour") {
      is_alone = set_step(UsageStep::kHour);
    } else if (word == "day") {
      is_alone = set_step(UsageStep::kDay);
    } else if (word == "month") {
      is_alone = set_step(UsageStep::kMonth);
    } else if (word == "account") {
      by.by_account = true;
    } else if (word == "hardware") {
      by.by_hardware = true;
    } else if (word == "model") {
      by.by_model = true;
    } else if (word == "deployment") {
      by.by_deployment = true;
    } else if (word == "kind") {
      by.by_kind = true;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("group_by: `", word,
                       "` is none of hour, day, month, account, hardware, model, deployment, "
                       "kind"));
    }
    if (!is_alone) {
      return absl::InvalidArgumentError("group_by: only one of hour, day and month");
    }
  }
  return by;
}

std::string usage_csv_header(const UsageGrouping& by) {
  std::string text;
  if (by.step != UsageStep::kNone) text.append("begin,");
  if (by.by_account) text.append("account,");
  if (by.by_hardware) text.append("hardware,");
  if (by.by_model) text.append("model,");
  if (by.by_deployment) text.append("deployment,");
  if (by.by_kind) text.append("kind,");
  return text.append(kSums);
}

void append_usage_csv(std::string& text, const UsageLine& line, const UsageGrouping& by) {
  if (by.step != UsageStep::kNone) append_field(text, to_rfc3339(line.begin.value_or(WallTime{})));
  if (by.by_account) append_field(text, line.account);
  if (by.by_hardware) append_field(text, line.sku);
  if (by.by_model) append_field(text, line.model);
  if (by.by_deployment) append_field(text, line.deployment);
  if (by.by_kind) append_field(text, line.kind ? to_string(*line.kind) : "");
  for (const auto time : {line.time.setup, line.time.idle, line.time.active}) {
    append_number(text, time.count());
  }
  for (const auto amount :
       {line.amount.setup, line.amount.idle, line.amount.active, line.amount.total()}) {
    append_number(text, amount);
  }
  append_number(text, line.predictions);
  append_number(text, line.ran.count());
  end_line(text);
}

std::string prediction_csv_header() {
  return "id,created_at,started_at,completed_at,status,is_training,model,deployment,hardware,"
         "run_ms,is_charged,amount_nanos\r\n";
}

void append_prediction_csv(std::string& text, const PredictionUsage& usage) {
  append_field(text, usage.id.str());
  append_field(text, to_rfc3339(usage.created_at));
  append_field(text, usage.started_at ? to_rfc3339(*usage.started_at) : "");
  append_field(text, to_rfc3339(usage.completed_at));
  append_field(text, to_string(usage.status));
  append_field(text, usage.is_training ? "true" : "false");
  append_field(text, usage.model);
  append_field(text, usage.deployment);
  append_field(text, usage.sku);
  append_number(text, usage.ran.count());
  append_field(text, usage.is_charged ? "true" : "false");
  append_number(text, usage.amount);
  end_line(text);
}

}  // namespace mimeo::store
