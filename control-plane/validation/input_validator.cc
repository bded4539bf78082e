#include "control-plane/validation/input_validator.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "control-plane/validation/schema_node.h"

namespace mimeo::control {

using nlohmann::json;

struct VersionSchema::Compiled {
  explicit Compiled(const json& document) : graph(document) {}
  SchemaGraph graph;  // Owns the nodes below.
  const SchemaNode* input = nullptr;
  const SchemaNode* training_input = nullptr;
  StreamKind stream = StreamKind::kNone;

  [[nodiscard]] const SchemaNode* of(InputKind kind) const {
    return kind == InputKind::kTraining ? training_input : input;
  }
};

namespace {

const json& member(const json& value, const char* key) {
  static const json kNothing;
  if (!value.is_object()) return kNothing;
  const auto it = value.find(key);
  return it == value.end() ? kNothing : *it;
}

// Follows "#/components/schemas/X" and single-element allOf, as Cog writes them.
const json& resolved(const json& schemas, const json& schema) {
  constexpr std::string_view kPrefix = "#/components/schemas/";
  const json* at = &schema;
  for (int hops = 0; hops < 8; ++hops) {
    const json& all_of = member(*at, "allOf");
    if (all_of.is_array() && all_of.size() == 1) at = &all_of[0];
    const json& ref = member(*at, "$ref");
    if (!ref.is_string()) break;
    const auto& text = ref.get_ref<const std::string&>();
    if (!text.starts_with(kPrefix)) break;
    at = &member(schemas, text.substr(kPrefix.size()).c_str());
  }
  return *at;
}

bool is_file(const json& schema) { return member(schema, "format") == "uri"; }

// Iterators stream what they yield. Models whose output is a file or a list of files do as well:
// clients ask for a stream of them and get each file's URL when it is there.
StreamKind stream_of(const json& document) {
  const json& schemas = member(member(document, "components"), "schemas");
  const json& output = resolved(schemas, member(schemas, "Output"));
  const json& items = resolved(schemas, member(output, "items"));
  if (member(output, "type") == "array" && is_file(items)) return StreamKind::kFiles;
  if (is_file(output)) return StreamKind::kFiles;
  if (member(output, "x-cog-array-type") == "iterator") return StreamKind::kText;
  const json& create = member(member(member(document, "paths"), "/predictions"), "post");
  if (member(create, "x-cog-streaming") == true) return StreamKind::kText;
  return StreamKind::kNone;
}

}  // namespace

VersionSchema::VersionSchema(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
VersionSchema::~VersionSchema() = default;

Result<std::shared_ptr<const VersionSchema>> VersionSchema::compile(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) {
    return absl::InvalidArgumentError("the OpenAPI schema is not a JSON object");
  }
  auto compiled = std::make_unique<Compiled>(document);
  const json& schemas = member(member(document, "components"), "schemas");
  if (const json& input = member(schemas, "Input"); !input.is_null()) {
    MIMEO_ASSIGN_OR_RETURN(compiled->input, compiled->graph.compile(input));
  }
  if (const json& training = member(schemas, "TrainingInput"); !training.is_null()) {
    MIMEO_ASSIGN_OR_RETURN(compiled->training_input, compiled->graph.compile(training));
  }
  compiled->stream = stream_of(document);
  compiled->graph.release_document();
  return std::shared_ptr<const VersionSchema>(new VersionSchema(std::move(compiled)));
}

bool VersionSchema::accepts(InputKind kind) const {
  return kind == InputKind::kPrediction || compiled_->training_input != nullptr;
}

std::vector<InputProblem> VersionSchema::check(InputKind kind, const json& input) const {
  std::vector<InputProblem> problems;
  if (!input.is_object()) {
    problems.push_back({"invalid_type", "input",
                        std::string("Invalid type. Expected: object, given: ") +
                            (input.is_number_integer() ? "integer" : input.type_name())});
    return problems;
  }
  if (const SchemaNode* node = compiled_->of(kind)) check_value(*node, input, "input", problems);
  return problems;
}

std::string VersionSchema::redact(InputKind kind, const json& input) const {
  const SchemaNode* node = compiled_->of(kind);
  if (node == nullptr || !compiled_->graph.has_secrets()) return {};
  json copy = input;
  return redact_value(*node, copy) ? copy.dump() : std::string();
}

StreamKind VersionSchema::stream() const { return compiled_->stream; }

}  // namespace mimeo::control
