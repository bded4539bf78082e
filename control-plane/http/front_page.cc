#include "control-plane/http/front_page.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>

#include <algorithm>
#include <initializer_list>

#include "common/domain/names.h"

namespace mimeo::control {
namespace {

std::string escape(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

http::Response html(const std::string& title, std::initializer_list<absl::string_view> body) {
  http::Response response;
  response.headers.add("Content-Type", "text/html; charset=utf-8");
  response.headers.add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.body = absl::StrCat(
      "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>",
      title, "</title>\n", absl::StrJoin(body, ""), "</html>\n");
  return response;
}

http::Response prediction_page(const Urls& urls, PredictionId id) {
  const std::string name = escape(id.str());
  return html("A prediction",
              {"<h1>A prediction</h1>\n<p>This is the address of a prediction or training with the "
               "id <code>",
               name,
               "</code>, if there is one. Its account reads it by the API; nothing of it is shown "
               "here:</p>\n<pre>curl -H \"Authorization: Bearer $REPLICATE_API_TOKEN\" '",
               escape(urls.prediction(id)), "'</pre>\n"});
}

http::Response model_page(const Urls& urls, const std::string& owner, const std::string& name) {
  const std::string title = escape(absl::StrCat(owner, "/", name));
  const std::string address = escape(urls.api(
      absl::StrCat("/models/", http::percent_encode(owner), "/", http::percent_encode(name))));
  return html(
      title,
      {"<h1>", title,
       "</h1>\n<p>This is the address of a model of that name, if there is one. Whoever may see it "
       "reads it by the API:</p>\n<pre>curl -H \"Authorization: Bearer $REPLICATE_API_TOKEN\" '",
       address, "'</pre>\n<p>and runs it:</p>\n<pre>curl -X POST '", address,
       "/predictions' \\\n  -H \"Authorization: Bearer $REPLICATE_API_TOKEN\" \\\n"
       "  -H 'Content-Type: application/json' -H 'Prefer: wait' -d '{\"input\": {}}'</pre>\n"});
}

// First segments of paths that are no account's: the API's own, and what stands beside it.
bool is_taken(std::string_view first, const Router& router) {
  for (const std::string_view other :
       {"v1", "v2", "registry", "cog", "healthz", "readyz", "metrics"}) {
    if (first == other) return true;
  }
  const auto begins = [first](const Route& route) {
    const std::string_view rest = std::string_view(route.pattern).substr(1);
    return rest.substr(0, rest.find('/')) == first;
  };
  return std::any_of(router.routes().begin(), router.routes().end(), begins);
}

}  // namespace

bool is_front_page(const http::RequestHead& head) {
  return head.path == "/" && (head.method == "GET" || head.method == "HEAD");
}

http::Response front_page(const Urls& urls) {
  const std::string base = escape(urls.external());
  return html("Mimeo", {"<h1>Mimeo runs here</h1>\n"
                        "<p>Models behind Replicate's HTTP API, at <code>",
                        base,
                        "/v1</code>. The official Replicate clients work unmodified:</p>\n"
                        "<pre>export REPLICATE_BASE_URL='",
                        base,
                        "'\nexport REPLICATE_API_TOKEN='...'   # mimeo token create ACCOUNT</pre>\n"
                        "<p>The public models here:</p>\n<pre>curl -H \"Authorization: Bearer "
                        "$REPLICATE_API_TOKEN\" '",
                        base,
                        "/v1/models'</pre>\n"
                        "<p>For operators: <a href=\"/readyz\">ready?</a>, "
                        "<a href=\"/metrics\">metrics</a>.</p>\n"});
}

std::optional<http::Response> page_for(const http::RequestHead& head, const Urls& urls,
                                       const Router& router) {
  if ((head.method != "GET" && head.method != "HEAD") || head.segments.size() != 2 ||
      head.headers.find("Authorization")) {
    return std::nullopt;
  }
  const std::string& first = head.segments[0];
  const std::string& second = head.segments[1];
  if (first == "p") {
    if (const auto id = PredictionId::parse(second); id.ok()) return prediction_page(urls, *id);
  }
  if (!check_name(first).ok() || !check_name(second).ok() || is_taken(first, router)) {
    return std::nullopt;
  }
  return model_page(urls, first, second);
}

}  // namespace mimeo::control
