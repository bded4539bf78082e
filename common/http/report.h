// Where the server reports what a handler threw: one line. report.cc sends it to our logs; a
// program that must stay free of our log library (model servers made with sdk/cpp) links
// mimeo_http_core and defines its own.

#pragma once

#include <string_view>

namespace mimeo::http {

void report_handler_error(std::string_view method, std::string_view path, std::string_view what);
void report_accept_error(std::string_view what);

}  // namespace mimeo::http
