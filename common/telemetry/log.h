// Structured logs by spdlog: one line per event, "time level component message key=value ...".
//
// Rules: log an error or return it, never both; ids go in as key=value ("prediction=0f3…"); inputs,
// outputs and secrets never. error = somebody must act; warning = degraded, heals by itself; info =
// changes of state an operator wants; debug = everything else.

#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "common/base/status.h"

namespace mimeo::log {

struct LogOptions {
  std::string level = "info";   // debug, info, warning, error.
  std::string format = "text";  // text or json.
  std::string component;        // "control-plane"
};

// Sets up the default logger (stderr). kInvalidArgument names the bad option. Once, in main.
Status init(const LogOptions& options);

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

}  // namespace mimeo::log
