// Writes JSON text by appending: for answers on the hot path, whose shape is known and whose big
// parts (input, output, metrics) are JSON text already and are spliced in as they are.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mimeo::control {

// Appends `text` as a quoted JSON string. Text that is not UTF-8 is repaired with U+FFFD.
void append_json_string(std::string& out, std::string_view text);
// Appends a number of seconds without trailing zeros: 0.128148, 3e-06 never.
void append_json_seconds(std::string& out, std::int64_t microseconds);

// Commas are put by itself. Calls must nest properly; nothing is checked.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  // The name of the next value.
  JsonWriter& key(std::string_view name);
  JsonWriter& string(std::string_view value);
  // Null when empty.
  JsonWriter& string_or_null(std::string_view value);
  JsonWriter& integer(std::int64_t value);
  JsonWriter& seconds(std::int64_t microseconds);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  // JSON text as it is.
  JsonWriter& raw(std::string_view json);
  // The members of the object `json` (text "{...}") into the object that is open.
  JsonWriter& members_of(std::string_view json);

  [[nodiscard]] std::string take() { return std::move(out_); }
  [[nodiscard]] std::string& text() { return out_; }
  void reserve(std::size_t bytes) { out_.reserve(bytes); }

 private:
  void separate();
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);

  std::string out_;
  bool needs_comma_ = false;
};

}  // namespace mimeo::control
