// What a version's `cog_version` is in the API.

#pragma once

#include <string>
#include <string_view>

namespace mimeo::control {

// Clients take it for a version number of Python (PEP 440): the official Python client 1.x fails
// when it is none, and takes a list that a model returns for an iterator when it is below this one,
// the first with typed outputs. So a label that is missing, is no such number, or is below, is
// shown as this.
inline constexpr const char* kOldestCog = "0.3.9";

// `label`: as in the image.
[[nodiscard]] std::string shown_cog_version(std::string_view label);

}  // namespace mimeo::control
