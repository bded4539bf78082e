#include "common/blobs/s3_client.h"

#include <algorithm>
#include <thread>
#include <tuple>

#include "common/base/concat.h"
#include "common/base/ids.h"
#include "common/crypto/crypto.h"

namespace mimeo::blobs {
namespace {

using std::chrono::milliseconds;

bool is_transient(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// "503 SlowDown".
std::string spell(const http::Response& answer) {
  const auto codes = xml_texts(answer.body, "Code");
  return concat(answer.status, codes.empty() ? "" : " ", codes.empty() ? "" : codes.front());
}

Status error_of(const http::Response& answer) {
  const std::string text = "S3 answered " + spell(answer);
  if (answer.status >= 500 || answer.status == 429 || answer.status == 408) {
    return absl::UnavailableError(text);
  }
  switch (answer.status) {
    case 404:
      return absl::NotFoundError(text);
    case 403:
      return absl::PermissionDeniedError(text);
    case 412:
      return absl::AbortedError(text);
    default:
      return absl::InternalError(text);
  }
}

// "https" and "host:port", without a port that goes without saying.
std::pair<std::string, std::string> split_endpoint(const S3Options& options) {
  std::string endpoint = options.endpoint;
  if (endpoint.empty()) endpoint = concat("https://s3.", options.region, ".amazonaws.com");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const std::size_t at = endpoint.find("://");
  if (at == std::string::npos) return {"https", endpoint};
  std::string scheme = endpoint.substr(0, at);
  std::string host = endpoint.substr(at + 3);
  const std::string usual = scheme == "http" ? ":80" : ":443";
  if (host.ends_with(usual)) host.resize(host.size() - usual.size());
  return {std::move(scheme), std::move(host)};
}

std::string without_entities(std::string_view text) {
  static constexpr std::pair<std::string_view, char> kEntities[] = {
      {"&quot;", '"'}, {"&#34;", '"'}, {"&apos;", '\''},
      {"&lt;", '<'},   {"&gt;", '>'},  {"&amp;", '&'}};
  std::string out;
  while (!text.empty()) {
    const auto* const found =
        std::find_if(std::begin(kEntities), std::end(kEntities),
                     [&](const auto& entity) { return text.starts_with(entity.first); });
    const bool is_entity = found != std::end(kEntities);
    out += is_entity ? found->second : text.front();
    text.remove_prefix(is_entity ? found->first.size() : 1);
  }
  return out;
}

http::AddressRules anywhere() {
  http::AddressRules rules;
  rules.allow_private = true;  // The operator names the server, not a user.
  return rules;
}

}  // namespace

S3Client::S3Client(S3Options options, const Clock& clock, Random& random)
    : options_(std::move(options)), clock_(clock), random_(random), outbound_(anywhere()) {
  std::tie(scheme_, host_) = split_endpoint(options_);
  if (options_.addressing == S3Addressing::kPath) {
    path_prefix_ = "/" + options_.bucket;
  } else {
    host_ = options_.bucket + "." + host_;
  }
}

Result<http::Response> S3Client::try_once(const S3Request& request) const {
  S3Signable signable;
  signable.method = request.method;
  signable.path = path_prefix_ + "/" + request.key;
  signable.query = request.query;
  signable.payload_sha256_hex =
      request.source != nullptr ? request.payload_sha256_hex : to_hex(crypto::sha256(request.body));
  signable.headers = request.headers;
  const WallTime now = clock_.now();
  signable.headers.emplace_back("x-amz-content-sha256", signable.payload_sha256_hex);
  signable.headers.emplace_back("x-amz-date", s3_date(now));
  if (!options_.credentials.session_token.empty()) {
    signable.headers.emplace_back("x-amz-security-token", options_.credentials.session_token);
  }
  http::OutboundRequest out;
  for (const auto& [name, value] : signable.headers) out.headers.add(name, value);
  signable.headers.emplace_back("host", host_);
  out.headers.add("Authorization",
                  s3_authorization(options_.credentials, options_.region, now, signable));
  out.method = request.method;
  out.url = concat(scheme_, "://", host_, signable.path);
  if (!request.query.empty()) out.url += concat("?", s3_query(request.query));
  out.timeout = options_.request_limit;
  if (request.source != nullptr) return outbound_.upload(out, *request.source);
  out.body = request.body;
  return outbound_.perform(out);
}

Result<http::Response> S3Client::send(const S3Request& request, std::vector<int> also) const {
  const SteadyTime end = clock_.steady() + options_.retry.total;
  for (int attempt = 0;; ++attempt) {
    Result<http::Response> answer = try_once(request);
    Status status = answer.status();
    if (answer.ok()) {
      const bool is_wanted = std::find(also.begin(), also.end(), answer->status) != also.end();
      if (answer->status / 100 == 2 || is_wanted) return answer;
      status = error_of(*answer);
    }
    if (!is_transient(status)) return status;
    const milliseconds wait = backoff(options_.retry, attempt, random_);
    if (clock_.steady() + wait >= end) return absl::UnavailableError(status.message());
    if (options_.pause) {
      options_.pause(wait);
    } else {
      std::this_thread::sleep_for(wait);
    }
  }
}

std::vector<std::string> xml_texts(std::string_view xml, std::string_view tag) {
  const std::string open = concat("<", tag, ">");
  const std::string close = concat("</", tag, ">");
  std::vector<std::string> texts;
  for (std::size_t at = xml.find(open); at != std::string_view::npos; at = xml.find(open, at)) {
    at += open.size();
    const std::size_t end = xml.find(close, at);
    if (end == std::string_view::npos) break;
    texts.push_back(without_entities(xml.substr(at, end - at)));
    at = end;
  }
  return texts;
}

}  // namespace mimeo::blobs
