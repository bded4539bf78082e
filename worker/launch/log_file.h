// What a container prints, in two files of limited size: the current one and the one before.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "common/base/descriptor.h"
#include "common/base/units.h"

namespace mimeo::worker {

class LogFile {
 public:
  // `old` takes the place of the current file when that has reached `limit`.
  LogFile(std::filesystem::path current, std::filesystem::path old, Bytes limit);
  // What cannot be written (a full disk) is lost: the container goes on.
  void write(std::string_view text);

 private:
  void open();

  const std::filesystem::path current_;
  const std::filesystem::path old_;
  const Bytes limit_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

}  // namespace mimeo::worker
