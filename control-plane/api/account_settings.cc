// GET and PATCH /account/settings: how long predictions keep their data, and the secret that signs
// links to uploaded files.
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "control-plane/api/resources.h"
#include "control-plane/http/json_text.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

// What a body asks for one kind of prediction.
struct Wish {
  PredictionSource source = PredictionSource::kApi;
  bool is_default = false;  // The operator's rule again.
  store::KeepFor keep;
};

struct Wishes {
  std::vector<Wish> all;
  std::vector<FieldProblem> problems;
};

void add_wish(Wishes& wishes, const std::string& name, const json& value) {
  const std::string pointer = "/retention_seconds/" + name;
  Wish wish;
  if (name == "web") {
    wish.source = PredictionSource::kWeb;
  } else if (name != "api") {
    wishes.problems.push_back({pointer, "Unknown field."});
    return;
  }
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= 10'000'000'000U) {
    wish.keep = std::chrono::seconds(value.get<std::int64_t>());
    if (*wish.keep < store::kShortestKeep) {
      wishes.problems.push_back({pointer, "Must be at least 300 seconds."});
    }
  } else if (value == "default") {
    wish.is_default = true;
  } else if (!value.is_null()) {
    wishes.problems.push_back(
        {pointer, "Must be a number of seconds, null (as long as possible) or \"default\"."});
  }
  wishes.all.push_back(wish);
}

Result<Wishes> read_wishes(std::string_view body) {
  MIMEO_ASSIGN_OR_RETURN(const json parsed, parse_json(body));
  if (!parsed.is_object()) return absl::InvalidArgumentError("the body must be a JSON object");
  Wishes wishes;
  for (const auto& [name, value] : parsed.items()) {
    if (name != "retention_seconds") {
      wishes.problems.push_back({"/" + name, "Unknown field."});
    } else if (!value.is_object()) {
      wishes.problems.push_back({"/retention_seconds", "Must be an object."});
    } else {
      for (const auto& [kind, wish] : value.items()) add_wish(wishes, kind, wish);
    }
  }
  return wishes;
}

void write_keep(JsonWriter& out, std::string_view name, const store::KeepFor& keep) {
  out.key(name);
  if (keep) {
    out.integer(keep->count());
  } else {
    out.null();
  }
}

Answer show(Api& api, Call& call) {
  auto read = [retention = &api.parts.retention, account = call.viewer()] {
    return retention->get_keep_rules(account);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const store::KeepRules rules,
                            co_await api.parts.pool.run(std::move(read)));
  JsonWriter out;
  out.begin_object().key("retention_seconds").begin_object();
  write_keep(out, "api", rules.api);
  write_keep(out, "web", rules.web);
  out.end_object().key("retention_is_default").begin_object();
  out.key("api").boolean(!rules.has_own_api).key("web").boolean(!rules.has_own_web).end_object();
  out.key("retention_maximum_seconds").integer(api.settings.longest_keep.count());
  out.key("file_signing_secret").string(call.account().file_secret).end_object();
  co_return json_response(200, out.take());
}

}  // namespace

Answer get_account_settings(Api& api, Call& call) { co_return co_await show(api, call); }

Answer update_account_settings(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const Wishes wishes, read_wishes(call.body));
  if (!wishes.problems.empty()) co_return problem::validation_failed(wishes.problems);
  auto write = [retention = &api.parts.retention, account = call.viewer(),
                all = wishes.all]() -> Status {
    for (const Wish& wish : all) {
      MIMEO_RETURN_IF_ERROR(wish.is_default
                                ? retention->reset_keep_rule(account, wish.source)
                                : retention->set_keep_rule(account, wish.source, wish.keep));
    }
    return absl::OkStatus();
  };
  MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.pool.run(std::move(write)));
  co_return co_await show(api, call);
}

}  // namespace mimeo::control
