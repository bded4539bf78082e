#include "sdk/cpp/run.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <stdexcept>

#include "common/base/clock.h"
#include "common/base/time_format.h"

namespace mimeo::sdk {
namespace {

constexpr std::size_t kKeptEvents = 1024;
constexpr std::size_t kKeptSize = 16UL << 20U;
constexpr std::size_t kEventSize = 256;  // Beside its text.

std::string_view to_string(MetricMode mode) {
  switch (mode) {
    case MetricMode::kIncrement:
      return "increment";
    case MetricMode::kAppend:
      return "append";
    default:
      return "replace";
  }
}

void check_metric_name(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  };
  const bool begins_well = !name.empty() && name[0] != '_' && name[0] != '.' &&
                           !(name[0] >= '0' && name[0] <= '9') && name.back() != '.';
  const bool is_ours = name == "predict_time" || name.starts_with("cog.");
  if (!begins_well || is_ours || name.size() > 128 ||
      std::count(name.begin(), name.end(), '.') > 3 ||
      !std::all_of(name.begin(), name.end(), is_plain) ||
      name.find("..") != std::string_view::npos || name.find("__") != std::string_view::npos) {
    throw std::invalid_argument("'" + std::string(name) + "' cannot be the name of a metric");
  }
}

Json sum(const Json& before, const Json& value, std::string_view name) {
  if (!value.is_number() || !(before.is_null() || before.is_number())) {
    throw std::invalid_argument("the metric '" + std::string(name) + "' is not a number");
  }
  if (before.is_null()) return value;
  if (before.is_number_integer() && value.is_number_integer()) {
    return before.get<std::int64_t>() + value.get<std::int64_t>();
  }
  return before.get<double>() + value.get<double>();
}

}  // namespace

std::string_view to_string(Run::Status status) {
  switch (status) {
    case Run::Status::kStarting:
      return "starting";
    case Run::Status::kProcessing:
      return "processing";
    case Run::Status::kSucceeded:
      return "succeeded";
    case Run::Status::kFailed:
      return "failed";
    case Run::Status::kCanceled:
      return "canceled";
  }
  return "failed";
}

Run::Run(boost::asio::any_io_executor executor, RunRequest request, Json values, Uploader uploader,
         std::function<int()> in_flight)
    : request_(std::move(request)),
      values_(std::move(values)),
      uploader_(std::move(uploader)),
      in_flight_(std::move(in_flight)),
      executor_(executor),
      changed_(executor) {}

Run::~Run() { remove_scratch(); }

void Run::remove_scratch() {
  const std::lock_guard lock(mutex_);
  if (scratch_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(scratch_, ignored);
  scratch_.clear();
}

void Run::add_event(std::string name, Json data) {
  const auto size_of = [](const StreamEvent& event) {
    const auto text = event.data.find(event.name == "log" ? "data" : "chunk");
    const bool has_text = text != event.data.end() && text->is_string();
    return kEventSize + (has_text ? text->get_ref<const std::string&>().size() : 0);
  };
  events_.push_back({std::move(name), std::move(data)});
  events_size_ += size_of(events_.back());
  // Cog keeps 1,024 events. So many are kept here as well, and more while they are small: a model
  // that emits faster than a reader reads does not break the reader's stream at once.
  while (events_.size() > kKeptEvents && events_size_ > kKeptSize) {
    events_size_ -= size_of(events_.front());
    events_.pop_front();
    ++first_event_;
  }
  if (is_waking_) return;  // One wake-up for all that comes until it runs.
  is_waking_ = true;
  wake();
}

void Run::wake() {
  boost::asio::post(executor_, [self = shared_from_this()] {
    {
      std::lock_guard lock(self->mutex_);
      self->is_waking_ = false;
    }
    self->changed_.set();
  });
}

void Run::start() {
  std::lock_guard lock(mutex_);
  status_ = Status::kProcessing;
  started_ = SystemClock().steady();
  started_at_ = SystemClock().now();
  add_event("start", {{"id", id()}, {"status", "processing"}});
}

void Run::emit(Json item) {
  std::lock_guard lock(mutex_);
  add_event("output", {{"chunk", item}, {"index", emitted_.size()}});
  emitted_.push_back(std::move(item));
}

void Run::emit_file(const std::filesystem::path& path) { emit(upload(path)); }
Json Run::upload(const std::filesystem::path& path) { return uploader_(path, id()); }

void Run::log(std::string_view line) {
  std::string text(line);
  if (text.empty() || text.back() != '\n') text += '\n';
  std::lock_guard lock(mutex_);
  logs_ += text;
  add_event("log", {{"source", "stdout"}, {"data", std::move(text)}});
}

void Run::metric(std::string_view name, Json value, MetricMode mode) {
  check_metric_name(name);
  std::lock_guard lock(mutex_);
  Json* parent = &metrics_;
  std::string_view rest = name;
  for (auto dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
    parent = &(*parent)[std::string(rest.substr(0, dot))];
    if (!parent->is_object()) *parent = Json::object();
    rest.remove_prefix(dot + 1);
  }
  const std::string key(rest);
  if (mode == MetricMode::kReplace && value.is_null()) {
    parent->erase(key);
  } else if (mode == MetricMode::kReplace) {
    (*parent)[key] = value;
  } else if (mode == MetricMode::kAppend) {
    Json& list = (*parent)[key];
    if (!list.is_array()) list = list.is_null() ? Json::array() : Json::array({list});
    list.push_back(value);
  } else {
    (*parent)[key] = sum((*parent)[key], value, name);
  }
  add_event("metric", {{"name", name}, {"value", std::move(value)}, {"mode", to_string(mode)}});
}

bool Run::is_canceled() const {
  std::lock_guard lock(mutex_);
  return cancel_wanted_;
}

bool Run::sleep_for(std::chrono::milliseconds duration) {
  std::unique_lock lock(mutex_);
  return !canceled_changed_.wait_for(lock, duration, [this] { return cancel_wanted_; });
}

std::filesystem::path Run::scratch() {
  std::lock_guard lock(mutex_);
  if (scratch_.empty()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "prediction-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw std::runtime_error("cannot make a temporary directory: " + pattern);
    }
    scratch_ = pattern;
  }
  return scratch_;
}

void Run::finish(Status status, Json output, std::string error, bool is_list_output) {
  std::lock_guard lock(mutex_);
  status_ = status;
  output_ = std::move(output);
  error_ = std::move(error);
  is_list_output_ = is_list_output;
  completed_at_ = SystemClock().now();
  const auto ran =
      std::chrono::duration_cast<std::chrono::microseconds>(SystemClock().steady() - started_);
  metrics_["predict_time"] = to_seconds(ran);
  add_event("completed", terminal_body());
}

void Run::cancel() {
  std::lock_guard lock(mutex_);
  cancel_wanted_ = true;
  canceled_changed_.notify_all();
}

bool Run::is_done() const {
  std::lock_guard lock(mutex_);
  return status_ >= Status::kSucceeded;
}

Json Run::output_value() const {
  if (!emitted_.empty() || (is_list_output_ && !output_.is_array())) return emitted_;
  return output_;
}

Json Run::terminal_body() const {
  Json body = {{"id", id()}};
  if (status_ == Status::kSucceeded) body["output"] = output_value();
  if (status_ == Status::kFailed) body["error"] = error_;
  body["logs"] = logs_;
  body["status"] = to_string(status_);
  body["metrics"] = metrics_;
  return body;
}

Json Run::result() const {
  std::lock_guard lock(mutex_);
  return terminal_body();
}

Json Run::snapshot() const {
  std::lock_guard lock(mutex_);
  const bool is_over = status_ >= Status::kSucceeded;
  Json body = terminal_body();
  if (!is_over && !emitted_.empty()) body["output"] = emitted_;
  body["input"] = request_.input;
  if (started_at_ != WallTime{}) body["started_at"] = to_rfc3339(started_at_);
  if (is_over) body["completed_at"] = to_rfc3339(completed_at_);
  return body;
}

StreamBatch Run::take_events(std::size_t from) const {
  std::lock_guard lock(mutex_);
  StreamBatch batch;
  if (from < first_event_) {
    batch.skipped = first_event_ - from;
    from = first_event_;
  }
  const auto begin =
      events_.begin() + static_cast<std::ptrdiff_t>(std::min(from - first_event_, events_.size()));
  batch.events.assign(begin, events_.end());
  batch.next = from + batch.events.size();
  return batch;
}

boost::asio::awaitable<StreamBatch> Run::events(std::size_t from, std::chrono::milliseconds limit) {
  for (;;) {
    changed_.reset();  // Before the look: what is added after it sets the event again.
    StreamBatch batch = take_events(from);
    if (!batch.events.empty()) co_return batch;
    const bool changed = co_await changed_.wait_for(limit);
    if (!changed) co_return batch;
  }
}

boost::asio::awaitable<void> Run::wait() {
  while (!is_done()) {
    changed_.reset();
    if (is_done()) break;
    const bool changed = co_await changed_.wait();
    if (!changed) co_return;  // Cancelled.
  }
}

}  // namespace mimeo::sdk
