#include "control-plane/http/json_codec.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "common/base/time_format.h"
#include "common/store/webhook_log.h"
#include "control-plane/http/cog_version.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr int kDeepestLink = 64;

std::string_view or_else(const std::string& json, std::string_view fallback) {
  return json.empty() ? fallback : std::string_view(json);
}

// The model's own metrics without the names that are the platform's. Most have none of those.
std::string own_metrics(const std::string& metrics) {
  if (!contains(metrics, "\"predict_time\"") && !contains(metrics, "\"total_time\"")) {
    return metrics;
  }
  nlohmann::json parsed = nlohmann::json::parse(metrics, nullptr, false);
  if (!parsed.is_object()) return {};
  parsed.erase("predict_time");
  parsed.erase("total_time");
  return parsed.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void write_metrics(JsonWriter& json, const store::PredictionView& view) {
  const bool has_ended = is_terminal(view.status) && view.completed_at;
  if (!has_ended && view.metrics.empty()) return;
  json.key("metrics").begin_object().members_of(own_metrics(view.metrics));
  if (has_ended) {
    const auto ran = view.started_at ? *view.completed_at - *view.started_at : WallTime::duration{};
    json.key("predict_time").seconds(ran.count());
    json.key("total_time").seconds((*view.completed_at - view.created_at).count());
  }
  json.end_object();
}

void write_urls(JsonWriter& json, const store::PredictionView& view, const Urls& urls) {
  const std::string get = view.is_training ? urls.training(view.id) : urls.prediction(view.id);
  json.key("urls").begin_object();
  json.key("cancel").string(get + "/cancel").key("get").string(get);
  if (const std::string stream = urls.stream(view.stream_token); !stream.empty()) {
    json.key("stream").string(stream);
  }
  json.key("web").string(urls.prediction_page(view.id)).end_object();
}

void write_webhook(JsonWriter& json, const store::PredictionView& view) {
  if (view.webhook.empty()) return;
  json.key("webhook").string(view.webhook);
  // The default is what callers get who did not say: not an echo.
  if (view.webhook_events == kWebhookDefault) return;
  json.key("webhook_events_filter").begin_array();
  for (const auto& [event, name] : store::kWebhookEventNames) {
    if ((view.webhook_events & static_cast<std::uint8_t>(event)) != 0) json.string(name);
  }
  json.end_array();
}

// The first text in `value` that begins with `beginning` and could be a URL.
// Looks at kDeepestLink levels: a model's output may be nested as it likes.
void find_link(const nlohmann::json& value, std::string_view beginning, int depth,
               std::string& found) {
  if (!found.empty() || depth > kDeepestLink) return;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.starts_with(beginning) && text.find_first_of(" \n\t\"<>") == std::string::npos) {
      found = text;
    }
  } else if (value.is_structured()) {
    for (const nlohmann::json& item : value) find_link(item, beginning, depth + 1, found);
  }
}

// The sooner a beginning, the better.
std::string first_link(const std::string& text, const std::vector<std::string>& beginnings) {
  std::string found;
  for (const std::string& beginning : beginnings) {
    if (!contains(text, beginning)) continue;  // Not worth parsing.
    find_link(nlohmann::json::parse(text, nullptr, false), beginning, 0, found);
    if (!found.empty()) break;
  }
  return found;
}

}  // namespace

std::string prediction_json(const store::PredictionView& view, const Urls& urls) {
  JsonWriter json;
  json.reserve(1024 + view.input.size() + view.output.size() + view.logs.size());
  json.begin_object();
  json.key("id").string(view.id.str());
  json.key("model").string(concat(view.model_owner, "/", view.model_name));
  // Which version of an official model ran is not shown.
  json.key("version").string(view.version.is_nil() ? "hidden" : view.version.hex());
  if (!view.deployment.empty()) json.key("deployment").string(view.deployment);
  if (!view.destination.empty()) json.key("destination").string(view.destination);
  json.key("input").raw(view.data_removed ? "{}" : or_else(view.input, "{}"));
  json.key("logs").string(view.data_removed ? std::string_view() : view.logs);
  json.key("output").raw(view.data_removed ? "null" : or_else(view.output, "null"));
  json.key("data_removed").boolean(view.data_removed);
  json.key("error");
  if (view.status == PredictionStatus::kFailed) {
    json.string(or_else(view.error, "Prediction failed for an unknown reason."));
  } else {
    json.null();
  }
  json.key("source").string(view.source == PredictionSource::kWeb ? "web" : "api");
  json.key("status").string(to_string(view.status));
  json.key("created_at").string(to_rfc3339(view.created_at));
  if (view.started_at) json.key("started_at").string(to_rfc3339(*view.started_at));
  if (view.completed_at) json.key("completed_at").string(to_rfc3339(*view.completed_at));
  if (view.deadline_at) json.key("deadline").string(to_rfc3339(*view.deadline_at));
  write_metrics(json, view);
  write_webhook(json, view);
  write_urls(json, view, urls);
  json.end_object();
  return json.take();
}

std::string version_json(const store::Version& version) {
  JsonWriter json;
  json.reserve(256 + version.openapi_schema.size());
  json.begin_object().key("id").string(version.id.hex());
  json.key("created_at").string(to_rfc3339(version.created_at));
  json.key("cog_version").string(shown_cog_version(version.cog_version));
  json.key("openapi_schema").raw(or_else(version.openapi_schema, "{}")).end_object();
  return json.take();
}

std::string cover_image_url(const store::Model& model, const store::ModelFacts& facts,
                            const Urls& urls) {
  if (!model.cover_image_url.empty() || !facts.default_example) return model.cover_image_url;
  const store::PredictionView& example = facts.default_example->prediction;
  const std::string ours = urls.external() + "/delivery/";
  std::string found = first_link(example.output, {ours});
  if (found.empty()) found = first_link(example.input, {ours, "https://", "http://"});
  return found;
}

std::string model_json(const store::Model& model, const store::ModelFacts& facts,
                       const Urls& urls) {
  JsonWriter json;
  json.begin_object().key("url").string(urls.model_page(model.owner, model.name));
  json.key("owner").string(model.owner).key("name").string(model.name);
  json.key("description").string_or_null(model.description);
  json.key("visibility")
      .string(model.visibility == store::Visibility::kPublic ? "public" : "private");
  json.key("is_official").boolean(facts.is_official);
  json.key("github_url").string_or_null(model.github_url);
  json.key("paper_url").string_or_null(model.paper_url);
  json.key("license_url").string_or_null(model.license_url);
  json.key("run_count").integer(model.run_count);
  json.key("cover_image_url").string_or_null(cover_image_url(model, facts, urls));
  json.key("default_example")
      .raw(facts.default_example ? prediction_json(facts.default_example->prediction, urls)
                                 : "null");
  json.key("latest_version").raw(facts.latest ? version_json(*facts.latest) : "null");
  json.key("created_at").string(to_rfc3339(model.created_at)).end_object();
  return json.take();
}

std::string account_json(const store::Account& account) {
  JsonWriter json;
  json.begin_object().key("type");
  json.string(account.type == store::AccountType::kOrganization ? "organization" : "user");
  json.key("username").string(account.username);
  json.key("name").string(account.name.empty() ? account.username : account.name);
  json.key("github_url").string_or_null(account.github_url);
  json.key("avatar_url").string_or_null(account.avatar_url).end_object();
  return json.take();
}

std::string deployment_json(const store::Deployment& deployment, const store::Account* created_by) {
  const store::Release& release = deployment.current;
  JsonWriter json;
  json.begin_object().key("owner").string(deployment.owner).key("name").string(deployment.name);
  json.key("current_release").begin_object().key("number").integer(release.number);
  json.key("model").string(concat(deployment.model_owner, "/", deployment.model_name));
  json.key("version").string(release.version.hex());
  json.key("created_at").string(to_rfc3339(release.created_at));
  json.key("created_by").raw(created_by == nullptr ? "null" : account_json(*created_by));
  json.key("configuration").begin_object().key("hardware").string(release.sku);
  json.key("min_instances").integer(release.min_instances);
  json.key("max_instances").integer(release.max_instances);
  json.end_object().end_object().end_object();
  return json.take();
}

std::string hardware_json(const Hardware& hardware) {
  JsonWriter json;
  json.begin_object().key("sku").string(hardware.sku);
  json.key("name").string(hardware.name).end_object();
  return json.take();
}

std::string file_json(const store::File& file, const Urls& urls) {
  JsonWriter json;
  json.begin_object().key("id").string(file.id.str()).key("name").string(file.name);
  json.key("content_type").string(file.content_type).key("size").integer(file.size_bytes);
  json.key("etag").string(file.md5_hex);
  json.key("checksums").begin_object().key("sha256").string(file.sha256_hex);
  json.key("md5").string(file.md5_hex).end_object();
  json.key("metadata").raw(or_else(file.metadata, "{}"));
  json.key("created_at").string(to_rfc3339(file.created_at));
  json.key("expires_at");
  if (file.expires_at) {
    json.string(to_rfc3339(*file.expires_at));
  } else {
    json.null();
  }
  json.key("urls").begin_object().key("get").string(urls.file(file.id)).end_object().end_object();
  return json.take();
}

}  // namespace mimeo::control
