// The walk over a value: what is wrong with it, in the words that clients know.
#include <absl/strings/str_join.h>

#include <algorithm>
#include <cmath>

#include "common/base/time_format.h"
#include "control-plane/strings.h"
#include "control-plane/validation/schema_node.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxProblems = 100;  // Nobody reads more; keeps answers small.
constexpr int kMaxDepth = 400;             // Deeper than any value: parse_json() refuses those.

// How much of a walk is left.
struct Budget {
  int steps = 1'000'000;
  int depth = 0;

  // False: stop here.
  [[nodiscard]] bool enter() {
    if (steps <= 0 || depth >= kMaxDepth) return false;
    --steps;
    ++depth;
    return true;
  }
  void leave() { --depth; }
};

bool is_integral(const json& value) {
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();
  return std::isfinite(number) && std::floor(number) == number;
}

std::uint8_t bits_of(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return kNullType;
    case json::value_t::boolean:
      return kBooleanType;
    case json::value_t::string:
      return kStringType;
    case json::value_t::array:
      return kArrayType;
    case json::value_t::object:
      return kObjectType;
    default:
      return is_integral(value) ? kIntegerType | kNumberType : kNumberType;
  }
}

std::string_view name_of(const json& value) {
  if (value.is_number()) return is_integral(value) ? "integer" : "number";
  return value.type_name();
}

long double exact(const json& number) {
  if (number.is_number_unsigned()) return static_cast<long double>(number.get<std::uint64_t>());
  if (number.is_number_integer()) return static_cast<long double>(number.get<std::int64_t>());
  return static_cast<long double>(number.get<double>());
}

// Number of code points.
std::size_t length_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

// An absolute URI of any scheme, in the sense of the validator that clients know: it has a scheme,
// and no blank, control character or backslash.
bool is_uri(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!is_letter(text[0])) return false;
  for (const char c : text.substr(0, colon)) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_letter(c) && !is_digit && c != '+' && c != '-' && c != '.') return false;
  }
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == '\\' || c == 0x7F;
  });
}

bool has_format(std::string_view text, std::string_view format) {
  if (format == "uri") return is_uri(text);
  if (format == "date-time") return parse_rfc3339(text).ok();
  return true;  // Others are for people, or for the container.
}

std::string_view leaf_of(std::string_view field) {
  const auto dot = field.rfind('.');
  return dot == std::string_view::npos ? field : field.substr(dot + 1);
}

class Checker {
 public:
  // `open`: an object whose unknown keys are no problem, whatever schemas say. May be null.
  Checker(std::vector<InputProblem>& problems, Budget& budget, const json* open)
      : problems_(problems), budget_(budget), open_(open) {}

  void check(const SchemaNode& node, const json& value, const std::string& field) {
    if (problems_.size() >= kMaxProblems || !budget_.enter()) return;
    check_node(node, value, field);
    budget_.leave();
  }

 private:
  void check_node(const SchemaNode& node, const json& value, const std::string& field) {
    if (value.is_null() && node.is_nullable) return;
    if (node.types != 0 && (node.types & bits_of(value)) == 0) {
      add("invalid_type", field,
          concat("Invalid type. Expected: ", node.type_names, ", given: ", name_of(value)));
      return;
    }
    for (const SchemaNode* part : node.all_of) check(*part, value, field);
    check_choices(node, value, field);
    check_options(node, value, field);
    if (value.is_number()) check_number(node, value, field);
    if (value.is_string()) check_string(node, value.get_ref<const std::string&>(), field);
    if (value.is_array()) check_array(node, value, field);
    if (value.is_object()) check_object(node, value, field);
  }

  void add(std::string_view type, const std::string& field, std::string description) {
    if (problems_.size() >= kMaxProblems) return;
    problems_.push_back({std::string(type), field, std::move(description)});
  }

  bool accepts(const SchemaNode& node, const json& value) {
    std::vector<InputProblem> problems;
    Checker(problems, budget_, nullptr).check(node, value, "");
    return problems.empty();
  }

  void check_choices(const SchemaNode& node, const json& value, const std::string& field) {
    const auto fits = [&](const SchemaNode* part) { return accepts(*part, value); };
    if (!node.any_of.empty() && std::none_of(node.any_of.begin(), node.any_of.end(), fits)) {
      add("number_any_of", field, "Must validate at least one schema (anyOf)");
    }
    if (!node.one_of.empty() && std::count_if(node.one_of.begin(), node.one_of.end(), fits) != 1) {
      add("number_one_of", field, "Must validate one and only one schema (oneOf)");
    }
    if (node.negated != nullptr && fits(node.negated)) {
      add("number_not", field, "Must not validate the schema (not)");
    }
  }

  void check_options(const SchemaNode& node, const json& value, const std::string& field) {
    if (node.constant && *node.constant != value) {
      add("const", field, concat(leaf_of(field), " does not match: ", node.constant->dump()));
    }
    if (!node.options) return;
    if (std::find(node.options->begin(), node.options->end(), value) != node.options->end()) return;
    std::vector<std::string> allowed;
    for (const json& option : *node.options) allowed.push_back(option.dump());
    add("enum", field,
        concat(leaf_of(field), " must be one of the following: ", absl::StrJoin(allowed, ", ")));
  }

  void check_number(const SchemaNode& node, const json& value, const std::string& field) {
    const long double number = exact(value);
    if (node.multiple_of && std::fmod(number, node.multiple_of->value) != 0) {
      // Binary fractions are never exact multiples of decimal ones: allow for rounding.
      const long double quotient = number / node.multiple_of->value;
      if (std::fabs(quotient - std::round(quotient)) > 1e-9L) {
        add("multiple_of", field, concat("Must be a multiple of ", node.multiple_of->text));
      }
    }
    if (node.minimum && number < node.minimum->value) {
      add("number_gte", field, concat("Must be greater than or equal to ", node.minimum->text));
    }
    if (node.exclusive_minimum && number <= node.exclusive_minimum->value) {
      add("number_gt", field, concat("Must be greater than ", node.exclusive_minimum->text));
    }
    if (node.maximum && number > node.maximum->value) {
      add("number_lte", field, concat("Must be less than or equal to ", node.maximum->text));
    }
    if (node.exclusive_maximum && number >= node.exclusive_maximum->value) {
      add("number_lt", field, concat("Must be less than ", node.exclusive_maximum->text));
    }
  }

  void check_string(const SchemaNode& node, const std::string& text, const std::string& field) {
    if (node.min_length || node.max_length) {
      const std::size_t length = length_of(text);
      if (node.min_length && length < *node.min_length) {
        add("string_gte", field,
            concat("String length must be greater than or equal to ", *node.min_length));
      }
      if (node.max_length && length > *node.max_length) {
        add("string_lte", field,
            concat("String length must be less than or equal to ", *node.max_length));
      }
    }
    if (node.pattern && !re2::RE2::PartialMatch(text, *node.pattern)) {
      add("pattern", field, concat("Does not match pattern '", node.pattern->pattern(), "'"));
    }
    if (!node.format.empty() && !has_format(text, node.format)) {
      add("format", field, concat("Does not match format '", node.format, "'"));
    }
  }

  void check_array(const SchemaNode& node, const json& value, const std::string& field) {
    if (node.min_items && value.size() < *node.min_items) {
      add("array_min_items", field, concat("Array must have at least ", *node.min_items, " items"));
    }
    if (node.max_items && value.size() > *node.max_items) {
      add("array_max_items", field, concat("Array must have at most ", *node.max_items, " items"));
    }
    if (node.has_unique_items) check_unique(value, field);
    if (node.items == nullptr) return;
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (problems_.size() >= kMaxProblems) return;
      check(*node.items, value[i], concat(field, ".", i));
    }
  }

  // By sorting: a hostile list must not cost a quadratic number of comparisons.
  void check_unique(const json& value, const std::string& field) {
    std::vector<std::pair<std::string, std::size_t>> sorted;
    sorted.reserve(value.size());
    for (std::size_t i = 0; i < value.size(); ++i) sorted.emplace_back(value[i].dump(), i);
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (sorted[i - 1].first != sorted[i].first) continue;
      add("unique", field,
          concat("array items[", sorted[i - 1].second, ",", sorted[i].second, "] must be unique"));
      return;
    }
  }

  void check_object(const SchemaNode& node, const json& value, const std::string& field) {
    for (const std::string& name : node.required) {
      if (!value.contains(name)) add("required", field, concat(name, " is required"));
    }
    if (node.min_properties && value.size() < *node.min_properties) {
      add("array_min_properties", field,
          concat("Must have at least ", *node.min_properties, " properties"));
    }
    if (node.max_properties && value.size() > *node.max_properties) {
      add("array_max_properties", field,
          concat("Must have at most ", *node.max_properties, " properties"));
    }
    for (const auto& [name, child] : value.items()) {
      if (problems_.size() >= kMaxProblems) return;
      const SchemaNode* schema = node.property(name);
      if (schema == nullptr && node.is_closed) {
        if (&value == open_) continue;
        add("additional_property_not_allowed", field,
            concat("Additional property ", name, " is not allowed"));
        continue;
      }
      if (schema == nullptr) schema = node.additional;
      if (schema == nullptr) continue;
      check(*schema, child, field.empty() ? name : concat(field, ".", name));
    }
  }

  std::vector<InputProblem>& problems_;
  Budget& budget_;
  const json* const open_;
};

bool redact_within(const SchemaNode& node, json& value, Budget& budget);

bool redact_children(const SchemaNode& node, json& value, Budget& budget) {
  bool found = false;
  for (const auto* parts : {&node.all_of, &node.any_of, &node.one_of}) {
    for (const SchemaNode* part : *parts) found |= redact_within(*part, value, budget);
  }
  if (value.is_array() && node.items != nullptr) {
    for (json& item : value) found |= redact_within(*node.items, item, budget);
  }
  if (value.is_object()) {
    for (auto& [name, child] : value.items()) {
      const SchemaNode* schema = node.property(name);
      if (schema == nullptr) schema = node.additional;
      if (schema != nullptr) found |= redact_within(*schema, child, budget);
    }
  }
  return found;
}

bool redact_within(const SchemaNode& node, json& value, Budget& budget) {
  // Out of steps: rather hide too much than show a secret.
  const bool is_hidden = node.is_secret || !budget.enter();
  if (is_hidden) {
    if (value.is_null()) return false;
    value = std::string(kRedacted);
    return true;
  }
  const bool found = redact_children(node, value, budget);
  budget.leave();
  return found;
}

}  // namespace

void check_value(const SchemaNode& node, const json& value, const std::string& field,
                 std::vector<InputProblem>& problems) {
  Budget budget;
  Checker(problems, budget, &value).check(node, value, field);
}

bool redact_value(const SchemaNode& node, json& value) {
  Budget budget;
  return redact_within(node, value, budget);
}

}  // namespace mimeo::control
