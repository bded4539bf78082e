// One compiled JSON Schema node and the walk over a value: the inside of input_validator.h.

#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "control-plane/validation/input_validator.h"

namespace mimeo::control {

// JSON types as bits.
enum TypeBit : std::uint8_t {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kNumberType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
};

// A bound and how messages spell it.
struct Bound {
  long double value = 0;  // 64 bits of mantissa: every integer of JSON is exact.
  std::string text;
};

// Only pointers into the SchemaGraph that owns them all; schemas may refer to themselves.
struct SchemaNode {
  std::uint8_t types = 0;  // 0 = any.
  std::string type_names;  // As messages spell them: "integer", "[string,null]".
  bool is_nullable = false;
  bool is_secret = false;
  bool is_file = false;  // A string with format "uri".
  std::optional<nlohmann::json> constant;
  std::optional<nlohmann::json> options;  // enum
  std::optional<Bound> minimum, maximum, exclusive_minimum, exclusive_maximum, multiple_of;
  std::optional<std::size_t> min_length, max_length, min_items, max_items;
  std::optional<std::size_t> min_properties, max_properties;
  std::unique_ptr<re2::RE2> pattern;  // Null when there is none, or none that RE2 can do.
  std::string format;
  bool has_unique_items = false;
  bool is_closed = false;  // additionalProperties: false
  const SchemaNode* additional = nullptr;
  const SchemaNode* items = nullptr;
  std::vector<std::string> required;
  std::vector<std::pair<std::string, const SchemaNode*>> properties;  // Sorted by name.
  std::vector<const SchemaNode*> all_of, any_of, one_of;
  const SchemaNode* negated = nullptr;

  [[nodiscard]] const SchemaNode* property(std::string_view name) const;
};

// Owns the nodes of one document.
class SchemaGraph {
 public:
  // `document` is only used while compiling.
  explicit SchemaGraph(const nlohmann::json& document) : document_(&document) {}
  // The node of `schema`, compiled once per place. kInvalidArgument: a reference leads nowhere, or
  // a schema is no object.
  Result<const SchemaNode*> compile(const nlohmann::json& schema);
  // The document may go now.
  void release_document();
  [[nodiscard]] bool has_secrets() const { return has_secrets_; }

 private:
  void fill(SchemaNode& node, const nlohmann::json& schema);
  Status fill_children(SchemaNode& node, const nlohmann::json& schema);
  Status compile_list(const nlohmann::json& schema, const char* key,
                      std::vector<const SchemaNode*>& out);
  Result<const nlohmann::json*> resolve(std::string_view reference) const;

  const nlohmann::json* document_;
  int depth_ = 0;  // Of compile() within itself.
  bool has_secrets_ = false;
  std::vector<std::unique_ptr<SchemaNode>> nodes_;
  std::vector<std::pair<const nlohmann::json*, const SchemaNode*>> known_;
};

// Appends what is wrong with `value`, whose path is `field`. Keys of `value` itself that no schema
// knows are fine even where one forbids them: the API takes and ignores them. A schema that refers
// to itself without end costs a bounded number of steps and then counts as fulfilled: the container
// checks again.
void check_value(const SchemaNode& node, const nlohmann::json& value, const std::string& field,
                 std::vector<InputProblem>& problems);
// Replaces every secret in `value`; true when there was one.
bool redact_value(const SchemaNode& node, nlohmann::json& value);

}  // namespace mimeo::control
