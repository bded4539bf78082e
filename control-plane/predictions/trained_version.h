// What a training leaves behind, between who makes it (registry/trained_version_maker.h) and who
// commits it (training_finisher.h).

#pragma once

#include <string>

#include "common/store/catalog.h"

namespace mimeo::control {

struct TrainedVersion {
  store::Version version;  // Its image is in the registry; the row is not in the store yet.
  std::string output;      // JSON: what the training shows.
};

}  // namespace mimeo::control
