#include "worker/cog/model_schema.h"

#include <nlohmann/json.hpp>

namespace mimeo::worker::cog {
namespace {

using nlohmann::json;

constexpr int kMaxReferences = 8;  // A document may refer to itself.

const json* member(const json* object, std::string_view key) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto found = object->find(key);
  return found == object->end() ? nullptr : &*found;
}

// Follows `$ref` and an `allOf` of one, as old dialects wrap components.
const json* resolve(const json* node, const json* components, int depth = 0) {
  if (node == nullptr || depth > kMaxReferences) return node;
  if (const json* ref = member(node, "$ref"); ref != nullptr && ref->is_string()) {
    const std::string& path = ref->get_ref<const std::string&>();
    return resolve(member(components, path.substr(path.rfind('/') + 1)), components, depth + 1);
  }
  const json* all = member(node, "allOf");
  if (all != nullptr && all->is_array() && all->size() == 1) {
    return resolve(&all->front(), components, depth + 1);
  }
  return node;
}

bool is_true(const json* value) { return value != nullptr && value->is_boolean() && *value; }

bool is_nullable(const json& property, const json* components) {
  if (is_true(member(&property, "nullable"))) return true;
  if (is_true(member(resolve(&property, components), "nullable"))) return true;
  const json* any = member(&property, "anyOf");
  if (any == nullptr || !any->is_array()) return false;
  for (const json& variant : *any) {
    const json* type = member(&variant, "type");
    if (is_true(member(&variant, "nullable"))) return true;
    if (type != nullptr && *type == "null") return true;
  }
  return false;
}

OutputShape shape_of(const json* output) {
  const json* type = member(output, "type");
  if (type == nullptr || *type != "array") return OutputShape::kValue;
  const json* array = member(output, "x-cog-array-type");
  return array != nullptr && *array == "iterator" ? OutputShape::kIterator : OutputShape::kList;
}

}  // namespace

ModelSchema ModelSchema::parse(std::string_view openapi, RunKind kind) {
  ModelSchema schema;
  const json document = json::parse(openapi, nullptr, /*allow_exceptions=*/false);
  const json* components = member(member(&document, "components"), "schemas");
  if (components == nullptr || !components->is_object()) return schema;
  schema.is_known = true;

  const bool is_training = kind == RunKind::kTraining;
  const json* post = member(member(member(&document, "paths"), "/predictions"), "post");
  schema.has_events = !is_training && is_true(member(post, "x-cog-streaming"));

  const json* output = is_training ? member(components, "TrainingOutput") : nullptr;
  if (output == nullptr) output = member(components, "Output");
  schema.output = shape_of(resolve(output, components));

  const json* input = is_training ? member(components, "TrainingInput") : nullptr;
  if (input == nullptr) input = member(components, "Input");
  const json* properties = member(input, "properties");
  if (properties == nullptr || !properties->is_object()) return schema;
  for (const auto& [name, property] : properties->items()) {
    if (is_nullable(property, components)) schema.nullable_inputs.insert(name);
  }
  return schema;
}

std::string without_nulls(std::string input, const ModelSchema& schema) {
  // The usual case costs one scan and no parsing.
  if (schema.nullable_inputs.empty() || input.find("null") == std::string::npos) return input;
  auto object = nlohmann::ordered_json::parse(input, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return input;
  bool has_changed = false;
  for (const std::string& name : schema.nullable_inputs) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_null()) continue;
    object.erase(name);
    has_changed = true;
  }
  return has_changed ? object.dump() : std::move(input);
}

}  // namespace mimeo::worker::cog
