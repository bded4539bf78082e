// Reads the fields of a small JSON body (models, deployments) and gathers what is wrong with them,
// for the 400 answer that names every field at once.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/domain/resources.h"
#include "control-plane/http/problem.h"

namespace mimeo::control {

class BodyFields {
 public:
  // kInvalidArgument or kOutOfRange when it is no JSON object.
  static Result<BodyFields> parse(std::string_view body);

  // The field; notes a problem when it is missing (required_*) or of another type. Null counts as
  // missing, as does a required text that is empty.
  std::string required_text(const char* name);
  std::optional<std::string> text(const char* name);
  // Within [low, high].
  std::int32_t required_integer(const char* name, std::int32_t low, std::int32_t high);
  std::optional<std::int32_t> integer(const char* name, std::int32_t low, std::int32_t high);
  // Any number of strings.
  std::optional<std::vector<std::string>> texts(const char* name);
  std::optional<bool> boolean(const char* name);
  // For bounds up to 2^53, where JSON's numbers stop being exact.
  std::optional<std::int64_t> big_integer(const char* name, std::int64_t low, std::int64_t high);
  // True when the body names it, even as null.
  [[nodiscard]] bool has(const char* name) const { return body_.contains(name); }

  // Notes a problem for each key of the body that is none of `known`.
  void close(std::initializer_list<std::string_view> known);

  void add_problem(std::string_view name, std::string_view detail);
  [[nodiscard]] const std::vector<FieldProblem>& problems() const { return problems_; }

 private:
  explicit BodyFields(nlohmann::json body) : body_(std::move(body)) {}
  // Null when missing.
  [[nodiscard]] const nlohmann::json* find(const char* name) const;

  nlohmann::json body_;
  std::vector<FieldProblem> problems_;
};

// Notes a problem unless `sku` is one of `known`; its text lists them.
void check_sku(BodyFields& fields, std::string_view sku, const std::vector<Hardware>& known);

}  // namespace mimeo::control
