// GET /account/audit-log: who changed what, newest first; for owners and admins.

#include <utility>

#include "common/base/time_format.h"
#include "control-plane/api/acting.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 50;

std::string_view name_of(store::AuditOutcome outcome) {
  switch (outcome) {
    case store::AuditOutcome::kDone:
      return "done";
    case store::AuditOutcome::kRefused:
      return "refused";
    case store::AuditOutcome::kFailed:
      return "failed";
  }
  return "failed";
}

std::string entry_json(const store::AuditEntry& entry) {
  JsonWriter json;
  json.begin_object().key("id").integer(entry.id).key("created_at").string(to_rfc3339(entry.at));
  json.key("owner").string_or_null(entry.account_name).key("action").string(entry.action);
  json.key("target").string(entry.target).key("outcome").string(name_of(entry.outcome));
  json.key("actor").string(entry.actor).key("token_id");
  entry.token != 0 ? json.integer(entry.token) : json.null();
  json.key("address").string_or_null(entry.address);
  json.key("request_id").string_or_null(entry.request_id).key("details").raw(entry.details);
  return json.end_object().take();
}

// kInvalidArgument for times and cursors that are none.
Result<store::AuditFilter> filter_of(const http::RequestHead& head) {
  store::AuditFilter filter;
  filter.action = head.parameter("action").value_or("");
  filter.actor = head.parameter("actor").value_or("");
  filter.target = head.parameter("target").value_or("");
  filter.limit = kPageSize + 1;
  if (const auto after = head.parameter("created_after"); after && !after->empty()) {
    MIMEO_ASSIGN_OR_RETURN(filter.after, parse_iso8601(*after));
  }
  if (const auto before = head.parameter("created_before"); before && !before->empty()) {
    MIMEO_ASSIGN_OR_RETURN(filter.before, parse_iso8601(*before));
  }
  MIMEO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(head));
  if (cursor) {
    const auto id = parse_number<std::int64_t>(cursor->position);
    if (!id) return absl::InvalidArgumentError("Invalid cursor");
    filter.below_id = *id;
  }
  return filter;
}

}  // namespace

Answer list_audit_log(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const Acting acting,
                            co_await acting_for_owner(&api, &call, ActingNeeds::kScopesOfRoute));
  if (!is_administrator(acting.role)) {
    co_return problem::forbidden(
        concat("Only owners and admins of ", acting.account.username, " can read its audit log."));
  }
  MIMEO_CO_ASSIGN_OR_RETURN(store::AuditFilter filter, filter_of(*call.head));
  filter.account = acting.account.id;
  auto read = [accounts = &api.parts.accounts, filter] { return accounts->list_audit(filter); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::AuditEntry> entries,
                            co_await api.parts.pool.run(std::move(read)));
  std::optional<std::string> next;
  if (entries.size() > kPageSize) {
    entries.resize(kPageSize);
    const Cursor last{PageDirection::kForward, std::to_string(entries.back().id)};
    next = PageLinks(api.urls.api("/account/audit-log"), *call.head).to(last);
  }
  std::vector<std::string> results;
  for (const store::AuditEntry& entry : entries) results.push_back(entry_json(entry));
  co_return json_response(200, page_json(next, std::nullopt, results));
}

}  // namespace mimeo::control
