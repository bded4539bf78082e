#include "control-plane/openapi/document.h"

#include <array>
#include <utility>

#include "common/base/ids.h"
#include "common/crypto/crypto.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kVersion = "0.1.0";
constexpr std::string_view kDescription =
    "Runs machine learning models. The API is Replicate's, so that its official clients work with "
    "it unmodified; "
    "where it says more or other things, this document does.\n\n"
    "- The same paths are served below `/v1`, below the root and below `/v1/v1`.\n"
    "- HEAD is answered wherever GET is. OPTIONS lists the methods of a path. Any other method: "
    "405, with `Allow`.\n"
    "- `Authorization: Token <token>` means the same as `Bearer`.\n"
    "- QUERY is a method of its own, described under `x-query`.";

// What any request may be answered with, whatever its handler does. 403 is for those that need a
// token.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kEveryOperation{{
    {"400", "BadRequest"},
    {"403", "Forbidden"},
    {"408", "RequestTimeout"},
    {"413", "TooLarge"},
    {"431", "HeaderTooLarge"},
    {"500", "InternalError"},
    {"503", "Unavailable"},
}};

constexpr std::array<std::string_view, 9> kMethods{"get",  "put",   "post",  "delete", "options",
                                                   "head", "patch", "trace", "x-query"};

bool is_method(std::string_view key) {
  return std::find(kMethods.begin(), kMethods.end(), key) != kMethods.end();
}

std::string text_of(std::string_view text) { return std::string(text); }

Json reference(std::string_view kind, std::string_view name) {
  return Json{{"$ref", concat("#/components/", kind, "/", name)}};
}

Status already(std::string_view fragment, std::string_view what) {
  return absl::InvalidArgumentError(
      concat(fragment, ".json describes ", what, ", which another fragment describes"));
}

Status add_paths(std::string_view fragment, const Json& from, Json& into) {
  for (const auto& [path, item] : from.items()) {
    Json& known = into[path];
    if (known.is_null()) known = Json::object();
    for (const auto& [key, value] : item.items()) {
      const bool is_same = known.contains(key) && !is_method(key) && known[key] == value;
      if (known.contains(key) && !is_same) return already(fragment, concat(key, " ", path));
      known[key] = value;
    }
  }
  return absl::OkStatus();
}

Status add_components(std::string_view fragment, const Json& from, Json& into) {
  for (const auto& [kind, named] : from.items()) {
    Json& known = into[kind];
    if (known.is_null()) known = Json::object();
    for (const auto& [name, value] : named.items()) {
      if (known.contains(name)) return already(fragment, concat(kind, "/", name));
      known[name] = value;
    }
  }
  return absl::OkStatus();
}

// The headers that the middleware adds. `response` is not a reference.
void add_headers(Json& response, bool is_rate_limited) {
  const bool is_json = response.contains("content") &&
                       response["content"].contains("application/json") &&
                       response["content"].size() == 1;
  const bool is_empty = !response.contains("content");
  if (!is_json && !is_empty) return;  // Bytes and events are sent by their handlers.
  Json headers = response.value("headers", Json::object());
  headers["X-Request-Id"] = reference("headers", "RequestId");
  if (is_rate_limited) {
    headers["ratelimit-remaining"] = reference("headers", "RateLimitRemaining");
    headers["ratelimit-reset"] = reference("headers", "RateLimitReset");
  }
  response["headers"] = std::move(headers);
}

void complete(Json& operation) {
  Json& responses = operation["responses"];
  const bool is_rate_limited = responses.contains("429") && responses["429"].contains("$ref") &&
                               responses["429"]["$ref"] == "#/components/responses/Throttled";
  const bool needs_token = !operation.contains("security");
  for (auto& [status, response] : responses.items()) {
    if (!response.contains("$ref") && status < "300") add_headers(response, is_rate_limited);
  }
  for (const auto& [status, name] : kEveryOperation) {
    if (status == "403" && !needs_token) continue;
    if (!responses.contains(text_of(status))) {
      responses[text_of(status)] = reference("responses", name);
    }
  }
}

// Every tag that is used, in the order of its first use.
Json tags_of(const Json& paths) {
  Json tags = Json::array();
  for (const auto& [path, item] : paths.items()) {
    for (const auto& [method, operation] : item.items()) {
      if (!is_method(method)) continue;
      for (const Json& name : operation.value("tags", Json::array())) {
        const Json tag{{"name", name}};
        if (std::find(tags.begin(), tags.end(), tag) == tags.end()) tags.push_back(tag);
      }
    }
  }
  return tags;
}

}  // namespace

Result<Json> merge_openapi(std::span<const OpenApiFragment> fragments,
                           std::string_view external_url) {
  while (external_url.ends_with('/')) external_url.remove_suffix(1);
  Json paths = Json::object();
  Json components = Json::object();
  for (const auto& [name, text] : fragments) {
    const Json fragment = Json::parse(text, nullptr, false);
    if (!fragment.is_object()) {
      return absl::InvalidArgumentError(concat(name, ".json is not a JSON object"));
    }
    for (const auto& [key, value] : fragment.items()) {
      if (key == "paths") {
        MIMEO_RETURN_IF_ERROR(add_paths(name, value, paths));
      } else if (key == "components") {
        MIMEO_RETURN_IF_ERROR(add_components(name, value, components));
      } else {
        return absl::InvalidArgumentError(concat(name, ".json has more than paths and components"));
      }
    }
  }
  for (auto& [path, item] : paths.items()) {
    for (auto& [method, operation] : item.items()) {
      if (is_method(method)) complete(operation);
    }
  }
  Json document;
  document["openapi"] = "3.1.0";
  document["info"] = {{"title", "Mimeo"}, {"version", kVersion}, {"description", kDescription}};
  document["servers"] = Json::array({Json{{"url", concat(external_url, "/v1")}}});
  document["security"] = Json::array({Json{{"bearer", Json::array()}}});
  document["tags"] = tags_of(paths);
  document["paths"] = std::move(paths);
  document["components"] = std::move(components);
  return document;
}

Result<OpenApiDocument> openapi_document(std::string_view external_url) {
  MIMEO_ASSIGN_OR_RETURN(const Json merged, merge_openapi(openapi_fragments(), external_url));
  OpenApiDocument document;
  document.text = merged.dump();
  document.etag = to_hex(crypto::md5(document.text));
  return document;
}

}  // namespace mimeo::control
