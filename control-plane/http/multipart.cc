#include "control-plane/http/multipart.h"

#include "common/http/message.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kLongestHeaders = 16 * 1024;
constexpr std::size_t kLongestBoundary = 70;  // RFC 2046 section 5.1.1.
constexpr int kMostParts = 200;

Status malformed(std::string_view what) {
  return absl::InvalidArgumentError(concat("malformed multipart/form-data: ", what));
}

// The value of ";name=value" or ";name="value"" in a header field. In quotes, \" and %22 are what
// clients write for a quote.
std::optional<std::string> parameter(std::string_view field, std::string_view name) {
  std::size_t at = field.find(';');
  while (at != std::string_view::npos && at < field.size()) {
    std::size_t begin = field.find_first_not_of("; \t", at);
    if (begin == std::string_view::npos) return std::nullopt;
    const std::size_t equals = field.find('=', begin);
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = trimmed(field.substr(begin, equals - begin));
    std::string value;
    std::size_t i = equals + 1;
    if (i < field.size() && field[i] == '"') {
      for (++i; i < field.size() && field[i] != '"'; ++i) {
        const bool is_escape = field[i] == '\\' && i + 1 < field.size() &&
                               (field[i + 1] == '"' || field[i + 1] == '\\');
        if (is_escape) ++i;
        value.push_back(field[i]);
      }
      at = field.find(';', std::min(i, field.size()));
    } else {
      at = field.find(';', i);
      value = trimmed(field.substr(i, at - i));
    }
    if (equals_ignoring_case(key, name)) return value;
  }
  return std::nullopt;
}

// RFC 5987: UTF-8''percent-encoded.
std::optional<std::string> extended_filename(std::string_view field) {
  const std::optional<std::string> value = parameter(field, "filename*");
  if (!value || !starts_with_ignoring_case(*value, "utf-8'")) return std::nullopt;
  const std::size_t quote = value->find('\'', 6);
  if (quote == std::string::npos) return std::nullopt;
  return http::percent_decode(std::string_view(*value).substr(quote + 1));
}

Result<PartHead> parse_head(std::string_view block) {
  PartHead head;
  bool has_name = false;
  for (const std::string_view line : split(block, "\r\n")) {
    if (line.empty()) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return malformed("a part's header has no colon");
    const std::string_view name = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (equals_ignoring_case(name, "content-type")) head.content_type = value;
    if (!equals_ignoring_case(name, "content-disposition")) continue;
    if (const auto found = parameter(value, "name")) {
      head.name = *found;
      has_name = true;
    }
    head.filename = extended_filename(value);
    if (!head.filename) head.filename = parameter(value, "filename");
  }
  if (!has_name) return malformed("a part has no name");
  return head;
}

}  // namespace

std::optional<std::string> multipart_boundary(std::string_view content_type) {
  const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  if (!equals_ignoring_case(type, "multipart/form-data")) return std::nullopt;
  std::optional<std::string> boundary = parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > kLongestBoundary) return std::nullopt;
  return boundary;
}

MultipartParser::MultipartParser(std::string_view boundary, PartSink& sink)
    : delimiter_(concat("\r\n--", boundary)), sink_(sink), buffer_("\r\n") {}

Status MultipartParser::feed(std::string_view data) {
  buffer_.append(data);
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const bool goes_on, step());
    if (!goes_on) return absl::OkStatus();
  }
}

Status MultipartParser::finish() {
  if (state_ != State::kEpilogue) return malformed("it ends early");
  return absl::OkStatus();
}

Result<bool> MultipartParser::step() {
  switch (state_) {
    case State::kPreamble:
      return skip_preamble();
    case State::kAfterBoundary:
      return after_boundary();
    case State::kHeaders:
      return read_headers();
    case State::kData:
      return read_data();
    case State::kEpilogue:
      epilogue_ += buffer_.size();
      buffer_.clear();
      if (epilogue_ > kLongestHeaders) return malformed("too much behind the last part");
      return false;
  }
  return false;
}

Result<bool> MultipartParser::skip_preamble() {
  const std::size_t at = buffer_.find(delimiter_);
  if (at == std::string::npos) {
    if (buffer_.size() > kLongestHeaders) return malformed("the boundary does not appear");
    return false;
  }
  buffer_.erase(0, at + delimiter_.size());
  state_ = State::kAfterBoundary;
  return true;
}

Result<bool> MultipartParser::after_boundary() {
  if (buffer_.starts_with("--")) {
    state_ = State::kEpilogue;
    return true;
  }
  const std::size_t end = buffer_.find("\r\n");
  if (end == std::string::npos) {
    if (buffer_.size() > kLongestHeaders) return malformed("text behind a boundary");
    return false;
  }
  if (buffer_.find_first_not_of(" \t") < end) return malformed("text behind a boundary");
  if (++parts_ > kMostParts) return malformed("too many parts");
  // The line end stays: a part without headers begins with an empty line.
  buffer_.erase(0, end);
  state_ = State::kHeaders;
  return true;
}

Result<bool> MultipartParser::read_headers() {
  const std::size_t end = buffer_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (buffer_.size() > kLongestHeaders) return malformed("a part's headers are too large");
    return false;
  }
  if (end > kLongestHeaders) return malformed("a part's headers are too large");
  MIMEO_ASSIGN_OR_RETURN(PartHead head, parse_head(std::string_view(buffer_).substr(0, end)));
  MIMEO_RETURN_IF_ERROR(sink_.begin_part(std::move(head)));
  buffer_.erase(0, end + 4);
  state_ = State::kData;
  return true;
}

Result<bool> MultipartParser::read_data() {
  const std::size_t at = buffer_.find(delimiter_);
  if (at == std::string::npos) {
    // The delimiter may have begun: its possible beginning stays.
    if (buffer_.size() < delimiter_.size()) return false;
    const std::size_t sure = buffer_.size() - (delimiter_.size() - 1);
    MIMEO_RETURN_IF_ERROR(sink_.part_data(std::string_view(buffer_).substr(0, sure)));
    buffer_.erase(0, sure);
    return false;
  }
  if (at > 0) MIMEO_RETURN_IF_ERROR(sink_.part_data(std::string_view(buffer_).substr(0, at)));
  MIMEO_RETURN_IF_ERROR(sink_.end_part());
  buffer_.erase(0, at + delimiter_.size());
  state_ = State::kAfterBoundary;
  return true;
}

}  // namespace mimeo::control
