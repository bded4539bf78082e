#include "control-plane/api/body_fields.h"

#include <algorithm>
#include <cmath>

#include "control-plane/http/json_text.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::string_view kMissing = "This field is required.";

}  // namespace

Result<BodyFields> BodyFields::parse(std::string_view body) {
  MIMEO_ASSIGN_OR_RETURN(nlohmann::json parsed, parse_json(body));
  if (!parsed.is_object()) return absl::InvalidArgumentError("the body must be a JSON object");
  return BodyFields(std::move(parsed));
}

const nlohmann::json* BodyFields::find(const char* name) const {
  const auto it = body_.find(name);
  return it == body_.end() || it->is_null() ? nullptr : &*it;
}

void BodyFields::add_problem(std::string_view name, std::string_view detail) {
  problems_.push_back({concat("/", name), std::string(detail)});
}

std::string BodyFields::required_text(const char* name) {
  if (find(name) == nullptr) {
    add_problem(name, kMissing);
    return {};
  }
  const std::optional<std::string> value = text(name);
  if (value && value->empty()) add_problem(name, kMissing);
  return value.value_or("");
}

std::optional<std::string> BodyFields::text(const char* name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  add_problem(name, "Not a valid string.");
  return std::nullopt;
}

std::int32_t BodyFields::required_integer(const char* name, std::int32_t low, std::int32_t high) {
  if (find(name) == nullptr) {
    add_problem(name, kMissing);
    return low;
  }
  return integer(name, low, high).value_or(low);
}

std::optional<std::int32_t> BodyFields::integer(const char* name, std::int32_t low,
                                                std::int32_t high) {
  const std::optional<std::int64_t> value = big_integer(name, low, high);
  if (!value) return std::nullopt;
  return static_cast<std::int32_t>(*value);
}

std::optional<std::int64_t> BodyFields::big_integer(const char* name, std::int64_t low,
                                                    std::int64_t high) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (std::isnan(number) || std::floor(number) != number) {
    add_problem(name, "A valid integer is required.");
    return std::nullopt;
  }
  if (number < static_cast<double>(low)) {
    add_problem(name, concat("Ensure this value is greater than or equal to ", low, "."));
    return std::nullopt;
  }
  if (number > static_cast<double>(high)) {
    add_problem(name, concat("Ensure this value is less than or equal to ", high, "."));
    return std::nullopt;
  }
  return static_cast<std::int64_t>(number);
}

std::optional<std::vector<std::string>> BodyFields::texts(const char* name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  std::vector<std::string> texts;
  bool is_fine = value->is_array();
  for (std::size_t i = 0; is_fine && i < value->size(); ++i) {
    is_fine = (*value)[i].is_string();
    if (is_fine) texts.push_back((*value)[i].get<std::string>());
  }
  if (is_fine) return texts;
  add_problem(name, "Not a list of strings.");
  return std::nullopt;
}

std::optional<bool> BodyFields::boolean(const char* name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  add_problem(name, "Must be a valid boolean.");
  return std::nullopt;
}

void BodyFields::close(std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : body_.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      add_problem(key, "This field cannot be changed.");
    }
  }
}

void check_sku(BodyFields& fields, std::string_view sku, const std::vector<Hardware>& known) {
  std::string options;
  for (const Hardware& hardware : known) {
    if (hardware.sku == sku) return;
    options.append(options.empty() ? "" : ", ").append(hardware.sku);
  }
  fields.add_problem("hardware",
                     concat(sku, " is not a valid hardware SKU. Your options are: ", options, "."));
}

}  // namespace mimeo::control
