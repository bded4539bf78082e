// What keeps the files that an example shows: the prediction keeps its data, and the uploads that
// its input names, which would expire, become files of the prediction.

#pragma once

#include "control-plane/api/api.h"

namespace mimeo::control {

inline constexpr std::size_t kMaxExampleFiles = 64;
inline constexpr std::uint64_t kMaxExampleBytes = 1'000'000'000;

// Keeps the data of the prediction `view`, makes every upload of its account that its input names a
// file of the prediction (without a copy), and puts these URLs in their place. Uploads that are
// gone stay as they are. kFailedPrecondition when the data of the prediction was removed,
// kResourceExhausted above the limits; after an error it is not kept. On a pool thread.
Status keep_example_files(Api& api, store::PredictionView& view);

}  // namespace mimeo::control
