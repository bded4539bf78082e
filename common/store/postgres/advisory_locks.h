// Every advisory lock of ours, so that no two things share a key. As SQL: "class, object". A key
// stays what it is: two releases run side by side during an upgrade, and must wait for each other.
//
// Functions of the schema have keys of their own:
//   1835426156, cell   migrations/0003: who owns a cell (fence_holds, take_cell)
//   1835427687, 0      migrations/0002: the order of config_seq

#pragma once

// Whoever makes or drops partitions.
#define MIMEO_LOCK_PARTITIONS "1835430001, 0"
// Whoever meters usage.
#define MIMEO_LOCK_METERING "1835430002, 0"
// Whoever applies migrations.
#define MIMEO_LOCK_MIGRATIONS "1835430003, 0"
