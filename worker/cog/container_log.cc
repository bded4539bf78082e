#include "worker/cog/container_log.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "worker/cog/capped_log.h"

namespace mimeo::worker::cog {
namespace {

using nlohmann::json;

// The end of the file, beginning at the start of a line.
std::string read_tail(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const std::streamoff size = file.tellg();
  const std::streamoff begin = std::max<std::streamoff>(0, size - std::streamoff{kTailBytes});
  std::string text(static_cast<std::size_t>(size - begin), '\0');
  file.seekg(begin);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
  if (begin > 0) text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
  return text;
}

template <class Use>
void for_each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::string unwrap_json_file(std::string_view lines) {
  std::string out;
  for_each_line(lines, [&out](std::string_view line) {
    if (line.empty()) return;
    // Docker writes {"log":"...\n","stream":"stderr","time":"..."}; "log" comes first.
    const bool may_be_wrapped = line.substr(0, 8) == R"({"log":")";
    const json wrapped =
        may_be_wrapped ? json::parse(line, nullptr, /*allow_exceptions=*/false) : json();
    if (wrapped.is_object() && wrapped.contains("stream")) {
      out.append(text_at(wrapped, "log"));
    } else {
      out.append(line).append("\n");
    }
  });
  return out;
}

std::optional<std::string> find_prediction_log(std::string_view text, std::string_view prediction) {
  std::string log;
  bool is_over = false;
  for_each_line(text, [&](std::string_view line) {
    if (line.find(prediction) == std::string_view::npos) return;
    const json parsed = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!parsed.is_object()) return;
    const json fields = parsed.value("fields", json());
    if (!fields.is_object() || text_at(fields, "prediction_id") != prediction) return;
    const std::string message = text_at(fields, "message");
    if (fields.contains("source")) {  // Printed by the model; the server's own lines lack it.
      log.append(message).append("\n");
    } else if (message == "Prediction failed" || message == "Prediction cancelled" ||
               message == "Prediction succeeded") {
      is_over = true;
    }
  });
  if (!is_over) return std::nullopt;
  return log;
}

std::string readable_log(std::string_view lines) {
  std::string out;
  for_each_line(lines, [&out](std::string_view line) {
    const json parsed = line.starts_with('{') ? json::parse(line, nullptr, false) : json();
    if (!parsed.is_object()) {
      out.append(line).append("\n");
      return;
    }
    const json fields = parsed.value("fields", json());  // coglet; Python has it outside.
    const std::string message = text_at(fields.is_object() ? fields : parsed, "message");
    out.append(message.empty() ? line : std::string_view(message)).append("\n");
  });
  return out;
}

std::string log_tail(const std::string& path, std::size_t limit) {
  if (path.empty()) return {};
  const std::string text = readable_log(unwrap_json_file(read_tail(path)));
  return to_valid_utf8(utf8_suffix(text, limit));
}

std::optional<std::string> prediction_log(const std::string& path, const std::string& prediction) {
  return find_prediction_log(unwrap_json_file(read_tail(path)), prediction);
}

}  // namespace mimeo::worker::cog
