#include "common/blobs/s3_signature.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "common/base/concat.h"
#include "common/base/ids.h"
#include "common/crypto/crypto.h"
#include "common/http/message.h"

namespace mimeo::blobs {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Result<S3Credentials> read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) return absl::FailedPreconditionError("cannot read " + path);
  S3Credentials credentials;
  bool is_ours = true;  // Before any section, or in [default].
  for (std::string text; std::getline(in, text);) {
    const std::string_view line = trimmed(text);
    if (line.starts_with('[')) is_ours = line == "[default]";
    const std::size_t equals = line.find('=');
    if (!is_ours || equals == std::string_view::npos || line.starts_with('#')) continue;
    const std::string_view name = trimmed(line.substr(0, equals));
    const std::string value(trimmed(line.substr(equals + 1)));
    if (name == "aws_access_key_id") credentials.access_key = value;
    if (name == "aws_secret_access_key") credentials.secret_key = value;
    if (name == "aws_session_token") credentials.session_token = value;
  }
  return credentials;
}

}  // namespace

Result<S3Credentials> load_s3_credentials(const std::string& file) {
  S3Credentials credentials;
  if (file.empty()) {
    credentials.access_key = variable("AWS_ACCESS_KEY_ID");
    credentials.secret_key = variable("AWS_SECRET_ACCESS_KEY");
    credentials.session_token = variable("AWS_SESSION_TOKEN");
  } else {
    MIMEO_ASSIGN_OR_RETURN(credentials, read_file(file));
  }
  if (credentials.access_key.empty() || credentials.secret_key.empty()) {
    return absl::FailedPreconditionError(
        file.empty() ? "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set"
                     : file + " lacks aws_access_key_id or aws_secret_access_key");
  }
  return credentials;
}

std::string s3_date(WallTime at) {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(at - day));
  char text[32];
  std::snprintf(text, sizeof(text), "%04d%02u%02uT%02d%02d%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text;
}

std::string s3_query(std::vector<std::pair<std::string, std::string>> query) {
  for (auto& [name, value] : query) {
    name = http::percent_encode(name);
    value = http::percent_encode(value);
  }
  std::sort(query.begin(), query.end());
  std::string text;
  for (const auto& [name, value] : query) {
    text += concat(text.empty() ? "" : "&", name, "=", value);
  }
  return text;
}

std::string s3_authorization(const S3Credentials& credentials, std::string_view region, WallTime at,
                             const S3Signable& request) {
  auto headers = request.headers;
  std::sort(headers.begin(), headers.end());
  std::string names;
  std::string fields;
  for (const auto& [name, value] : headers) {
    names += concat(names.empty() ? "" : ";", name);
    fields += concat(name, ":", trimmed(value), "\n");
  }
  const std::string canonical =
      concat(request.method, "\n", request.path, "\n", s3_query(request.query), "\n", fields, "\n",
             names, "\n", request.payload_sha256_hex);
  const std::string date = s3_date(at);
  const std::string day = date.substr(0, 8);
  const std::string scope = concat(day, "/", region, "/s3/aws4_request");
  const std::string to_sign =
      concat("AWS4-HMAC-SHA256\n", date, "\n", scope, "\n", to_hex(crypto::sha256(canonical)));
  std::string key = crypto::hmac_sha256("AWS4" + credentials.secret_key, day);
  for (const std::string_view part :
       {region, std::string_view("s3"), std::string_view("aws4_request")}) {
    key = crypto::hmac_sha256(key, part);
  }
  return concat("AWS4-HMAC-SHA256 Credential=", credentials.access_key, "/", scope,
                ",SignedHeaders=", names, ",Signature=", to_hex(crypto::hmac_sha256(key, to_sign)));
}

}  // namespace mimeo::blobs
