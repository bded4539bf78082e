// mimeo usage, mimeo spend-limit. docs/usage.md defines the columns.

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "cli/table.h"
#include "common/base/time_format.h"
#include "common/store/usage_text.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr std::size_t kMaxLines = 100'000;

struct UsageOptions {
  std::string account;
  bool is_unbilled = false;
  std::string from;
  std::string to;
  std::string group_by = "account,hardware,kind";
  bool as_json = false;
  bool as_csv = false;
};

Result<store::UsageQuery> query_of(CommandLine& line, const Stores& stores,
                                   const UsageOptions& options) {
  store::UsageQuery query;
  query.limit = kMaxLines + 1;
  query.to = line.surroundings().clock.now();
  if (!options.to.empty()) {
    MIMEO_ASSIGN_OR_RETURN(query.to, parse_rfc3339(options.to));
  }
  query.from = store::month_begin(query.to - std::chrono::microseconds(1));
  if (!options.from.empty()) {
    MIMEO_ASSIGN_OR_RETURN(query.from, parse_rfc3339(options.from));
  }
  if (query.from >= query.to) return absl::InvalidArgumentError("--from must be before --to");
  MIMEO_ASSIGN_OR_RETURN(query.grouping, store::parse_usage_grouping(options.group_by));
  if (options.is_unbilled) query.account = store::kUnbilled;
  if (options.account.empty()) return query;
  MIMEO_ASSIGN_OR_RETURN(const store::Account account, find_account(stores, options.account));
  query.account = account.id;
  return query;
}

void add_groups(Json& row, const store::UsageLine& line, const store::UsageGrouping& by) {
  if (line.begin) row["begin"] = to_rfc3339(*line.begin);
  if (by.by_account) row["account"] = line.account.empty() ? Json() : Json(line.account);
  if (by.by_hardware) row["hardware"] = line.sku;
  if (by.by_model) row["model"] = line.model.empty() ? Json() : Json(line.model);
  if (by.by_deployment)
    row["deployment"] = line.deployment.empty() ? Json() : Json(line.deployment);
  if (line.kind) row["kind"] = store::to_string(*line.kind);
}

// For people: seconds and units of the currency.
Json table_row(const store::UsageLine& line, const store::UsageGrouping& by) {
  const auto seconds = [](milliseconds time) {
    return absl::StrFormat("%d.%03d", time.count() / 1000, time.count() % 1000);
  };
  Json row = Json::object();
  add_groups(row, line, by);
  row["setup_s"] = seconds(line.time.setup);
  row["idle_s"] = seconds(line.time.idle);
  row["active_s"] = seconds(line.time.active);
  const std::int64_t amount = line.amount.total();
  row["amount"] = absl::StrFormat("%d.%09d", amount / 1'000'000'000, amount % 1'000'000'000);
  row["predictions"] = line.predictions;
  return row;
}

Json json_row(const store::UsageLine& line, const store::UsageGrouping& by) {
  Json row = Json::object();
  add_groups(row, line, by);
  row["setup_ms"] = line.time.setup.count();
  row["idle_ms"] = line.time.idle.count();
  row["active_ms"] = line.time.active.count();
  row["setup_nanos"] = line.amount.setup;
  row["idle_nanos"] = line.amount.idle;
  row["active_nanos"] = line.amount.active;
  row["amount_nanos"] = line.amount.total();
  row["predictions"] = line.predictions;
  row["run_ms"] = line.ran.count();
  return row;
}

Status show_usage(CommandLine& line, const UsageOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::UsageQuery query, query_of(line, stores, options));
  const auto lines = stores.usage.list_usage(query);
  MIMEO_RETURN_IF_ERROR(lines.status());
  if (lines->size() > kMaxLines) {
    return absl::OutOfRangeError(
        absl::StrCat("this usage has more than ", kMaxLines,
                     " lines: give a shorter time (--from, --to) or fewer groups (--group-by)"));
  }
  std::ostream& out = line.surroundings().out;
  if (options.as_csv) {
    std::string text = store::usage_csv_header(query.grouping);
    for (const store::UsageLine& one : *lines) store::append_usage_csv(text, one, query.grouping);
    out << text;
    return absl::OkStatus();
  }
  Json rows = Json::array();
  for (const store::UsageLine& one : *lines) {
    rows.push_back(options.as_json ? json_row(one, query.grouping)
                                   : table_row(one, query.grouping));
  }
  if (options.as_json) {
    out << rows.dump(2) << "\n";
  } else {
    out << table_of(rows);
  }
  return absl::OkStatus();
}

Json or_null(std::optional<std::int64_t> micros) { return micros ? Json(*micros) : Json(); }

Status set_limit(CommandLine& line, const std::string& username, const std::string& amount) {
  std::optional<std::int64_t> micros;
  if (amount != "none") {
    micros.emplace();
    if (!absl::SimpleAtoi(amount, &*micros) || *micros < 0 || *micros > store::kHighestSpendLimit) {
      return absl::InvalidArgumentError(
          absl::StrCat("`", amount, "` is no limit: write millionths of your currency, or none"));
    }
  }
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Account account, find_account(stores, username));
  MIMEO_RETURN_IF_ERROR(
      stores.usage.set_spend_limit(account.id, store::LimitSetter::kOperator, micros));
  return log_change(line, stores, "spend_limit.set", account.id, account.username,
                    {{"operator_limit_micros", or_null(micros)}});
}

Result<Json> show_limit(CommandLine& line, const std::string& username) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Account account, find_account(stores, username));
  MIMEO_ASSIGN_OR_RETURN(const store::Spend spend,
                         stores.usage.get_spend(account.id, line.surroundings().clock.now()));
  return Json::array({{{"account", account.username},
                       {"operator_limit_micros", or_null(spend.limits.by_operator)},
                       {"account_limit_micros", or_null(spend.limits.by_account)},
                       {"spent_nanos", spend.spent},
                       {"is_reached", spend.is_reached()}}});
}

}  // namespace

void add_usage_commands(CLI::App& app, CommandLine& line) {
  auto* usage =
      app.add_subcommand("usage", "What hardware was used for, by whom, and what it cost");
  const auto o = std::make_shared<UsageOptions>();
  auto* account = usage->add_option("--account", o->account, "Of one account; all by default");
  usage->add_flag("--unbilled", o->is_unbilled, "What nobody pays: public models' waiting")
      ->excludes(account);
  usage->add_option("--from", o->from, "RFC 3339 or a date; by default the month's first");
  usage->add_option("--to", o->to, "Exclusive; by default now");
  usage
      ->add_option("--group-by", o->group_by,
                   "Of hour, day, month, account, hardware, model, deployment, kind")
      ->capture_default_str();
  auto* json = usage->add_flag("--json", o->as_json, "Print JSON");
  usage->add_flag("--csv", o->as_csv, "Print CSV")->excludes(json);
  line.on(*usage, [&line, o] { return show_usage(line, *o); });

  auto* limits = app.add_subcommand("spend-limit", "Most that an account may spend in a month");
  limits->require_subcommand(1);
  auto* set =
      limits->add_subcommand("set", "The operator's limit; the account may set a lower one");
  const auto username = std::make_shared<std::string>();
  const auto amount = std::make_shared<std::string>();
  set->add_option("account", *username, "Its username")->required();
  set->add_option("micros", *amount, "Millionths of your currency, or none")->required();
  line.on(*set, [&line, username, amount] { return set_limit(line, *username, *amount); });
  auto* show = limits->add_subcommand("show", "The limits, and what was spent this month");
  show->add_option("account", *username, "Its username")->required();
  line.on_list(*show, [&line, username] { return show_limit(line, *username); });
}

}  // namespace mimeo::cli
