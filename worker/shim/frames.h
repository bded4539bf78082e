// The framing of shim.proto: 4 bytes of length, big-endian, then one message.

#pragma once

#include <google/protobuf/message_lite.h>

#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::worker {

void append_message_frame(std::string& out, const google::protobuf::MessageLite& message);

// Takes the frames out of a stream of bytes.
class FrameSplitter {
 public:
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next message's bytes; nullopt when it is not complete yet; kInvalidArgument when the length
  // cannot be right.
  [[nodiscard]] Result<std::optional<std::string>> next();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;
};

}  // namespace mimeo::worker
