// A named SQL statement. The name is what it is prepared under and its label in metrics.
//
// Statements are constants in the statements_*.h of this folder, grouped by table; values are
// always parameters. A statement that writes is one transaction in one round trip: what must happen
// together is one WITH. Inside of it all parts see the same snapshot and run in no promised order,
// so each part takes what it needs from RETURNING of the one before and never reads back a table.

#pragma once

namespace mimeo::store {

struct Statement {
  const char* name;
  const char* text;
};

}  // namespace mimeo::store
