// Files into and out of a prediction: inputs by http URL or data URI become temporary files,
// outputs are uploaded by PUT (Cog's --upload-url contract) or inlined as data URIs. All blocking:
// called on the model's thread.

#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "sdk/cpp/model.h"

namespace mimeo::sdk {

// Brings the content of `url` into `folder` under the name that the URL has (data URIs: "file" with
// an extension by media type). The message of an error is for the prediction's owner.
[[nodiscard]] Result<std::filesystem::path> fetch_file(const std::string& url,
                                                       const std::filesystem::path& folder);

// PUTs the file to `upload_url` + its name and returns the Location (without query), or the URL
// used. The prediction's id goes along in X-Prediction-ID.
[[nodiscard]] Result<std::string> upload_file(const std::filesystem::path& path,
                                              const std::string& upload_url,
                                              const std::string& prediction_id);

// "data:<media type by extension>;base64,...".
[[nodiscard]] Result<std::string> data_uri(const std::filesystem::path& path);

// By file extension; "application/octet-stream" when unknown.
[[nodiscard]] std::string_view media_type_of(const std::filesystem::path& path);

}  // namespace mimeo::sdk
