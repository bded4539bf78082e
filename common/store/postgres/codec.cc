#include "common/store/postgres/codec.h"

#include <charconv>
#include <limits>
#include <pqxx/field>
#include <stdexcept>

#include "common/store/text.h"

namespace mimeo::store {
namespace {

using std::chrono::days;
using std::chrono::floor;

void append_digits(std::string& out, std::uint64_t value, int width) {
  char digits[20];
  for (int i = width; i-- > 0; value /= 10) digits[i] = static_cast<char>('0' + value % 10);
  out.append(digits, static_cast<std::size_t>(width));
}

// absl::FormatTime is ten times slower, and this is written several times per prediction.
void append_time(std::string& out, WallTime at) {
  const auto day = floor<days>(at);
  const std::chrono::year_month_day date(day);
  const auto since = static_cast<std::uint64_t>((at - day).count());
  append_digits(out, static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.day()), 2);
  out += ' ';
  append_digits(out, since / 3'600'000'000, 2);
  out += ':';
  append_digits(out, since / 60'000'000 % 60, 2);
  out += ':';
  append_digits(out, since / 1'000'000 % 60, 2);
  out += '.';
  append_digits(out, since % 1'000'000, 6);
  out += "+00";
}

[[noreturn]] void bad_field(std::string_view what, std::string_view text) {
  throw std::runtime_error("the database sent a " + std::string(what) +
                           " that is none: " + std::string(text));
}

unsigned number_at(std::string_view text, std::size_t at, std::size_t length) {
  unsigned value = 0;
  for (std::size_t i = at; i < at + length; ++i) {
    if (i >= text.size() || text[i] < '0' || text[i] > '9') bad_field("time", text);
    value = value * 10 + static_cast<unsigned>(text[i] - '0');
  }
  return value;
}

// "2026-03-01 12:00:00[.f]+00": the session's time zone is UTC.
WallTime parse_time(std::string_view text) {
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(number_at(text, 0, 4))),
                                         std::chrono::month(number_at(text, 5, 2)),
                                         std::chrono::day(number_at(text, 8, 2))};
  WallTime at = std::chrono::sys_days(date);
  at += std::chrono::hours(number_at(text, 11, 2)) + std::chrono::minutes(number_at(text, 14, 2)) +
        std::chrono::seconds(number_at(text, 17, 2));
  if (text.size() > 19 && text[19] == '.') {
    std::int64_t unit = 100'000;
    for (std::size_t i = 20; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i, unit /= 10) {
      at += std::chrono::microseconds((text[i] - '0') * unit);
    }
  }
  return at;
}

}  // namespace

std::string sql_time(WallTime at) {
  std::string out;
  append_time(out, at);
  return out;
}

Param sql_time(const std::optional<WallTime>& at) {
  return at.has_value() ? Param(sql_time(*at)) : Param();
}

Param sql_uuid(const Uuid& id) { return id.is_nil() ? Param() : Param(id.hex()); }

std::string sql_bytea(std::string_view raw) { return "\\x" + to_hex(raw); }

std::string sql_version(const VersionId& id) { return "\\x" + id.hex(); }

std::string sql_interval(std::chrono::milliseconds duration) {
  return std::to_string(duration.count()) + " milliseconds";
}

Param sql_text_or_null(std::string_view text) {
  return text.empty() ? Param() : Param(sanitize_text(text));
}

void SqlArray::separate() {
  if (text_.size() > 1) text_ += ',';
}

void SqlArray::add_null() {
  separate();
  text_ += "NULL";
}

void SqlArray::add(std::int64_t number) {
  separate();
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  text_.append(digits, end);
}

void SqlArray::add_bool(bool value) {
  separate();
  text_ += value ? 't' : 'f';
}

void SqlArray::add(const Uuid& id) {
  if (id.is_nil()) return add_null();
  separate();
  text_ += id.hex();
}

void SqlArray::add(const VersionId& id) {
  separate();
  text_ += "\"\\\\x";
  text_ += id.hex();
  text_ += '"';
}

void SqlArray::add(WallTime at) {
  separate();
  text_ += '"';
  append_time(text_, at);
  text_ += '"';
}

void SqlArray::add_text(std::string_view text) {
  if (!is_storable(text)) return add_text(sanitize_text(text));
  separate();
  text_.reserve(text_.size() + text.size() + 8);
  text_ += '"';
  while (true) {
    const std::size_t special = text.find_first_of("\"\\");
    text_.append(text.substr(0, special));
    if (special == std::string_view::npos) break;
    text_ += '\\';
    text_ += text[special];
    text.remove_prefix(special + 1);
  }
  text_ += '"';
}

void SqlArray::add_text_or_null(std::string_view text) {
  text.empty() ? add_null() : add_text(text);
}

std::string SqlArray::take() {
  text_ += '}';
  return std::move(text_);
}

std::string_view RowReader::view() {
  const pqxx::field field = row_[next_++];
  return {field.c_str(), field.size()};
}

std::string RowReader::text() { return std::string(view()); }

std::int64_t RowReader::integer() {
  const std::string_view text = view();
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) bad_field("number", text);
  return value;
}

std::optional<std::int64_t> RowReader::maybe_integer() {
  if (!next_is_null()) return integer();
  skip();
  return std::nullopt;
}

double RowReader::real() { return std::stod(text()); }

bool RowReader::boolean() { return view() == "t"; }

WallTime RowReader::time() { return parse_time(view()); }

std::optional<WallTime> RowReader::maybe_time() {
  if (!next_is_null()) return time();
  skip();
  return std::nullopt;
}

Uuid RowReader::uuid() {
  const std::string_view text = view();
  if (text.empty()) return {};
  const auto id = Uuid::parse_hex(text);
  if (!id.ok()) bad_field("uuid", text);
  return *id;
}

VersionId RowReader::version() {
  const std::string_view text = view();
  const auto id = VersionId::parse(text.substr(std::min<std::size_t>(2, text.size())));
  if (!id.ok()) bad_field("version id", text);
  return *id;
}

std::optional<VersionId> RowReader::maybe_version() {
  if (!next_is_null()) return version();
  skip();
  return std::nullopt;
}

std::string RowReader::bytes() {
  const std::string_view text = view();
  const auto raw = from_hex(text.substr(std::min<std::size_t>(2, text.size())));
  if (!raw.ok()) bad_field("bytea", text);
  return *raw;
}

}  // namespace mimeo::store
