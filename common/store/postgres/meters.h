// What housekeeping has to know of the metering in postgres_usage.cc.

#pragma once

#include "common/base/clock.h"

namespace mimeo::store {

class Connection;

// Drops meters of instances that ended before `ended_before`, in steps. What was counted of them
// stays. Throws what libpqxx throws.
void forget_meters(Connection& connection, WallTime ended_before);

}  // namespace mimeo::store
