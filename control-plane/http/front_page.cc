#include "control-plane/http/front_page.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

namespace mimeo::control {
namespace {

std::string escape(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

}  // namespace

bool is_front_page(const http::RequestHead& head) {
  return head.path == "/" && (head.method == "GET" || head.method == "HEAD");
}

http::Response front_page(const Urls& urls) {
  const std::string base = escape(urls.external());
  http::Response response;
  response.headers.add("Content-Type", "text/html; charset=utf-8");
  response.headers.add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.body = absl::StrCat(
      "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>Mimeo</title>\n"
      "<h1>Mimeo runs here</h1>\n"
      "<p>Models behind Replicate's HTTP API, at <code>",
      base,
      "/v1</code>. The official Replicate clients work unmodified:</p>\n"
      "<pre>export REPLICATE_BASE_URL='",
      base,
      "'\nexport REPLICATE_API_TOKEN='...'   # mimeo token create ACCOUNT</pre>\n"
      "<p>The models that a token may see:</p>\n<pre>curl -H \"Authorization: Bearer "
      "$REPLICATE_API_TOKEN\" '",
      base,
      "/v1/models'</pre>\n"
      "<p>For operators: <a href=\"/readyz\">ready?</a>, <a href=\"/metrics\">metrics</a>.</p>\n"
      "</html>\n");
  return response;
}

}  // namespace mimeo::control
