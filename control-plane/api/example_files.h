// Copies of the files that an example shows. A prediction's own files go with its data; these stay
// until the example is removed.

#pragma once

#include <string>

#include "control-plane/api/api.h"

namespace mimeo::control {

inline constexpr std::size_t kMaxExampleFiles = 64;
inline constexpr std::uint64_t kMaxExampleBytes = 1'000'000'000;

// Copies every file of this service that the input and output of `view` name, and puts the copies'
// URLs in their place. The copies lie where a prediction of the id `files` would keep its output.
// Files of the input that are gone stay as they are; kFailedPrecondition when one of the output is,
// kResourceExhausted above the limits: nothing remains of it then. On a pool thread.
Status copy_example_files(const ApiParts& parts, const Urls& urls, Uuid files,
                          store::PredictionView& view);

// All copies of one example. OK when there are none. On a pool thread.
Status remove_example_files(const ApiParts& parts, Uuid files);

}  // namespace mimeo::control
