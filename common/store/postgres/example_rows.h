// Rows of examples as our values, in the order of MIMEO_EXAMPLE_SELECT.

#pragma once

#include "common/store/discovery.h"
#include "common/store/postgres/codec.h"

namespace mimeo::store {

[[nodiscard]] Example read_example(RowReader& reader);

}  // namespace mimeo::store
