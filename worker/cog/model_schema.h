// The few facts of a model's OpenAPI document that decide how its server is driven: does it stream,
// is the output a list, which inputs may be null. Checking inputs is the control plane's job.

#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace mimeo::worker::cog {

enum class OutputShape : std::uint8_t {
  kValue,     // One value, known at the end.
  kList,      // An array; its items may arrive one by one.
  kIterator,  // An array that grows while the model runs.
};

enum class RunKind : std::uint8_t { kPrediction, kTraining };

struct ModelSchema {
  bool is_known = false;    // False: no document, or not one of Cog's; the rest has defaults.
  bool has_events = false;  // `x-cog-streaming`: the server answers text/event-stream.
  OutputShape output = OutputShape::kValue;
  std::set<std::string> nullable_inputs;
  // Names of all inputs. nullopt: the schema does not list them, or says that it takes others, too.
  std::optional<std::set<std::string>> inputs;

  // Never fails: what cannot be read is as if it were not there.
  [[nodiscard]] static ModelSchema parse(std::string_view openapi, RunKind kind);
};

// `input` (a JSON object) without the members that are null and declared nullable: coglet refuses
// an explicit null and takes an absent one. Returned as it came when there is nothing to remove.
[[nodiscard]] std::string without_nulls(std::string input, const ModelSchema& schema);

// `input` (a JSON object) without the members that the model does not know: the API takes and
// ignores them, servers refuse them. What stays is spelled as it was; returned as it came when
// there is nothing to remove.
[[nodiscard]] std::string without_unknown(std::string input, const ModelSchema& schema);

}  // namespace mimeo::worker::cog
