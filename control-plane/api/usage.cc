// GET /account/usage, GET /account/usage/predictions, GET /predictions/{id}/usage: what was used,
// as JSON or CSV. docs/usage.md defines the columns.
#include <algorithm>
#include <functional>
#include <utility>

#include "common/base/time_format.h"
#include "common/store/usage_text.h"
#include "common/telemetry/log.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

using std::chrono::days;
using store::PredictionUsage;
using store::UsageLine;
using store::UsageStep;

constexpr days kLongestRange{400};
constexpr days kLongestByHour{31};
constexpr days kLongestOfPredictions{31};
constexpr std::size_t kMaxLines = 10'000;  // Of one JSON answer, or one piece of CSV.
constexpr std::size_t kPageSize = 100;
constexpr std::size_t kCsvPageSize = 1000;

struct Range {
  WallTime from;
  WallTime to;
};

// The month so far, unless the request says otherwise.
Result<Range> range_of(const Call& call, WallTime now, days longest) {
  Range range{store::month_begin(now), now};
  const auto from = call.head->parameter("from");
  const auto to = call.head->parameter("to");
  if (to && !to->empty()) {
    MIMEO_ASSIGN_OR_RETURN(range.to, parse_iso8601(*to));
  }
  if (from && !from->empty()) {
    MIMEO_ASSIGN_OR_RETURN(range.from, parse_iso8601(*from));
  } else if (to && !to->empty()) {
    range.from = store::month_begin(range.to - std::chrono::microseconds(1));
  }
  if (range.from >= range.to) return absl::InvalidArgumentError("from must be before to");
  if (range.to - range.from > longest) {
    return absl::InvalidArgumentError(
        concat("from and to must not be more than ", longest.count(), " days apart here"));
  }
  return range;
}

enum class Format : std::uint8_t { kJson, kCsv };

Result<Format> format_of(const Call& call) {
  if (const auto format = call.head->parameter("format"); format && !format->empty()) {
    if (*format == "json") return Format::kJson;
    if (*format == "csv") return Format::kCsv;
    return absl::InvalidArgumentError("format must be \"json\" or \"csv\"");
  }
  const std::string_view accept = call.head->headers.get("Accept");
  return accept.find("text/csv") == std::string_view::npos ? Format::kJson : Format::kCsv;
}

http::Response csv_head(std::string_view filename) {
  http::Response response;
  response.headers.add("Content-Type", "text/csv; charset=utf-8; header=present");
  response.headers.add("Content-Disposition", concat("attachment; filename=\"", filename, "\""));
  return response;
}

// Reads one piece of CSV after the other, until none is left (nullopt).
using NextPiece = std::function<Result<std::optional<std::string>>()>;

// The first piece is read before anything is sent: until then an error can still be answered as
// one. After that it cuts the answer off, which a client of a chunked body notices.
ExchangeAnswer stream_csv(BlockingPool* pool, http::Exchange* exchange, std::string filename,
                          NextPiece next) {
  auto shared = std::make_shared<NextPiece>(std::move(next));
  auto read = [shared] { return (*shared)(); };
  Result<std::optional<std::string>> piece = co_await pool->run(read);
  if (!piece.ok()) co_return piece.status();
  http::Response head = csv_head(filename);
  Status sent = co_await exchange->start_stream(std::move(head));
  while (sent.ok() && piece.ok() && piece->has_value()) {
    std::string text = **std::move(piece);
    if (!text.empty()) sent = co_await exchange->write(std::move(text));
    if (sent.ok()) piece = co_await pool->run(read);
  }
  if (!piece.ok()) {
    log::error("reading usage: {}", piece.status().ToString());
  } else if (sent.ok()) {
    (void)co_await exchange->end_stream();
  }
  co_return std::nullopt;
}

// The parts of the range that are read one by one: days, when lines are of days or less.
std::vector<Range> slices_of(const Range& range, UsageStep step) {
  if (step != UsageStep::kHour && step != UsageStep::kDay) return {range};
  std::vector<Range> slices;
  for (WallTime from = range.from; from < range.to;) {
    const WallTime next = std::min<WallTime>(floor<days>(from) + days{1}, range.to);
    slices.push_back({from, next});
    from = next;
  }
  return slices;
}

void add_sums(JsonWriter& json, const store::UsageSums& line) {
  json.key("setup_ms").integer(line.time.setup.count());
  json.key("idle_ms").integer(line.time.idle.count());
  json.key("active_ms").integer(line.time.active.count());
  json.key("setup_nanos").integer(line.amount.setup);
  json.key("idle_nanos").integer(line.amount.idle);
  json.key("active_nanos").integer(line.amount.active);
  json.key("amount_nanos").integer(line.amount.total());
  json.key("predictions").integer(line.predictions);
  json.key("run_ms").integer(line.ran.count());
}

void add_line(JsonWriter& json, const UsageLine& line, const store::UsageGrouping& by) {
  json.begin_object();
  if (line.begin) json.key("begin").string(to_rfc3339(*line.begin));
  if (by.by_hardware) json.key("hardware").string(line.sku);
  if (by.by_model) json.key("model").string_or_null(line.model);
  if (by.by_deployment) json.key("deployment").string_or_null(line.deployment);
  if (line.kind) json.key("kind").string(store::to_string(*line.kind));
  add_sums(json, line);
  json.end_object();
}

std::string usage_json(const store::UsageQuery& query, const std::vector<UsageLine>& lines) {
  store::UsageSums total;
  for (const UsageLine& line : lines) total += line;
  JsonWriter json;
  json.begin_object().key("from").string(to_rfc3339(query.from));
  json.key("to").string(to_rfc3339(query.to)).key("total").begin_object();
  add_sums(json, total);
  json.end_object().key("results").begin_array();
  for (const UsageLine& line : lines) add_line(json, line, query.grouping);
  json.end_array().end_object();
  return json.take();
}

std::string prediction_usage_json(const PredictionUsage& usage) {
  JsonWriter json;
  json.begin_object().key("id").string(usage.id.str());
  json.key("created_at").string(to_rfc3339(usage.created_at)).key("started_at");
  usage.started_at ? json.string(to_rfc3339(*usage.started_at)) : json.null();
  json.key("completed_at").string(to_rfc3339(usage.completed_at));
  json.key("status").string(to_string(usage.status));
  json.key("is_training").boolean(usage.is_training);
  json.key("model").string_or_null(usage.model);
  json.key("deployment").string_or_null(usage.deployment);
  json.key("hardware").string(usage.sku);
  json.key("run_ms").integer(usage.ran.count());
  json.key("is_charged").boolean(usage.is_charged);
  json.key("amount_nanos").integer(usage.amount).end_object();
  return json.take();
}

ExchangeAnswer usage_csv(Api& api, http::Exchange& exchange, store::UsageQuery query) {
  auto slices = slices_of({query.from, query.to}, query.grouping.step);
  query.limit = kMaxLines;
  NextPiece next = [usage = &api.parts.usage, query, slices, i = std::size_t{0},
                    is_first = true]() mutable -> Result<std::optional<std::string>> {
    if (i == slices.size()) return std::nullopt;
    query.from = slices[i].from;
    query.to = slices[i].to;
    std::string text =
        std::exchange(is_first, false) ? store::usage_csv_header(query.grouping) : std::string();
    MIMEO_ASSIGN_OR_RETURN(const std::vector<UsageLine> lines, usage->list_usage(query));
    for (const UsageLine& line : lines) store::append_usage_csv(text, line, query.grouping);
    query.after.reset();
    if (lines.size() < query.limit) {
      ++i;
    } else {
      query.after = lines.back();
    }
    return text;
  };
  co_return co_await stream_csv(&api.parts.pool, &exchange, "usage.csv", std::move(next));
}

Result<store::UsageGrouping> grouping_of(const Call& call) {
  const auto given = call.head->parameter("group_by");
  MIMEO_ASSIGN_OR_RETURN(const store::UsageGrouping by,
                         store::parse_usage_grouping(given && !given->empty() ? *given : "day"));
  if (by.by_account) return absl::InvalidArgumentError("group_by: there is one account only");
  return by;
}

// The id after this one.
PredictionId successor(PredictionId id) {
  std::array<std::uint8_t, 16> bytes = id.bytes();
  for (std::size_t i = bytes.size(); i-- > 0 && ++bytes[i] == 0;) {
  }
  return Uuid(bytes);
}

Result<store::PredictionUsageQuery> prediction_query_of(const Api& api, const Call& call) {
  MIMEO_ASSIGN_OR_RETURN(const Range range,
                         range_of(call, api.parts.clock.now(), kLongestOfPredictions));
  store::PredictionUsageQuery query;
  query.account = call.viewer();
  query.from = range.from;
  query.to = range.to;
  MIMEO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  if (cursor) {
    const Result<PredictionId> id = PredictionId::parse(cursor->position);
    if (!id.ok() || cursor->direction != PageDirection::kForward) {
      return absl::InvalidArgumentError("Invalid cursor");
    }
    query.before = *id;
  }
  return query;
}

ExchangeAnswer predictions_csv(Api& api, http::Exchange& exchange,
                               store::PredictionUsageQuery query) {
  query.limit = kCsvPageSize;
  NextPiece next = [usage = &api.parts.usage, query, is_first = true,
                    is_last = false]() mutable -> Result<std::optional<std::string>> {
    if (is_last) return std::nullopt;
    std::string text =
        std::exchange(is_first, false) ? store::prediction_csv_header() : std::string();
    MIMEO_ASSIGN_OR_RETURN(const std::vector<PredictionUsage> page,
                           usage->list_prediction_usage(query));
    for (const PredictionUsage& line : page) store::append_prediction_csv(text, line);
    is_last = page.size() < query.limit;
    if (!page.empty()) query.before = page.back().id;
    return text;
  };
  co_return co_await stream_csv(&api.parts.pool, &exchange, "predictions.csv", std::move(next));
}

}  // namespace

ExchangeAnswer get_usage(Api& api, Call& call, http::Exchange& exchange) {
  store::UsageQuery query;
  query.account = call.viewer();
  query.limit = kMaxLines + 1;
  MIMEO_CO_ASSIGN_OR_RETURN(query.grouping, grouping_of(call));
  const bool is_by_hour = query.grouping.step == UsageStep::kHour;
  MIMEO_CO_ASSIGN_OR_RETURN(
      const Range range,
      range_of(call, api.parts.clock.now(), is_by_hour ? kLongestByHour : kLongestRange));
  query.from = range.from;
  query.to = range.to;
  MIMEO_CO_ASSIGN_OR_RETURN(const Format format, format_of(call));
  if (format == Format::kCsv) co_return co_await usage_csv(api, exchange, query);
  auto read = [usage = &api.parts.usage, query] { return usage->list_usage(query); };
  const Result<std::vector<UsageLine>> lines = co_await api.parts.pool.run(std::move(read));
  if (!lines.ok()) co_return lines.status();
  if (lines->size() > kMaxLines) {
    co_return problem::bad_request(concat("This usage has more than ", kMaxLines,
                                          " lines. Ask for a shorter range, fewer groups, or "
                                          "format=csv."));
  }
  co_return json_response(200, usage_json(query, *lines));
}

ExchangeAnswer list_prediction_usage(Api& api, Call& call, http::Exchange& exchange) {
  MIMEO_CO_ASSIGN_OR_RETURN(store::PredictionUsageQuery query, prediction_query_of(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(const Format format, format_of(call));
  if (format == Format::kCsv) co_return co_await predictions_csv(api, exchange, query);
  query.limit = kPageSize + 1;
  auto read = [usage = &api.parts.usage, query] { return usage->list_prediction_usage(query); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<PredictionUsage> page,
                            co_await api.parts.pool.run(std::move(read)));
  std::optional<std::string> next;
  if (page.size() > kPageSize) {
    page.resize(kPageSize);
    const PageLinks links(api.urls.api("/account/usage/predictions"), *call.head);
    next = links.to({PageDirection::kForward, page.back().id.str()});
  }
  std::vector<std::string> results;
  for (const PredictionUsage& usage : page) results.push_back(prediction_usage_json(usage));
  co_return json_response(200, page_json(next, std::nullopt, results));
}

Answer get_prediction_usage(Api& api, Call& call) {
  const Result<PredictionId> id = PredictionId::parse(call.param(0));
  if (!id.ok()) co_return problem::not_found();
  store::PredictionUsageQuery query;
  query.account = call.viewer();
  query.from = id->created_at();
  query.to = id->created_at() + std::chrono::milliseconds(1);
  query.before = successor(*id);
  query.limit = 1;
  auto read = [usage = &api.parts.usage, query] { return usage->list_prediction_usage(query); };
  MIMEO_CO_ASSIGN_OR_RETURN(const std::vector<PredictionUsage> found,
                            co_await api.parts.pool.run(std::move(read)));
  if (found.empty() || found.front().id != *id) co_return problem::not_found();
  co_return json_response(200, prediction_usage_json(found.front()));
}

}  // namespace mimeo::control
