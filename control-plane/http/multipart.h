// multipart/form-data (RFC 7578) in pieces as they arrive: nothing but the part headers is kept in
// memory. What a part means is the sink's business.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::control {

struct PartHead {
  std::string name;
  std::optional<std::string> filename;
  std::string content_type;  // Empty when the part has none.
};

// A status that is not OK ends the parsing with it.
class PartSink {
 public:
  virtual ~PartSink() = default;
  virtual Status begin_part(PartHead head) = 0;
  virtual Status part_data(std::string_view data) = 0;
  virtual Status end_part() = 0;
};

// The boundary in a Content-Type of multipart/form-data; nullopt for everything else.
[[nodiscard]] std::optional<std::string> multipart_boundary(std::string_view content_type);

// kInvalidArgument for malformed bodies. Used on one thread at a time.
class MultipartParser {
 public:
  // `sink` outlives the parser.
  MultipartParser(std::string_view boundary, PartSink& sink);
  Status feed(std::string_view data);
  // After the last feed(): the body must have ended properly.
  Status finish();

 private:
  enum class State { kPreamble, kAfterBoundary, kHeaders, kData, kEpilogue };
  // False: more data is needed.
  Result<bool> step();
  Result<bool> skip_preamble();
  Result<bool> after_boundary();
  Result<bool> read_headers();
  Result<bool> read_data();

  const std::string delimiter_;  // "\r\n--boundary"
  PartSink& sink_;
  State state_ = State::kPreamble;
  int parts_ = 0;
  std::size_t epilogue_ = 0;  // Bytes behind the last boundary.
  std::string buffer_;
};

}  // namespace mimeo::control
