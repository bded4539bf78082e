// Holds what the API answers against what its description (../../openapi) says that it answers. For
// tests.

#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/http/message.h"

namespace mimeo::control {

class ResponseChecker {
 public:
  explicit ResponseChecker(nlohmann::json document);
  ~ResponseChecker();

  // What is wrong: an undocumented status or content type, a missing header, a header or a body
  // that its schema refuses. Each names method, target, status and the place in the document. Empty
  // when nothing is.
  //
  // A path or method that the document does not have must be refused with a problem.
  [[nodiscard]] std::vector<std::string> check(std::string_view method, std::string_view target,
                                               const http::Response& response);

 private:
  struct Schema;
  using Json = nlohmann::json;
  using Problems = std::vector<std::string>;

  [[nodiscard]] std::pair<const Json*, std::string> find_operation(std::string_view method,
                                                                   std::string_view target) const;
  // The object itself, or what it refers to; `place` follows.
  const Json& resolve(const Json& value, std::string& place) const;
  void check_headers(const Json& described, const std::string& place, const http::Headers& headers,
                     Problems& out);
  void check_body(const Json& described, const std::string& place, const http::Response& response,
                  Problems& out);
  void check_value(const std::string& place, const Json& schema, const Json& value, Problems& out);

  const Json document_;
  std::map<std::string, std::unique_ptr<Schema>> compiled_;  // By place.
};

}  // namespace mimeo::control
