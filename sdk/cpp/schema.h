// The model's OpenAPI document, and validation of inputs against it as Cog's server does it.

#pragma once

#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "sdk/cpp/model.h"

namespace mimeo::sdk {

// One thing that is wrong with an input; `field` is empty for the input as a whole.
struct InputError {
  std::string field;  // "images/2" for an item of a list.
  std::string message;
  std::string type;  // "value_error" or "value_error.missing".
};

// What a request's input became.
struct CheckedInput {
  Json values = Json::object();  // With defaults; unknown keys dropped.
  std::vector<InputError> errors;
  std::vector<std::string> file_fields;  // Whose values are still URLs.
};

// Immutable after construction: any thread.
class Schema {
 public:
  // Throws std::invalid_argument for a model that contradicts itself (a default outside its
  // limits).
  explicit Schema(const Model& model);

  [[nodiscard]] const Json& document() const { return document_; }
  [[nodiscard]] bool is_streaming() const { return is_streaming_; }  // Output grows while running.
  [[nodiscard]] bool is_list_output() const { return is_list_output_; }  // Output is an array.
  [[nodiscard]] CheckedInput check(const Json& input) const;
  [[nodiscard]] CheckedInput check_training(const Json& input) const;

 private:
  struct Field {
    Input input;
    std::regex pattern;
  };
  static std::vector<Field> fields_of(const std::vector<Input>& inputs);
  static Json input_schema(const std::vector<Input>& inputs, std::string_view title, Json& schemas);
  static Json property(const Input& input, int order, Json& schemas);
  static CheckedInput check(const std::vector<Field>& fields, const Json& input);
  static std::vector<InputError> check_value(const Field& field, const Json& value);
  static std::string check_scalar(const Field& field, const Json& value);
  void add_paths(bool can_train);

  std::vector<Field> fields_, training_fields_;
  Json document_;
  bool is_streaming_ = false;
  bool is_list_output_ = false;
};

}  // namespace mimeo::sdk
