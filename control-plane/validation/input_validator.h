// A version's OpenAPI schema, compiled: checks the `input` of predictions and trainings, redacts
// secrets, and says what the version streams.
//
// Problems come in the words and kinds of the validator that clients of the public API know
// (xeipuuv/gojsonschema); a general JSON Schema library has other words, so this is our own, for
// the dialect that Cog writes: OpenAPI 3.0 with $ref, allOf, anyOf, oneOf, nullable, enum, bounds,
// patterns and formats. Unknown keywords are ignored. docs/adr/0009 says why.

#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "control-plane/public_links.h"

namespace mimeo::control {

// One thing wrong with the body of a prediction.
struct InputProblem {
  std::string type;         // "required", "number_lte", ...
  std::string field;        // "input.steps"; the parent for `required`; "" at the body's root.
  std::string description;  // "Must be less than or equal to 4".
};

// Which of the version's schemas.
enum class InputKind : std::uint8_t { kPrediction, kTraining };

// Immutable: safe from any thread, kept per version (its id is the hash of its content).
class VersionSchema {
 public:
  // kInvalidArgument when the text is not a JSON object or a reference in it leads nowhere.
  static Result<std::shared_ptr<const VersionSchema>> compile(std::string_view openapi_schema);
  ~VersionSchema();
  VersionSchema(const VersionSchema&) = delete;
  VersionSchema& operator=(const VersionSchema&) = delete;

  // True when the version can do that at all: it has such a schema. Versions without any input
  // schema accept every object as a prediction's input.
  [[nodiscard]] bool accepts(InputKind kind) const;
  // Empty when `input` is fine. Keys that the schema does not name are accepted.
  [[nodiscard]] std::vector<InputProblem> check(InputKind kind, const nlohmann::json& input) const;
  // `input` as JSON text with every secret replaced; empty when it has none.
  [[nodiscard]] std::string redact(InputKind kind, const nlohmann::json& input) const;
  [[nodiscard]] StreamKind stream() const;

 private:
  struct Compiled;
  explicit VersionSchema(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

// What stands in for a secret in everything that is shown.
inline constexpr std::string_view kRedacted = "[REDACTED]";

}  // namespace mimeo::control
