// Reads GET /health-check of every generation of Cog server: how is it, and which one is it.
//
// Pure: text in, values out. Who asks, how often, and what follows is worker/shim/health_watch.h.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::worker::cog {

// Which server answers. Detected per container, never from the image's label: a label names the
// command line tool that built the image, not the server inside.
enum class Generation : std::uint8_t {
  kUnknown,  // Not asked yet.
  kLegacy,   // Python below 0.7: no health check, one synchronous POST at a time, no cancel.
  kPython,   // Python 0.7 to 0.16.
  kGo,       // The Go runtime of 2025 (0.14 to 0.16 with cog_runtime).
  kCoglet,   // Rust, from 0.17 on.
};

// The server's own word, in one spelling.
enum class ServerHealth : std::uint8_t {
  kStarting,     // setup() runs.
  kReady,        // Can accept.
  kBusy,         // Every slot in use.
  kSetupFailed,  // Final.
  kDefunct,      // Its worker process died. Final.
  kUnhealthy,    // The model's own healthcheck() failed, or (coglet) its worker process died.
  kNoPredictor,  // "UNKNOWN": started without a model. Final.
  kOther,        // A word that no known server says: alive, but do not send work.
};

struct HealthReport {
  ServerHealth health = ServerHealth::kOther;
  Generation generation = Generation::kUnknown;
  std::string version;                // Of coglet; empty for the others, which do not say.
  std::string setup_logs;             // Visible only once setup ended, in every generation.
  std::string problem;                // What coglet adds when unhealthy.
  bool is_setup_over = false;         // coglet says READY an instant before it loads the schema.
  std::uint32_t max_concurrency = 0;  // Only Go says; 0 = not said.
};

// `status` is the HTTP status; 200 and 503 are read alike, since the verdict is in the body. 404
// means a server below 0.7 (generation kLegacy, kReady). kInternal for anything else.
[[nodiscard]] Result<HealthReport> parse_health(int status, std::string_view body);

// "coglet 0.23.1", "python", "go", "legacy"; empty when unknown.
[[nodiscard]] std::string to_string(Generation generation, std::string_view version);

// At least `major.minor` of a version like "0.23.1"; false when it does not parse.
[[nodiscard]] bool is_at_least(std::string_view version, int major, int minor);

}  // namespace mimeo::worker::cog
