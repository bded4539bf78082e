// Rows of the catalog as our values, in the order of the MIMEO_..._COLUMNS of the statements.

#pragma once

#include "common/store/catalog.h"
#include "common/store/postgres/codec.h"

namespace mimeo::store {

[[nodiscard]] Account read_account(RowReader& reader);
[[nodiscard]] Token read_token(RowReader& reader);
[[nodiscard]] Model read_model(RowReader& reader);
[[nodiscard]] Version read_version(RowReader& reader);
[[nodiscard]] Target read_target(RowReader& reader);
// In the order of MIMEO_DEPLOYMENT_SELECT.
[[nodiscard]] Deployment read_deployment(RowReader& reader);

}  // namespace mimeo::store
