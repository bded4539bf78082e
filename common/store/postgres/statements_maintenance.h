// Statements of housekeeping. Those that define tables cannot have parameters: their text is made
// in postgres_maintenance.cc from names and bounds that are ours.

#pragma once

#include "common/store/postgres/advisory_locks.h"
#include "common/store/postgres/statement.h"

namespace mimeo::store {

inline constexpr Statement kPing{"ping", "SELECT 1"};
inline constexpr Statement kNow{"now", "SELECT clock_timestamp()"};

// One at a time makes or drops partitions.
inline constexpr Statement kLockPartitions{
    "partitions_lock", "SELECT pg_advisory_xact_lock(" MIMEO_LOCK_PARTITIONS ")"};

inline constexpr Statement kListPartitions{"partitions_list", R"sql(
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass($1::text))sql"};

// Whether an active prediction has an id in [$1, $2).
inline constexpr Statement kHasActiveBetween{"active_between", R"sql(
SELECT EXISTS (SELECT FROM active WHERE id >= $1::uuid AND id < $2::uuid))sql"};

// Processes that have not been heard of for an hour.
inline constexpr Statement kForgetReplicas{"replicas_forget", R"sql(
DELETE FROM replicas WHERE lease_until < clock_timestamp() - interval '1 hour')sql"};

}  // namespace mimeo::store
