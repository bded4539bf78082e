#include "worker/container/runtime.h"

#include <array>
#include <csignal>
#include <cstring>

namespace mimeo::worker {

std::string ImageName::reference() const { return registry + "/" + repository + "@" + digest; }

std::string to_text(Bytes size) {
  static constexpr std::array<std::pair<std::uint64_t, const char*>, 3> kUnits{
      {{1ULL << 30, " GiB"}, {1ULL << 20, " MiB"}, {1ULL << 10, " KiB"}}};
  for (const auto& [unit, name] : kUnits) {
    if (size.count < unit) continue;
    const std::uint64_t tenths = size.count * 10 / unit;
    std::string text = std::to_string(tenths / 10);
    if (tenths % 10 != 0) text += "." + std::to_string(tenths % 10);
    return text + name;
  }
  return std::to_string(size.count) + " B";
}

std::string signal_name(int signal) {
  const char* abbreviation = sigabbrev_np(signal);
  if (abbreviation == nullptr) return "signal " + std::to_string(signal);
  return std::string("SIG") + abbreviation;
}

std::string ContainerExit::describe(Bytes memory_limit) const {
  if (is_out_of_memory) {
    if (memory_limit.count == 0) return "ran out of memory";
    return "ran out of memory (limit " + to_text(memory_limit) + ")";
  }
  if (!engine_error.empty()) return "could not be run: " + engine_error;
  if (!code) return "ended";
  if (*code > 128 && *code < 128 + 65) {
    const int signal = *code - 128;
    return "was killed by signal " + std::to_string(signal) + " (" + signal_name(signal) + ")";
  }
  return "exited with code " + std::to_string(*code);
}

std::string last_lines(std::string_view text, std::size_t lines) {
  if (lines == 0) return {};
  std::size_t end = text.size();
  if (end > 0 && text[end - 1] == '\n') --end;
  std::size_t position = end;
  while (position > 0) {
    const std::size_t newline = text.rfind('\n', position - 1);
    if (newline == std::string_view::npos) return std::string(text);
    if (--lines == 0) return std::string(text.substr(newline + 1));
    position = newline;
  }
  return std::string(text);
}

}  // namespace mimeo::worker
