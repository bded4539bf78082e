#include "control-plane/api/testing/response_checker.h"

#include <algorithm>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "common/base/status.h"
#include "control-plane/strings.h"

namespace mimeo::control {

using valijson::adapters::NlohmannJsonAdapter;

// The description uses the keywords that drafts 7 and 2020-12 of JSON Schema have in common.
struct ResponseChecker::Schema {
  Schema(const Json& text, const Json& components) : whole(Json{{"allOf", Json::array({text})}}) {
    whole["components"] = components;
    valijson::SchemaParser(valijson::SchemaParser::kDraft7)
        .populateSchema(NlohmannJsonAdapter(whole), compiled);
  }
  Json whole;
  valijson::Schema compiled;
};

namespace {

using Segments = std::vector<std::string>;

// As the router sees it: without what comes before the path proper, decoded.
Segments segments_of(std::string_view target) {
  Segments out;
  for (const std::string_view piece : split(target.substr(0, target.find('?')), "/")) {
    if (!piece.empty()) out.push_back(http::percent_decode(piece).value_or(std::string(piece)));
  }
  const auto skip_prefix = [&out] {
    for (int i = 0; i < 2 && !out.empty() && out.front() == "v1"; ++i) out.erase(out.begin());
  };
  skip_prefix();
  if (out.size() > 1 && (out.front() == "https:" || out.front() == "http:")) {
    out.erase(out.begin(), out.begin() + 2);
    skip_prefix();
  }
  return out;
}

bool matches(std::string_view pattern, const Segments& segments) {
  pattern.remove_prefix(1);
  const std::vector<std::string_view> pieces = split(pattern, "/");
  return std::equal(pieces.begin(), pieces.end(), segments.begin(), segments.end(),
                    [](std::string_view piece, const std::string& segment) {
                      return piece.starts_with('{') || piece == segment;
                    });
}

std::string key_of(std::string_view method) {
  if (method == "HEAD") return "get";
  return method == "QUERY" ? "x-query" : lowered(method);
}

std::string escape(std::string_view key) {
  std::string out;
  for (const char c : key) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

nlohmann::json header_value(const nlohmann::json& schema, std::string_view text) {
  const nlohmann::json number = nlohmann::json::parse(text, nullptr, false);
  const bool wants_number = schema.value("type", "") == "integer";
  if (wants_number && number.is_number()) return number;
  return std::string(text);
}

}  // namespace

ResponseChecker::ResponseChecker(nlohmann::json document) : document_(std::move(document)) {}
ResponseChecker::~ResponseChecker() = default;

std::pair<const nlohmann::json*, std::string> ResponseChecker::find_operation(
    std::string_view method, std::string_view target) const {
  const Segments segments = segments_of(target);
  const std::string key = key_of(method);
  std::pair<const Json*, std::string> found{nullptr, "#/paths"};
  for (const auto& [pattern, item] : document_.at("paths").items()) {
    if (!item.contains(key) || !matches(pattern, segments)) continue;
    const bool is_literal = pattern.find('{') == std::string::npos;
    if (found.first == nullptr || is_literal) {
      found = {&item.at(key), concat("#/paths/", escape(pattern), "/", key)};
    }
  }
  return found;
}

const nlohmann::json& ResponseChecker::resolve(const Json& value, std::string& place) const {
  if (!value.contains("$ref")) return value;
  place = value.at("$ref").get<std::string>();
  return document_.at(Json::json_pointer(place.substr(1)));
}

std::vector<std::string> ResponseChecker::check(std::string_view method, std::string_view target,
                                                const http::Response& response) {
  Problems found;
  auto [operation, place] = find_operation(method, target);
  const std::string status = std::to_string(response.status);
  if (operation == nullptr) {
    const bool is_preflight = method == "OPTIONS" && response.status == 204;
    const bool is_refusal =
        response.status == 400 || response.status == 404 || response.status == 405;
    if (!is_preflight && !is_refusal) {
      found.push_back("neither 400, 404 nor 405 for what is not described");
    }
    if (!is_preflight)
      check_body(Json{{"$ref", "#/components/responses/NotFound"}}, place, response, found);
  } else if (const Json& responses = operation->at("responses"); !responses.contains(status)) {
    found.push_back(concat(place, "/responses: this status is not described"));
  } else {
    place += "/responses/" + status;
    const Json& described = resolve(responses.at(status), place);
    check_headers(described, place, response.headers, found);
    if (method != "HEAD") check_body(described, place, response, found);
  }
  for (std::string& problem : found) {
    problem = concat(method, " ", target, " ", status, ": ", problem);
  }
  return found;
}

void ResponseChecker::check_headers(const Json& described, const std::string& place,
                                    const http::Headers& headers, Problems& out) {
  const Json expected = described.value("headers", Json::object());
  for (const auto& [name, value] : expected.items()) {
    const std::string where = place + "/headers/" + name;
    std::string component;
    const Json& header = resolve(value, component);
    const auto given = headers.find(name);
    if (!given && header.value("required", false)) out.push_back(where + ": it is missing");
    if (!given || !header.contains("schema")) continue;
    const Json& schema = header.at("schema");
    check_value(where + "/schema", schema, header_value(schema, *given), out);
  }
}

void ResponseChecker::check_body(const Json& given, const std::string& given_place,
                                 const http::Response& response, Problems& out) {
  std::string place = given_place;
  const Json& described = resolve(given, place);
  if (!described.contains("content")) {
    if (!response.body.empty()) out.push_back(place + ": a body, where none is described");
    return;
  }
  const Json& content = described.at("content");
  const std::string_view header = response.headers.get("Content-Type");
  std::string type(trimmed(header.substr(0, header.find(';'))));
  if (!content.contains(type) && content.contains("*/*")) type = "*/*";
  if (!content.contains(type)) {
    out.push_back(concat(place, "/content: ", header, " is not described"));
    return;
  }
  if (!type.ends_with("json")) return;
  const Json body = Json::parse(response.body, nullptr, false);
  if (body.is_discarded()) {
    out.push_back(place + ": the body is not JSON: " + response.body);
    return;
  }
  const std::string where = place + "/content/" + escape(type) + "/schema";
  check_value(where, content.at(type).at("schema"), body, out);
}

void ResponseChecker::check_value(const std::string& place, const Json& schema, const Json& value,
                                  Problems& out) {
  auto& compiled = compiled_[place];
  if (compiled == nullptr) compiled = std::make_unique<Schema>(schema, document_.at("components"));
  valijson::ValidationResults results;
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  if (validator.validate(compiled->compiled, NlohmannJsonAdapter(value), &results)) return;
  std::string text = place;
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    text.append("\n  ");
    for (const std::string& step : error.context) text.append(step);
    text.append(" ").append(error.description);
  }
  out.push_back(
      concat(text, "\n  in ", value.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

}  // namespace mimeo::control
