#include "sdk/cpp/schema.h"

#include <cctype>
#include <cmath>
#include <iterator>
#include <stdexcept>

namespace mimeo::sdk {
namespace {

// "num_steps" -> "Num Steps", as Cog titles its inputs.
std::string title_of(const std::string& name) {
  std::string title;
  bool start = true;
  for (const char c : name) {
    title +=
        c == '_' ? ' ' : static_cast<char>(start ? std::toupper(static_cast<unsigned char>(c)) : c);
    start = c == '_';
  }
  return title;
}

std::string_view json_type(InputType type) {
  switch (type) {
    case InputType::kInteger:
      return "integer";
    case InputType::kNumber:
      return "number";
    case InputType::kBoolean:
      return "boolean";
    default:
      return "string";
  }
}

// Whole numbers without a fraction, as people write limits.
Json limit(double value) {
  if (value == std::floor(value) && std::abs(value) < 9e15) return static_cast<std::int64_t>(value);
  return value;
}

std::string shown(double value) { return limit(value).dump(); }

// Characters, not bytes: counts what does not continue a UTF-8 sequence.
std::size_t length_of(const std::string& text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

Json schema_ref(std::string_view name) {
  return {{"$ref", "#/components/schemas/" + std::string(name)}};
}

Json string_with_title(std::string_view title) { return {{"title", title}, {"type", "string"}}; }
Json time_with_title(std::string_view title) {
  return {{"title", title}, {"type", "string"}, {"format", "date-time"}};
}

// As JSON Schema sees it: 20.0 is an integer, true is not.
bool is_integer(const Json& value) {
  if (value.is_number_integer()) return true;
  return value.is_number_float() && value.get<double>() == std::floor(value.get<double>()) &&
         std::abs(value.get<double>()) < 9e15;
}

// Patterns are searched by recursion: a long text would overflow the stack.
constexpr std::size_t kLongestMatched = 16'384;

// Texts in messages end somewhere.
std::string quoted(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  constexpr std::size_t kLongest = 200;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

std::string characters(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " character" : " characters");
}

}  // namespace

Schema::Schema(const Model& model)
    : fields_(fields_of(model.inputs_)), training_fields_(fields_of(model.training_inputs_)) {
  Json schemas = Json::object();
  schemas["Input"] = input_schema(model.inputs_, "Input", schemas);
  Json output = Json::parse(model.output_.schema_);
  if (model.output_.kind_ == Output::kIterator || model.output_.kind_ == Output::kConcatenate) {
    is_streaming_ = true;
    output = {{"type", "array"}, {"items", output}, {"x-cog-array-type", "iterator"}};
    if (model.output_.kind_ == Output::kConcatenate) output["x-cog-array-display"] = "concatenate";
  }
  is_list_output_ = output["type"] == "array";
  output["title"] = "Output";
  schemas["Output"] = output;
  const bool can_train = static_cast<bool>(model.train_);
  if (can_train) {
    schemas["TrainingInput"] = input_schema(model.training_inputs_, "TrainingInput", schemas);
    if (model.training_output_.kind_ != Output::kValue) {
      throw std::invalid_argument("a training returns one value");
    }
    schemas["TrainingOutput"] = Json::parse(model.training_output_.schema_);
    schemas["TrainingOutput"]["title"] = "Output";
  }
  for (const char* kind : {"Prediction", "Training"}) {
    if (kind[0] == 'T' && !can_train) break;
    const std::string prefix = kind[0] == 'T' ? "Training" : "";
    const std::string request = std::string(kind) + "Request",
                      response = std::string(kind) + "Response";
    schemas[request] = {
        {"title", request},
        {"type", "object"},
        {"properties", {{"id", string_with_title("Id")}, {"input", schema_ref(prefix + "Input")}}}};
    schemas[response] = {{"title", response},
                         {"type", "object"},
                         {"properties",
                          {{"input", schema_ref(prefix + "Input")},
                           {"output", schema_ref(prefix + "Output")},
                           {"id", string_with_title("Id")},
                           {"version", string_with_title("Version")},
                           {"created_at", time_with_title("Created At")},
                           {"started_at", time_with_title("Started At")},
                           {"completed_at", time_with_title("Completed At")},
                           {"status", string_with_title("Status")},
                           {"error", string_with_title("Error")},
                           {"logs", string_with_title("Logs")},
                           {"metrics", {{"title", "Metrics"}, {"type", "object"}}}}}};
  }
  schemas["Status"] = {{"title", "Status"},
                       {"description", "An enumeration."},
                       {"enum", {"starting", "processing", "succeeded", "canceled", "failed"}},
                       {"type", "string"}};
  schemas["ValidationError"] = {
      {"title", "ValidationError"},
      {"type", "object"},
      {"required", {"loc", "msg", "type"}},
      {"properties",
       {{"loc", {{"title", "Location"}, {"type", "array"}, {"items", {{"type", "string"}}}}},
        {"msg", {{"title", "Message"}, {"type", "string"}}},
        {"type", {{"title", "Error Type"}, {"type", "string"}}}}}};
  schemas["HTTPValidationError"] = {
      {"title", "HTTPValidationError"},
      {"type", "object"},
      {"properties",
       {{"detail",
         {{"title", "Detail"}, {"type", "array"}, {"items", schema_ref("ValidationError")}}}}}};
  document_ = {{"openapi", "3.0.2"}, {"info", {{"title", "Cog"}, {"version", "0.1.0"}}}};
  add_paths(can_train);
  document_["components"] = {{"schemas", std::move(schemas)}};
}

void Schema::add_paths(bool can_train) {
  Json paths = Json::object();
  const Json ok = {{"200", {{"description", "Successful Response"}}}};
  paths["/"] = {{"get", {{"summary", "Root"}, {"operationId", "root__get"}, {"responses", ok}}}};
  paths["/health-check"] = {{"get",
                             {{"summary", "Healthcheck"},
                              {"operationId", "healthcheck_health_check_get"},
                              {"responses", ok}}}};
  const auto operation = [&](std::string_view summary, std::string_view id,
                             const std::string& kind) {
    const auto body = [](const Json& schema) -> Json {
      return {{"content", {{"application/json", {{"schema", schema}}}}}};
    };
    Json success = body(schema_ref(kind + "Response"));
    success["description"] = "Successful Response";
    Json invalid = body(schema_ref("HTTPValidationError"));
    invalid["description"] = "Validation Error";
    return Json{{"summary", summary},
                {"operationId", id},
                {"requestBody", body(schema_ref(kind + "Request"))},
                {"responses", {{"200", success}, {"422", invalid}}}};
  };
  const auto cancel = [&](std::string_view parameter) {
    Json parameters = Json::array();
    parameters.push_back({{"name", parameter},
                          {"in", "path"},
                          {"required", true},
                          {"schema", {{"type", "string"}}}});
    return Json{{"post", {{"summary", "Cancel"}, {"parameters", parameters}, {"responses", ok}}}};
  };
  Json predict = operation("Predict", "predict_predictions_post", "Prediction");
  if (is_streaming_) predict["x-cog-streaming"] = true;
  paths["/predictions"] = {{"post", predict}};
  paths["/predictions/{prediction_id}/cancel"] = cancel("prediction_id");
  if (can_train) {
    paths["/trainings"] = {{"post", operation("Train", "train_trainings_post", "Training")}};
    paths["/trainings/{training_id}/cancel"] = cancel("training_id");
  }
  document_["paths"] = std::move(paths);
}

std::vector<Schema::Field> Schema::fields_of(const std::vector<Input>& inputs) {
  std::vector<Field> fields;
  for (const Input& input : inputs) {
    Field field{input, {}};
    if (!input.pattern_.empty()) field.pattern = std::regex(input.pattern_, std::regex::ECMAScript);
    if (input.default_) {
      const std::vector<InputError> wrong = check_value(field, *input.default_);
      if (!wrong.empty()) {
        throw std::invalid_argument("default of " + input.name_ + ": " + wrong.front().message);
      }
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

Json Schema::property(const Input& input, int order, Json& schemas) {
  Json value;
  if (!input.choices_.empty()) {
    schemas[input.name_] = {{"title", input.name_},
                            {"description", "An enumeration."},
                            {"enum", input.choices_},
                            {"type", json_type(input.type_)}};
    value["allOf"] = Json::array({schema_ref(input.name_)});
  } else {
    value["type"] = json_type(input.type_);
    if (input.type_ == InputType::kFile) value["format"] = "uri";
    if (input.type_ == InputType::kSecret) {
      value["format"] = "password";
      value["writeOnly"] = true;
      value["x-cog-secret"] = true;
    }
    if (input.minimum_) value["minimum"] = limit(*input.minimum_);
    if (input.maximum_) value["maximum"] = limit(*input.maximum_);
    if (input.min_length_) value["minLength"] = *input.min_length_;
    if (input.max_length_) value["maxLength"] = *input.max_length_;
    if (!input.pattern_.empty()) value["pattern"] = input.pattern_;
  }
  if (input.is_list_) value = {{"type", "array"}, {"items", value}};
  if (input.choices_.empty()) value["title"] = title_of(input.name_);
  if (!input.description_.empty()) value["description"] = input.description_;
  if (input.default_) value["default"] = *input.default_;
  if (input.is_optional_) value["nullable"] = true;
  if (input.is_deprecated_) value["deprecated"] = true;
  if (!input.accept_.empty()) value["x-cog-accept"] = input.accept_;
  value["x-order"] = order;
  return value;
}

Json Schema::input_schema(const std::vector<Input>& inputs, std::string_view title, Json& schemas) {
  Json properties = Json::object();
  Json required = Json::array();
  int order = 0;
  for (const Input& input : inputs) {
    properties[input.name_] = property(input, order++, schemas);
    if (!input.default_ && !input.is_optional_) required.push_back(input.name_);
  }
  Json schema = {{"title", title}, {"type", "object"}, {"properties", properties}};
  if (!required.empty()) schema["required"] = required;
  return schema;
}

std::string Schema::check_scalar(const Field& field, const Json& value) {
  const Input& input = field.input;
  const auto said = [&] {  // A secret is not repeated, not even when it is wrong.
    return input.type_ == InputType::kSecret ? std::string("the value") : quoted(value);
  };
  bool fits = value.is_string();
  if (input.type_ == InputType::kInteger) fits = is_integer(value);
  if (input.type_ == InputType::kNumber) fits = value.is_number();
  if (input.type_ == InputType::kBoolean) fits = value.is_boolean();
  if (!fits) {
    return said() + " is not of type \"" + std::string(json_type(input.type_)) + "\"";
  }
  if (!input.choices_.empty()) {
    for (const Json& choice : input.choices_) {
      if (choice == value) return "";
    }
    return said() + " is not one of " + Json(input.choices_).dump();
  }
  if (value.is_number()) {
    const double number = value.get<double>();
    if (input.minimum_ && number < *input.minimum_) {
      return said() + " is less than the minimum of " + shown(*input.minimum_);
    }
    if (input.maximum_ && number > *input.maximum_) {
      return said() + " is greater than the maximum of " + shown(*input.maximum_);
    }
  }
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (input.min_length_ && length_of(text) < *input.min_length_) {
      return said() + " is shorter than " + characters(*input.min_length_);
    }
    if (input.max_length_ && length_of(text) > *input.max_length_) {
      return said() + " is longer than " + characters(*input.max_length_);
    }
    if (!input.pattern_.empty() &&
        (text.size() > kLongestMatched || !std::regex_search(text, field.pattern))) {
      return said() + " does not match \"" + input.pattern_ + "\"";
    }
  }
  return "";
}

std::vector<InputError> Schema::check_value(const Field& field, const Json& value) {
  std::vector<InputError> errors;
  const auto add = [&errors](std::string place, std::string message) {
    if (!message.empty()) errors.push_back({std::move(place), std::move(message), "value_error"});
  };
  const std::string& name = field.input.name_;
  if (!field.input.is_list_) {
    add(name, check_scalar(field, value));
  } else if (!value.is_array()) {
    add(name, quoted(value) + " is not of type \"array\"");
  } else {
    for (std::size_t i = 0; i < value.size(); ++i) {
      add(name + "/" + std::to_string(i), check_scalar(field, value[i]));
    }
  }
  return errors;
}

CheckedInput Schema::check(const std::vector<Field>& fields, const Json& input) {
  CheckedInput checked;
  if (!input.is_object()) {
    checked.errors.push_back({"", quoted(input) + " is not of type \"object\"", "value_error"});
    return checked;
  }
  for (const Field& field : fields) {
    const std::string& name = field.input.name_;
    const auto it = input.find(name);
    if (it == input.end() || (it->is_null() && field.input.is_optional_)) {
      if (field.input.default_) {
        checked.values[name] = *field.input.default_;
      } else if (field.input.is_optional_) {
        checked.values[name] = nullptr;
      } else {
        checked.errors.push_back({name, "Field required", "value_error.missing"});
      }
      continue;
    }
    std::vector<InputError> wrong = check_value(field, *it);
    if (!wrong.empty()) {
      std::move(wrong.begin(), wrong.end(), std::back_inserter(checked.errors));
      continue;
    }
    checked.values[name] = *it;
    if (field.input.type_ == InputType::kFile) checked.file_fields.push_back(name);
  }
  return checked;
}

CheckedInput Schema::check(const Json& input) const { return check(fields_, input); }
CheckedInput Schema::check_training(const Json& input) const {
  return check(training_fields_, input);
}

}  // namespace mimeo::sdk
