// mimeo webhooks: what became of an account's or a prediction's webhooks.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "common/base/time_format.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;

struct WebhookOptions {
  std::string account;
  std::string prediction;
};

Result<store::WebhookFilter> filter_of(const Stores& stores, const WebhookOptions& options) {
  store::WebhookFilter filter;
  if (!options.prediction.empty()) {
    const auto id = PredictionId::parse(options.prediction);
    if (!id.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("`", options.prediction, "` is no prediction id: it has 26 characters"));
    }
    const auto view = stores.predictions.get(*id, 0);
    if (!view.ok()) return with_context(view.status(), "reading the prediction");
    filter.prediction = *id;
    filter.account = view->account;
    return filter;
  }
  if (options.account.empty()) {
    return absl::InvalidArgumentError("say --account or --prediction");
  }
  MIMEO_ASSIGN_OR_RETURN(const store::Account account, find_account(stores, options.account));
  filter.account = account.id;
  return filter;
}

Result<Json> list_webhooks(CommandLine& line, const WebhookOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::WebhookFilter filter, filter_of(stores, options));
  MIMEO_ASSIGN_OR_RETURN(const auto found, stores.webhooks.list_webhooks(filter));
  Json rows = Json::array();
  for (const store::LoggedWebhook& one : found) {
    rows.push_back({{"id", one.id},
                    {"prediction", one.prediction.str()},
                    {"event", store::name_of(one.event)},
                    {"status", store::name_of(one.state)},
                    {"attempts", one.attempts},
                    {"response", one.response_status},
                    {"last_attempt_at", to_rfc3339(one.changed_at)},
                    {"error", one.error},
                    {"url", one.url}});
  }
  return rows;
}

}  // namespace

void add_webhook_commands(CLI::App& app, CommandLine& line) {
  auto* group = app.add_subcommand("webhooks", "What became of webhooks");
  group->require_subcommand(1);
  auto* list = group->add_subcommand("list", "The newest hundred of an account or a prediction");
  const auto options = std::make_shared<WebhookOptions>();
  list->add_option("--account", options->account, "Of this account");
  list->add_option("--prediction", options->prediction, "Of this prediction");
  line.on_list(*list, [&line, options] { return list_webhooks(line, *options); });
}

}  // namespace mimeo::cli
