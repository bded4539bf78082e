#include "worker/cog/model_schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

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

// True if `input` lists what it takes and says nowhere that it takes more.
bool lists_all(const json& input) {
  for (const char* key : {"allOf", "anyOf", "oneOf", "patternProperties"}) {
    if (input.contains(key)) return false;
  }
  const json* additional = member(&input, "additionalProperties");
  return additional == nullptr || *additional == false;
}

// Walks over the text of a JSON object without building it: an input may be megabytes of data
// URIs, and its numbers must stay as they are spelled. Takes the text for well-formed.
class MemberScan {
 public:
  struct Member {
    std::string name;
    std::string_view text;  // Name, colon and value.
  };

  explicit MemberScan(std::string_view text) : text_(text) {}

  // nullopt when the text is no object.
  std::optional<std::vector<Member>> members() {
    std::vector<Member> found;
    if (!take('{')) return std::nullopt;
    if (take('}')) return is_at_end() ? std::optional(std::move(found)) : std::nullopt;
    do {
      skip_space();
      const std::size_t begin = at_;
      if (!skip_string()) return std::nullopt;
      const json name = json::parse(text_.substr(begin, at_ - begin), nullptr, false);
      if (!name.is_string() || !take(':') || !skip_value()) return std::nullopt;
      found.push_back({name.get<std::string>(), text_.substr(begin, at_ - begin)});
    } while (take(','));
    return take('}') && is_at_end() ? std::optional(std::move(found)) : std::nullopt;
  }

 private:
  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool is_at_end() {
    skip_space();
    return at_ == text_.size();
  }

  // False when there is none, or it does not end.
  bool skip_string() {
    if (at_ == text_.size() || text_[at_] != '"') return false;
    for (;;) {
      at_ = text_.find('"', at_ + 1);
      if (at_ == std::string_view::npos) {
        at_ = text_.size();
        return false;
      }
      std::size_t first = at_;
      while (text_[first - 1] == '\\') --first;
      if ((at_ - first) % 2 != 0) continue;  // An escaped quote.
      ++at_;
      return true;
    }
  }

  // To the comma or brace behind it; false when the text ends before.
  bool skip_value() {
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!skip_string()) return false;
        continue;
      }
      if (depth == 0 && (c == ',' || c == '}' || c == ']')) return true;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

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

  const json* input = member(components, is_training ? "TrainingInput" : "Input");
  const bool is_own = input != nullptr;  // Images of old trainers have the other one only.
  if (input == nullptr) input = member(components, "Input");
  const json* properties = member(input, "properties");
  if (properties == nullptr || !properties->is_object()) return schema;
  std::set<std::string> names;
  for (const auto& [name, property] : properties->items()) {
    names.insert(name);
    if (is_nullable(property, components)) schema.nullable_inputs.insert(name);
  }
  if (is_own && lists_all(*input)) schema.inputs = std::move(names);
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

std::string without_unknown(std::string input, const ModelSchema& schema) {
  if (!schema.inputs) return input;
  auto members = MemberScan(input).members();
  if (!members) return input;
  const std::size_t all = members->size();
  std::erase_if(*members,
                [&](const auto& member) { return !schema.inputs->contains(member.name); });
  if (members->size() == all) return input;
  std::string kept = "{";
  for (const MemberScan::Member& member : *members) {
    if (kept.size() > 1) kept.push_back(',');
    kept.append(member.text);
  }
  kept.push_back('}');
  return kept;
}

}  // namespace mimeo::worker::cog
