#include "worker/files/file_fields.h"

#include <nlohmann/json.hpp>
#include <vector>

namespace mimeo::worker {
namespace {

using nlohmann::json;

// Schemas may refer to themselves; values may not be deeper than this.
constexpr int kMaxDepth = 64;

const json* member(const json* object, std::string_view key) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto it = object->find(key);
  return it == object->end() ? nullptr : &*it;
}

}  // namespace

struct FileFields::Document {
  json openapi;
  const json* input = nullptr;
  const json* output = nullptr;

  // Follows "$ref": "#/a/b"; nullptr when it leads nowhere.
  [[nodiscard]] const json* resolve(const json* schema) const {
    for (int hops = 0; schema != nullptr && hops < kMaxDepth; ++hops) {
      const json* reference = member(schema, "$ref");
      if (reference == nullptr || !reference->is_string()) return schema;
      const auto& text = reference->get_ref<const std::string&>();
      if (text.rfind("#/", 0) != 0) return nullptr;
      const json* target = &openapi;
      std::size_t begin = 2;
      while (target != nullptr && begin <= text.size()) {
        const std::size_t end = std::min(text.find('/', begin), text.size());
        target = member(target, text.substr(begin, end - begin));
        begin = end + 1;
      }
      schema = target;
    }
    return nullptr;
  }

  // All schemas that describe the same value: itself and its allOf, anyOf, oneOf, resolved.
  void alternatives(const json* schema, std::vector<const json*>& out, int depth) const {
    schema = resolve(schema);
    if (schema == nullptr || depth > kMaxDepth) return;
    out.push_back(schema);
    for (const char* key : {"allOf", "anyOf", "oneOf"}) {
      const json* list = member(schema, key);
      if (list == nullptr || !list->is_array()) continue;
      for (const auto& item : *list) alternatives(&item, out, depth + 1);
    }
  }

  using Schemas = std::vector<const json*>;

  [[nodiscard]] Schemas expand(const Schemas& from,
                               const std::function<const json*(const json*)>& child) const {
    Schemas out;
    for (const json* schema : from) {
      if (const json* next = child(schema)) alternatives(next, out, 0);
    }
    return out;
  }

  static bool declares_file(const Schemas& schemas) {
    for (const json* schema : schemas) {
      const json* format = member(schema, "format");
      if (format != nullptr && *format == "uri") return true;
    }
    return false;
  }

  Status visit(json& value, const Schemas& schemas, const Visitor& visitor, int depth) const {
    if (depth > kMaxDepth) return absl::InvalidArgumentError("the value is nested too deeply");
    if (value.is_string()) {
      const Declared declared = declares_file(schemas) ? Declared::kYes : Declared::kNo;
      return visitor(value.get_ref<std::string&>(), declared);
    }
    if (value.is_array()) {
      const Schemas items =
          expand(schemas, [](const json* schema) { return member(schema, "items"); });
      for (auto& item : value) MIMEO_RETURN_IF_ERROR(visit(item, items, visitor, depth + 1));
      return absl::OkStatus();
    }
    if (!value.is_object()) return absl::OkStatus();
    for (const auto& [key, item] : value.items()) {
      const Schemas fields = expand(schemas, [&name = key](const json* schema) {
        const json* property = member(member(schema, "properties"), name);
        return property != nullptr ? property : member(schema, "additionalProperties");
      });
      MIMEO_RETURN_IF_ERROR(visit(item, fields, visitor, depth + 1));
    }
    return absl::OkStatus();
  }

  // Does a "format": "uri" occur anywhere below? Each schema is looked at once.
  bool mentions_files(const json* schema, std::vector<const json*>& seen) const {
    schema = resolve(schema);
    if (schema == nullptr) return false;
    for (const json* before : seen) {
      if (before == schema) return false;
    }
    seen.push_back(schema);
    if (const json* format = member(schema, "format"); format != nullptr && *format == "uri") {
      return true;
    }
    for (const char* key : {"allOf", "anyOf", "oneOf"}) {
      const json* list = member(schema, key);
      if (list == nullptr || !list->is_array()) continue;
      for (const auto& item : *list) {
        if (mentions_files(&item, seen)) return true;
      }
    }
    for (const char* key : {"items", "additionalProperties"}) {
      const json* child = member(schema, key);
      if (child != nullptr && child->is_object() && mentions_files(child, seen)) return true;
    }
    const json* properties = member(schema, "properties");
    if (properties == nullptr || !properties->is_object()) return false;
    for (const auto& [name, property] : properties->items()) {
      if (mentions_files(&property, seen)) return true;
    }
    return false;
  }

  [[nodiscard]] Schemas root(const json* schema) const {
    Schemas out;
    alternatives(schema, out, 0);
    return out;
  }
};

FileFields::FileFields() : document_(std::make_unique<Document>()) {}

FileFields::~FileFields() = default;

std::shared_ptr<const FileFields> FileFields::parse(std::string_view openapi, bool is_training) {
  auto fields = std::shared_ptr<FileFields>(new FileFields());
  Document& document = *fields->document_;
  document.openapi = json::parse(openapi, nullptr, false);
  const json* schemas = member(member(&document.openapi, "components"), "schemas");
  if (is_training) {
    document.input = member(schemas, "TrainingInput");
    document.output = member(schemas, "TrainingOutput");
  }
  if (document.input == nullptr) document.input = member(schemas, "Input");
  if (document.output == nullptr) document.output = member(schemas, "Output");
  std::vector<const json*> seen;
  fields->has_input_files_ = document.mentions_files(document.input, seen);
  return fields;
}

Status FileFields::visit_input(json& input, const Visitor& visitor) const {
  return document_->visit(input, document_->root(document_->input), visitor, 0);
}

Status FileFields::visit_output(json& output, const Visitor& visitor) const {
  return document_->visit(output, document_->root(document_->output), visitor, 0);
}

Status FileFields::visit_output_item(json& item, const Visitor& visitor) const {
  const auto items = document_->expand(document_->root(document_->output),
                                       [](const json* schema) { return member(schema, "items"); });
  return document_->visit(item, items, visitor, 0);
}

}  // namespace mimeo::worker
