// Files into and out of a prediction: inputs by http URL or data URI become temporary files,
// outputs are uploaded by PUT (Cog's --upload-url contract) or inlined as data URIs. All blocking:
// called on the model's thread.
//
// Only plain http is spoken: in a container the files come from the platform's gateway on loopback.

#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "sdk/cpp/model.h"

namespace mimeo::sdk {

// "http://host:port/path?query" taken apart.
struct HttpUrl {
  std::string host;
  std::uint16_t port = 80;
  std::string target = "/";
};
[[nodiscard]] Result<HttpUrl> parse_http_url(std::string_view url);

// Brings the content of `url` into `folder` under the name that the URL has (data URIs: "file" with
// an extension by media type). The message of an error is for the prediction's owner.
[[nodiscard]] Result<std::filesystem::path> fetch_file(const std::string& url,
                                                       const std::filesystem::path& folder);

// PUTs the file to `upload_url` + its name and returns the Location (without query), or the URL
// used.
[[nodiscard]] Result<std::string> upload_file(const std::filesystem::path& path,
                                              const std::string& upload_url);

// "data:<media type by extension>;base64,...".
[[nodiscard]] Result<std::string> data_uri(const std::filesystem::path& path);

// One POST of JSON, for webhooks: the answer's status code.
[[nodiscard]] Result<int> post_json(const std::string& url, const std::string& body);

// By file extension; "application/octet-stream" when unknown.
[[nodiscard]] std::string_view media_type_of(const std::filesystem::path& path);

}  // namespace mimeo::sdk
