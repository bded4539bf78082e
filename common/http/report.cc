#include "common/http/report.h"

#include "common/telemetry/log.h"

namespace mimeo::http {

void report_handler_error(std::string_view method, std::string_view path, std::string_view what) {
  log::error("http handler failed method={} path={} error=\"{}\"", method, path, what);
}

void report_accept_error(std::string_view what) {
  log::warn("http listener cannot accept, trying again error=\"{}\"", what);
}

}  // namespace mimeo::http
