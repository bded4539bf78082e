// Bodies of creates against a schema that is itself from outside: "schema NUL body", or a body
// alone, which meets a schema with one of everything.

#include <nlohmann/json.hpp>

#include "control-plane/api/body_fields.h"
#include "control-plane/api/prediction_request.h"
#include "control-plane/http/problem.h"
#include "fuzz/fuzz.h"

namespace {

using namespace mimeo::control;

constexpr std::string_view kSchema = R"({"components":{"schemas":{
  "Input":{"type":"object","required":["text"],"properties":{
    "text":{"type":"string","minLength":1,"maxLength":20,"pattern":"^[a-z ]+$"},
    "steps":{"type":"integer","minimum":1,"maximum":4},
    "scale":{"type":"number","exclusiveMinimum":true,"minimum":0,"nullable":true},
    "size":{"allOf":[{"$ref":"#/components/schemas/size"}]},
    "image":{"type":"string","format":"uri"},
    "tags":{"type":"array","minItems":1,"maxItems":3,"uniqueItems":true,"items":{"type":"string"}},
    "either":{"anyOf":[{"type":"string"},{"type":"integer"}]},
    "key":{"type":"string","format":"password","x-cog-secret":true}}},
  "size":{"enum":["small","large"],"type":"string"},
  "Output":{"type":"array","items":{"type":"string"},"x-cog-array-type":"iterator"},
  "TrainingInput":{"type":"object","required":["data"],"properties":{"data":{"type":"string"}}}}}})";

void check_body(const VersionSchema& schema, std::string_view body, RequestShape shape,
                InputKind kind) {
  const auto request = parse_prediction_request(body, shape, WebhookSchemes::kHttpsOnly);
  if (!request.ok()) return;
  const CheckedInput checked = check_input(schema, kind, request->input);
  for (const auto* problems : {&request->problems, &checked.problems}) {
    if (problems->empty()) continue;
    const auto answer = nlohmann::json::parse(problem::input_invalid(*problems).body);
    MIMEO_FUZZ_CLAIM(answer["invalid_fields"].size() == problems->size());
  }
  if (!checked.problems.empty()) return;
  MIMEO_FUZZ_CLAIM(nlohmann::json::accept(checked.input));
  MIMEO_FUZZ_CLAIM(checked.public_input.empty() || nlohmann::json::accept(checked.public_input));
}

void check_fields(std::string_view body) {
  auto fields = BodyFields::parse(body);
  if (!fields.ok()) return;
  (void)fields->required_text("owner");
  (void)fields->text("description");
  const std::int32_t low = fields->required_integer("min_instances", 0, 5);
  MIMEO_FUZZ_CLAIM(low >= 0 && low <= 5);
  check_sku(*fields, fields->required_text("hardware"), {});
  MIMEO_FUZZ_CLAIM(nlohmann::json::accept(problem::validation_failed(fields->problems()).body));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto usual = *VersionSchema::compile(kSchema);
  mimeo::fuzz::Input input(data, size);
  const std::string_view first = input.field();
  const bool has_schema = first.size() < size;
  const std::string_view body = has_schema ? input.rest() : first;
  auto schema = usual;
  if (has_schema) {
    const auto compiled = VersionSchema::compile(first);
    if (!compiled.ok()) return 0;
    schema = *compiled;
  }
  check_body(*schema, body, RequestShape::kByVersion, InputKind::kPrediction);
  check_body(*schema, body, RequestShape::kByName, InputKind::kPrediction);
  check_body(*schema, body, RequestShape::kForTraining, InputKind::kTraining);
  check_fields(body);
  return 0;
}
