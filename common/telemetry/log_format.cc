#include "common/telemetry/log_format.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

namespace mimeo::log {

namespace {

using Pairs = std::vector<std::pair<std::string_view, std::string>>;

bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void append_escaped_control(std::string& out, char c) {
  std::array<char, 8> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "\\u%04x", static_cast<unsigned char>(c));
  out += buffer.data();
}

// Length of the valid UTF-8 sequence that starts at text[at], or 0.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  if (first >= 0xE0 && first <= 0xEF) length = 3;
  if (first >= 0xF0 && first <= 0xF4) length = 4;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(at + 1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) {
    return 0;
  }
  return length;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const std::size_t length = utf8_length(text, i);
    if (length == 0) {
      out += "\\ufffd";
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (length == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)) {
      append_escaped_control(out, c);
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  out += '"';
}

// All of `text` as "key=value key=\"…\"", or nullopt when it has any other form.
std::optional<Pairs> parse_pairs(std::string_view text) {
  Pairs pairs;
  while (!text.empty()) {
    std::size_t key_end = 0;
    while (key_end < text.size() && is_key_char(text[key_end])) ++key_end;
    if (key_end == 0 || key_end >= text.size() || text[key_end] != '=') return std::nullopt;
    const std::string_view key = text.substr(0, key_end);
    text.remove_prefix(key_end + 1);
    std::string value;
    if (!text.empty() && text.front() == '"') {
      const std::size_t close = text.find('"', 1);
      if (close == std::string_view::npos) return std::nullopt;
      value = text.substr(1, close - 1);
      text.remove_prefix(close + 1);
    } else {
      const std::size_t end = std::min(text.find(' '), text.size());
      value = text.substr(0, end);
      text.remove_prefix(end);
    }
    pairs.emplace_back(key, std::move(value));
    if (text.empty()) break;
    if (text.front() != ' ') return std::nullopt;
    text.remove_prefix(1);
  }
  return pairs;
}

bool is_reserved(std::string_view key) {
  return key == "time" || key == "level" || key == "component" || key == "message";
}

}  // namespace

std::string format_text(const LogLine& line) {
  std::string out = line.time;
  out += ' ';
  out += line.level;
  if (!line.component.empty()) {
    out += ' ';
    out += line.component;
  }
  out += ' ';
  for (const char c : line.message) {
    if (c == '\n') {
      out += "\\n";
    } else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) {
      append_escaped_control(out, c);
    } else {
      out += c;
    }
  }
  out += '\n';
  return out;
}

std::string format_json(const LogLine& line) {
  std::string_view message = line.message;
  Pairs pairs;
  for (std::size_t space = message.find(' '); space != std::string_view::npos;
       space = message.find(' ', space + 1)) {
    auto parsed = parse_pairs(message.substr(space + 1));
    if (!parsed || parsed->empty()) continue;
    pairs = std::move(*parsed);
    message = message.substr(0, space);
    break;
  }
  std::string out = R"({"time":)";
  append_json_string(out, line.time);
  out += R"(,"level":)";
  append_json_string(out, line.level);
  out += R"(,"component":)";
  append_json_string(out, line.component);
  out += R"(,"message":)";
  append_json_string(out, message);
  for (const auto& [key, value] : pairs) {
    out += ',';
    append_json_string(out, is_reserved(key) ? std::string(key) + "_" : std::string(key));
    out += ':';
    append_json_string(out, value);
  }
  out += "}\n";
  return out;
}

}  // namespace mimeo::log
