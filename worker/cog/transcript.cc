#include "worker/cog/transcript.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace mimeo::worker::cog {
namespace {

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_mark(char c) { return !absl::ascii_isspace(static_cast<unsigned char>(c)); }

Json number_sum(const Json& a, const Json& b) {
  if (a.is_number_integer() && b.is_number_integer()) {
    return a.get<std::int64_t>() + b.get<std::int64_t>();
  }
  return a.get<double>() + b.get<double>();
}

// As coglet's Prediction::set_metric does it, so that both ends agree.
void apply_metric(Json& at, const std::string& key, const Json& value, std::string_view mode) {
  if (mode == "increment") {
    Json& have = at[key];
    if (have.is_null()) have = 0;
    if (have.is_number() && value.is_number()) have = number_sum(have, value);
  } else if (mode == "append") {
    Json& have = at[key];
    if (have.is_null()) {
      have = Json::array();
    } else if (!have.is_array()) {
      have = Json::array({have});
    }
    have.push_back(value);
  } else if (value.is_null()) {
    at.erase(key);
  } else {
    at[key] = value;
  }
}

// "body.input.n: too large" of one entry of a "detail" list.
std::string detail_text(const Json& entry) {
  if (entry.is_string()) return entry.get<std::string>();
  if (!entry.is_object()) return dump(entry);
  std::string where;
  if (const auto loc = entry.find("loc"); loc != entry.end() && loc->is_array()) {
    for (const Json& part : *loc) {
      const std::string word = part.is_string() ? part.get<std::string>() : dump(part);
      if (word == "body" || word == "input" || word == "__root__") continue;
      absl::StrAppend(&where, where.empty() ? "" : ".", word);
    }
  }
  const std::string what = text_at(entry, "msg");
  return where.empty() ? what : absl::StrCat(where, ": ", what);
}

}  // namespace

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string clean_error(std::string_view text) {
  static constexpr std::string_view kPrefixes[] = {
      "Prediction failed: ", "Async prediction failed: ", "Training failed: ",
      "Async training failed: ", "Generator iteration error: "};
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (const std::string_view prefix : kPrefixes) {
      // "Prediction failed: " alone, with nothing behind it, is all that there is: keep it.
      if (text.size() <= prefix.size() || !text.starts_with(prefix)) continue;
      text.remove_prefix(prefix.size());
      has_changed = true;
    }
  }
  return std::string(text);
}

std::string rejection_text(int status, std::string_view body) {
  const Json parsed = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_object()) {
    if (const auto detail = parsed.find("detail"); detail != parsed.end()) {
      if (!detail->is_array()) return detail_text(*detail);
      std::string text;
      for (const Json& entry : *detail) {
        absl::StrAppend(&text, text.empty() ? "" : "; ", detail_text(entry));
      }
      if (!text.empty()) return text;
    }
    if (std::string error = text_at(parsed, "error"); !error.empty()) return clean_error(error);
  }
  std::string plain = to_valid_utf8(utf8_prefix(body, 1000));
  absl::StripAsciiWhitespace(&plain);
  return plain.empty() ? absl::StrCat("the model server answered ", status)
                       : absl::StrCat("the model server answered ", status, ": ", plain);
}

Transcript::Transcript(OutputShape shape, TranscriptLimits limits, Localize localize,
                       RunEvents& events)
    : shape_(shape),
      limits_(limits),
      localize_(std::move(localize)),
      events_(events),
      log_(limits.log_bytes) {}

void Transcript::snapshot(const Json& body) {
  if (!body.is_object()) return;
  if (const auto logs = body.find("logs"); logs != body.end() && logs->is_string()) {
    whole_log(logs->get_ref<const std::string&>());
  }
  if (const auto output = body.find("output"); output != body.end()) items(*output);
  if (const auto values = body.find("metrics"); values != body.end()) metrics(*values);
}

void Transcript::items(const Json& array) {
  // A scalar model shows a list of one while it runs: only the final answer counts there.
  if (shape_ == OutputShape::kValue || !array.is_array()) return;
  for (std::size_t i = items_; i < array.size(); ++i) report_item(array[i]);
}

void Transcript::item(std::size_t index, Json value) {
  if (index < items_ || shape_ == OutputShape::kValue) return;
  report_item(std::move(value));
}

void Transcript::report_item(Json value) {
  ++items_;
  if (is_too_large_) return;
  if (localize_) localize_(value);
  std::string text = dump(value);
  output_bytes_ += text.size() + limits_.item_overhead_bytes;
  if (output_bytes_ > limits_.output_bytes) {
    too_large();
    return;
  }
  absl::StrAppend(&joined_items_, joined_items_.empty() ? "" : ",", text);
  events_.on_output(std::move(text));
}

void Transcript::too_large() {
  if (is_too_large_) return;
  is_too_large_ = true;
  joined_items_.clear();
  events_.on_too_large();
}

void Transcript::whole_log(const std::string& text) {
  if (text.size() <= log_seen_) return;  // Older than what we have.
  add_log(std::string_view(text).substr(log_seen_));
}

void Transcript::log(std::string_view text) {
  const std::size_t again = std::min(skip_log_, text.size());
  skip_log_ -= again;
  add_log(text.substr(again));
}

void Transcript::log_again(std::string_view text) {
  std::size_t skip = log_marks_;
  std::size_t at = 0;
  for (; at < text.size() && skip > 0; ++at) skip -= is_mark(text[at]) ? 1 : 0;
  while (at > 0 && at < text.size() && !is_mark(text[at])) ++at;
  add_log(text.substr(at));
}

void Transcript::rewind() {
  skip_log_ = log_seen_;
  metrics_ = Json::object();
}

void Transcript::add_log(std::string_view text) {
  if (text.empty()) return;
  log_seen_ += text.size();
  log_marks_ += static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_mark));
  std::string now = log_.append(line_ends_.append(text));
  if (!now.empty()) events_.on_log(std::move(now));
}

void Transcript::metric(std::string_view name, const Json& value, std::string_view mode) {
  const std::vector<std::string> path = absl::StrSplit(std::string(name), '.');
  for (const std::string& segment : path) {
    if (segment.empty()) return;
  }
  Json* at = &metrics_;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    Json& next = (*at)[path[i]];
    if (!next.is_object()) next = Json::object();
    at = &next;
  }
  apply_metric(*at, path.back(), value, mode);
  Json changed = Json::object();
  const auto root = metrics_.find(path.front());
  changed[path.front()] = root == metrics_.end() ? Json() : *root;
  events_.on_metric(dump(changed));
}

void Transcript::metrics(const Json& object) {
  if (!object.is_object()) return;
  Json changed = Json::object();
  for (const auto& [name, value] : object.items()) {
    if (name == "predict_time") continue;  // The server's clock, not the model's word.
    const auto have = metrics_.find(name);
    if (have != metrics_.end() && *have == value) continue;
    metrics_[name] = value;
    changed[name] = value;
  }
  if (!changed.empty()) events_.on_metric(dump(changed));
}

RunEnd Transcript::finish(const Json& body) {
  snapshot(body);
  RunEnd end;
  const std::string status = text_at(body, "status");
  if (status == "succeeded" || status == "success") {  // The latter from 0.1.
    end.status = RunStatus::kSucceeded;
  } else if (status == "canceled") {
    end.status = RunStatus::kCanceled;
  } else {
    end.error = clean_error(text_at(body, "error"));
    if (end.error.empty()) end.error = "the model failed without a message";
  }
  const auto output = body.find("output");
  if (output != body.end() && !output->is_null() && !is_too_large_) {
    // The final value, not the joined items: uploads may have arrived in another order.
    Json value = *output;
    if (localize_) localize_(value);
    end.output = dump(value);
    if (end.output.size() > limits_.output_bytes) too_large();
  } else if (end.status != RunStatus::kSucceeded) {
    end.output = partial_output();
  }
  if (const auto values = body.find("metrics"); values != body.end() && values->is_object()) {
    if (!values->empty()) end.metrics = dump(*values);
  } else if (!metrics_.empty()) {
    end.metrics = dump(metrics_);
  }
  return close(std::move(end));
}

RunEnd Transcript::finish_without(RunEnd::Kind kind, std::string error) {
  RunEnd end;
  end.kind = kind;
  end.error = std::move(error);
  end.output = partial_output();
  if (!metrics_.empty()) end.metrics = dump(metrics_);
  return close(std::move(end));
}

RunEnd Transcript::close(RunEnd end) {
  if (is_too_large_) {
    end.output.clear();
    end.kind = RunEnd::Kind::kFinished;
    end.status = RunStatus::kFailed;
    end.error = absl::StrCat("output too large: more than ", limits_.output_bytes >> 20U, " MiB");
  }
  if (std::string rest = log_.finish(); !rest.empty()) events_.on_log(std::move(rest));
  end.logs = log_.text();
  return end;
}

std::string Transcript::partial_output() const {
  if (items_ == 0 || is_too_large_) return {};
  return absl::StrCat("[", joined_items_, "]");
}

}  // namespace mimeo::worker::cog
