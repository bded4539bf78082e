// The API's description of itself (OpenAPI 3.1): fragments, one file a resource beside this one,
// made into one document. Tests hold it against the routes and against every response
// (../api/testing/response_checker.h).
//
// A fragment is {"paths", "components"}. An operation lists what is particular to it; what every
// request may be answered with (see kEveryOperation) and the headers of every answer are added
// here. The verb QUERY, which OpenAPI 3.1 has no place for, is described under "x-query" in the
// same form.

#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::control {

struct OpenApiFragment {
  std::string_view name;  // Of its file, without ".json".
  std::string_view json;
};

// Those that were built in, by name.
[[nodiscard]] std::span<const OpenApiFragment> openapi_fragments();

// kInvalidArgument names the fragment that is not JSON, or that describes an operation or a
// component which another one has described.
[[nodiscard]] Result<nlohmann::ordered_json> merge_openapi(
    std::span<const OpenApiFragment> fragments, std::string_view external_url);

struct OpenApiDocument {
  std::string text;
  std::string etag;  // Without quotes.
};
// Of the fragments that were built in.
[[nodiscard]] Result<OpenApiDocument> openapi_document(std::string_view external_url);

}  // namespace mimeo::control
