#include "common/telemetry/log.h"

#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <string_view>
#include <utility>

#include "common/base/time_format.h"
#include "common/telemetry/log_format.h"

namespace mimeo::log {

namespace {

std::string_view level_name(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "info";
    case spdlog::level::warn:
      return "warning";
    default:
      return "error";
  }
}

class LineFormatter final : public spdlog::formatter {
 public:
  LineFormatter(Format format, std::string component)
      : format_(format), component_(std::move(component)) {}

  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& dest) override {
    LogLine line;
    line.time = to_rfc3339(std::chrono::time_point_cast<WallTime::duration>(msg.time));
    line.level = level_name(msg.level);
    line.component = component_;
    line.message = {msg.payload.data(), msg.payload.size()};
    const std::string text = format_ == Format::kJson ? format_json(line) : format_text(line);
    dest.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_, component_);
  }

 private:
  const Format format_;
  const std::string component_;
};

}  // namespace

Status init(const LogOptions& options) {
  spdlog::level::level_enum level = spdlog::level::info;
  if (options.level == "debug") {
    level = spdlog::level::debug;
  } else if (options.level == "warning") {
    level = spdlog::level::warn;
  } else if (options.level == "error") {
    level = spdlog::level::err;
  } else if (options.level != "info") {
    return absl::InvalidArgumentError("log level \"" + options.level +
                                      "\": use debug, info, warning or error");
  }
  Format format = Format::kText;
  if (options.format == "json") {
    format = Format::kJson;
  } else if (options.format != "text") {
    return absl::InvalidArgumentError("log format \"" + options.format + "\": use text or json");
  }
  auto logger = std::make_shared<spdlog::logger>(options.component,
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(std::make_unique<LineFormatter>(format, options.component));
  logger->set_level(level);
  logger->flush_on(spdlog::level::debug);  // stderr is a pipe under a supervisor: never late.
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

}  // namespace mimeo::log
