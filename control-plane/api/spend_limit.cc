// GET and PUT /account/spend-limit: what the account may spend in a month, and has spent.
#include "common/base/time_format.h"
#include "control-plane/api/body_fields.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_writer.h"

namespace mimeo::control {
namespace {

void add_or_null(JsonWriter& json, std::string_view name, std::optional<std::int64_t> value) {
  json.key(name);
  value ? json.integer(*value) : json.null();
}

std::string spend_json(const store::Spend& spend, WallTime now) {
  JsonWriter json;
  json.begin_object();
  add_or_null(json, "limit_micros", spend.limits.effective());
  add_or_null(json, "account_limit_micros", spend.limits.by_account);
  add_or_null(json, "operator_limit_micros", spend.limits.by_operator);
  json.key("spent_nanos").integer(spend.spent);
  json.key("is_reached").boolean(spend.is_reached());
  json.key("month_begin").string(to_rfc3339(store::month_begin(now)));
  json.key("month_end").string(to_rfc3339(store::month_end(now)));
  json.end_object();
  return json.take();
}

}  // namespace

Answer get_spend_limit(Api& api, Call& call) {
  const WallTime now = api.parts.clock.now();
  auto read = [usage = &api.parts.usage, account = call.account().id, now] {
    return usage->get_spend(account, now);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Spend spend, co_await api.parts.pool.run(std::move(read)));
  co_return json_response(200, spend_json(spend, now));
}

Answer put_spend_limit(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  const auto limit = fields.big_integer("limit_micros", 0, store::kHighestSpendLimit);
  // Null takes the limit away; leaving it out would be a mistake.
  if (!fields.has("limit_micros")) fields.add_problem("limit_micros", "This field is required.");
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  auto write = [usage = &api.parts.usage, account = call.account().id, limit] {
    return usage->set_spend_limit(account, store::LimitSetter::kAccount, limit);
  };
  MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.pool.run(std::move(write)));
  api.spend.forget(call.account().id);
  co_return co_await get_spend_limit(api, call);
}

}  // namespace mimeo::control
