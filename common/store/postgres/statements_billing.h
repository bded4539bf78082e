// Who pays for hardware, in SQL: the rules of docs/usage.md, written once for the statements that
// order instances, meter them and list what predictions cost. memory/memory_fleet.cc has the same.

#pragma once

// UsageKind of what runs on target `t` (a row of targets, or NULLs) with a model `o` (of models).
#define MIMEO_USAGE_KIND(t, o)                                                            \
  "CASE WHEN " t ".kind = 2 THEN 3 WHEN " t ".kind = 0 THEN 0 WHEN " t ".kind = 1 AND " o \
  ".visibility = 1 THEN 1 ELSE 2 END"

// instance_meters.billing of a kind: 0 the payer for its whole life, 1 callers for what runs, 2 the
// payer for the setup and callers for what runs.
#define MIMEO_BILLING(kind) "CASE " kind " WHEN 2 THEN 1 WHEN 3 THEN 2 ELSE 0 END"

// Who pays for an instance that is no training's; NULL: nobody. `d`: a row of deployments.
#define MIMEO_OWNER_WHO_PAYS(kind, d, o) \
  "CASE " kind " WHEN 0 THEN " d ".owner_id WHEN 1 THEN " o ".owner_id END"
