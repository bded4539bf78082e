// From schema text to SchemaNode.
#include <absl/strings/str_join.h>

#include <algorithm>
#include <cstdio>

#include "control-plane/strings.h"
#include "control-plane/validation/schema_node.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxNodes = 10'000;
constexpr int kMaxDepth = 100;

std::uint8_t type_bit(std::string_view name) {
  if (name == "null") return kNullType;
  if (name == "boolean") return kBooleanType;
  if (name == "integer") return kIntegerType;
  if (name == "number") return kNumberType;
  if (name == "string") return kStringType;
  if (name == "array") return kArrayType;
  if (name == "object") return kObjectType;
  return 0;
}

const json* find(const json& schema, const char* key) {
  const auto it = schema.find(key);
  return it == schema.end() ? nullptr : &*it;
}

bool is_true(const json& schema, const char* key) {
  const json* value = find(schema, key);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

long double exact(const json& number) {
  if (number.is_number_unsigned()) return static_cast<long double>(number.get<std::uint64_t>());
  if (number.is_number_integer()) return static_cast<long double>(number.get<std::int64_t>());
  return static_cast<long double>(number.get<double>());
}

std::optional<Bound> bound(const json& schema, const char* key) {
  const json* value = find(schema, key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  char text[64];
  (void)std::snprintf(text, sizeof text, "%.10Lg", exact(*value));
  return Bound{.value = exact(*value), .text = text};
}

std::optional<std::size_t> count(const json& schema, const char* key) {
  const json* value = find(schema, key);
  if (value == nullptr || !value->is_number() || exact(*value) < 0) return std::nullopt;
  return static_cast<std::size_t>(exact(*value));
}

void fill_types(SchemaNode& node, const json& schema) {
  const json* type = find(schema, "type");
  if (type == nullptr) return;
  std::vector<std::string> names;
  if (type->is_string()) names.push_back(type->get<std::string>());
  if (type->is_array()) {
    for (const json& name : *type) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
  }
  for (const std::string& name : names) node.types |= type_bit(name);
  node.type_names = names.size() == 1 ? names[0] : "[" + absl::StrJoin(names, ",") + "]";
}

void fill_bounds(SchemaNode& node, const json& schema) {
  node.minimum = bound(schema, "minimum");
  node.maximum = bound(schema, "maximum");
  node.exclusive_minimum = bound(schema, "exclusiveMinimum");
  node.exclusive_maximum = bound(schema, "exclusiveMaximum");
  if (is_true(schema, "exclusiveMinimum")) node.exclusive_minimum = std::exchange(node.minimum, {});
  if (is_true(schema, "exclusiveMaximum")) node.exclusive_maximum = std::exchange(node.maximum, {});
  node.multiple_of = bound(schema, "multipleOf");
  if (node.multiple_of && node.multiple_of->value <= 0) node.multiple_of.reset();
  node.min_length = count(schema, "minLength");
  node.max_length = count(schema, "maxLength");
  node.min_items = count(schema, "minItems");
  node.max_items = count(schema, "maxItems");
  node.min_properties = count(schema, "minProperties");
  node.max_properties = count(schema, "maxProperties");
  node.has_unique_items = is_true(schema, "uniqueItems");
}

// RFC 6901: "~1" is a slash, "~0" a tilde.
std::string unescaped(std::string_view piece) {
  std::string out;
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const bool is_escape = piece[i] == '~' && i + 1 < piece.size();
    out.push_back(!is_escape ? piece[i] : piece[++i] == '1' ? '/' : '~');
  }
  return out;
}

void fill_pattern(SchemaNode& node, const json& schema) {
  const json* pattern = find(schema, "pattern");
  if (pattern == nullptr || !pattern->is_string()) return;
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  auto compiled = std::make_unique<re2::RE2>(pattern->get_ref<const std::string&>(), options);
  // RE2 has neither look-around nor back-references; the container checks those by itself.
  if (compiled->ok()) node.pattern = std::move(compiled);
}

}  // namespace

const SchemaNode* SchemaNode::property(std::string_view name) const {
  const auto it = std::lower_bound(properties.begin(), properties.end(), name,
                                   [](const auto& p, std::string_view n) { return p.first < n; });
  return it != properties.end() && it->first == name ? it->second : nullptr;
}

Result<const json*> SchemaGraph::resolve(std::string_view reference) const {
  if (!consume_prefix(&reference, "#")) {
    return absl::InvalidArgumentError(concat("$ref to another document: ", reference));
  }
  const json* at = document_;
  for (const std::string_view piece : split(reference, "/")) {
    if (piece.empty()) continue;
    const std::string key = unescaped(piece);
    const auto it = at->is_object() ? at->find(key) : at->end();
    if (!at->is_object() || it == at->end()) {
      return absl::InvalidArgumentError(concat("$ref leads nowhere: #", reference));
    }
    at = &*it;
  }
  return at;
}

Result<const SchemaNode*> SchemaGraph::compile(const json& schema) {
  for (const auto& [place, node] : known_) {
    if (place == &schema) return node;
  }
  if (nodes_.size() > kMaxNodes) return absl::InvalidArgumentError("the schema has too many parts");
  if (depth_ > kMaxDepth) return absl::InvalidArgumentError("the schema is nested too deeply");
  nodes_.push_back(std::make_unique<SchemaNode>());
  SchemaNode& node = *nodes_.back();
  known_.emplace_back(&schema, &node);  // Before the children: a schema may contain itself.
  if (schema.is_boolean()) {
    if (!schema.get<bool>()) {
      nodes_.push_back(std::make_unique<SchemaNode>());
      node.negated = nodes_.back().get();
    }
    return &node;
  }
  if (!schema.is_object()) return absl::InvalidArgumentError("a schema is not an object");
  fill(node, schema);
  ++depth_;
  const Status children = fill_children(node, schema);
  --depth_;
  MIMEO_RETURN_IF_ERROR(children);
  return &node;
}

void SchemaGraph::release_document() {
  document_ = nullptr;
  known_.clear();
}

void SchemaGraph::fill(SchemaNode& node, const json& schema) {
  fill_types(node, schema);
  fill_bounds(node, schema);
  fill_pattern(node, schema);
  if (const json* format = find(schema, "format"); format != nullptr && format->is_string()) {
    node.format = format->get<std::string>();
  }
  if (const json* constant = find(schema, "const")) node.constant = *constant;
  if (const json* options = find(schema, "enum"); options != nullptr && options->is_array()) {
    node.options = *options;
  }
  node.is_nullable = is_true(schema, "nullable");
  node.is_secret = is_true(schema, "x-cog-secret") || node.format == "password";
  node.is_file = node.format == "uri" && (node.types & kStringType) != 0;
  if (const json* required = find(schema, "required");
      required != nullptr && required->is_array()) {
    for (const json& name : *required) {
      if (name.is_string()) node.required.push_back(name.get<std::string>());
    }
  }
  has_secrets_ |= node.is_secret;
}

Status SchemaGraph::fill_children(SchemaNode& node, const json& schema) {
  if (const json* ref = find(schema, "$ref"); ref != nullptr && ref->is_string()) {
    MIMEO_ASSIGN_OR_RETURN(const json* place, resolve(ref->get_ref<const std::string&>()));
    MIMEO_ASSIGN_OR_RETURN(const SchemaNode* target, compile(*place));
    node.all_of.push_back(target);
  }
  MIMEO_RETURN_IF_ERROR(compile_list(schema, "allOf", node.all_of));
  MIMEO_RETURN_IF_ERROR(compile_list(schema, "anyOf", node.any_of));
  MIMEO_RETURN_IF_ERROR(compile_list(schema, "oneOf", node.one_of));
  if (const json* negated = find(schema, "not")) {
    MIMEO_ASSIGN_OR_RETURN(node.negated, compile(*negated));
  }
  if (const json* items = find(schema, "items"); items != nullptr && !items->is_array()) {
    MIMEO_ASSIGN_OR_RETURN(node.items, compile(*items));
  }
  if (const json* additional = find(schema, "additionalProperties")) {
    if (additional->is_boolean()) {
      node.is_closed = !additional->get<bool>();
    } else {
      MIMEO_ASSIGN_OR_RETURN(node.additional, compile(*additional));
    }
  }
  if (const json* properties = find(schema, "properties");
      properties != nullptr && properties->is_object()) {
    for (const auto& [name, child] : properties->items()) {
      MIMEO_ASSIGN_OR_RETURN(const SchemaNode* compiled, compile(child));
      node.properties.emplace_back(name, compiled);
    }
    std::sort(node.properties.begin(), node.properties.end());
  }
  return absl::OkStatus();
}

Status SchemaGraph::compile_list(const json& schema, const char* key,
                                 std::vector<const SchemaNode*>& out) {
  const json* list = find(schema, key);
  if (list == nullptr || !list->is_array()) return absl::OkStatus();
  for (const json& child : *list) {
    MIMEO_ASSIGN_OR_RETURN(const SchemaNode* compiled, compile(child));
    out.push_back(compiled);
  }
  return absl::OkStatus();
}

}  // namespace mimeo::control
