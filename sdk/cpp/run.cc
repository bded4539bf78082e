#include "sdk/cpp/run.h"

#include <unistd.h>

#include <boost/asio/post.hpp>

#include "common/base/clock.h"
#include "common/base/time_format.h"

namespace mimeo::sdk {

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

Run::Run(boost::asio::any_io_executor executor, std::string id, Json original_input, Json values,
         Uploader uploader, std::function<int()> in_flight)
    : id_(std::move(id)),
      original_input_(std::move(original_input)),
      values_(std::move(values)),
      uploader_(std::move(uploader)),
      in_flight_(std::move(in_flight)),
      executor_(executor),
      changed_(executor) {}

Run::~Run() {
  if (scratch_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(scratch_, ignored);
}

void Run::add_event(std::string name, Json data) {
  events_.push_back({std::move(name), std::move(data)});
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
  add_event("start", {{"id", id_}, {"status", "processing"}});
}

void Run::emit(Json item) {
  std::lock_guard lock(mutex_);
  add_event("output", {{"chunk", item}, {"index", emitted_.size()}});
  emitted_.push_back(std::move(item));
}

void Run::emit_file(const std::filesystem::path& path) { emit(upload(path)); }
Json Run::upload(const std::filesystem::path& path) { return uploader_(path); }

void Run::log(std::string_view line) {
  std::string text(line);
  if (text.empty() || text.back() != '\n') text += '\n';
  std::lock_guard lock(mutex_);
  logs_ += text;
  add_event("log", {{"source", "stdout"}, {"data", std::move(text)}});
}

void Run::metric(std::string_view name, Json value) {
  std::lock_guard lock(mutex_);
  metrics_[std::string(name)] = value;
  add_event("metric", {{"name", name}, {"value", std::move(value)}, {"mode", "replace"}});
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
  if (started_ != SteadyTime{}) {
    const auto ran =
        std::chrono::duration_cast<std::chrono::microseconds>(SystemClock().steady() - started_);
    metrics_["predict_time"] = to_seconds(ran);
  }
  Json data = {{"id", id_}, {"status", to_string(status)}, {"logs", logs_}};
  if (status == Status::kSucceeded) data["output"] = output_value();
  if (status == Status::kFailed) data["error"] = error_;
  data["metrics"] = metrics_;
  add_event("completed", std::move(data));
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

Json Run::result() const {
  std::lock_guard lock(mutex_);
  Json body = {{"id", id_}};
  if (status_ == Status::kSucceeded) body["output"] = output_value();
  if (status_ == Status::kFailed) body["error"] = error_;
  body["logs"] = logs_;
  body["status"] = to_string(status_);
  body["metrics"] = metrics_;
  return body;
}

Json Run::snapshot() const {
  std::lock_guard lock(mutex_);
  Json body = {{"id", id_}, {"status", to_string(status_)}, {"logs", logs_}};
  const bool done = status_ >= Status::kSucceeded;
  if (done && status_ == Status::kSucceeded) body["output"] = output_value();
  if (!done && !emitted_.empty()) body["output"] = emitted_;
  if (status_ == Status::kFailed) body["error"] = error_;
  body["metrics"] = metrics_;
  body["input"] = original_input_;
  return body;
}

boost::asio::awaitable<std::vector<StreamEvent>> Run::events(std::size_t from,
                                                             std::chrono::milliseconds limit) {
  std::vector<StreamEvent> found;
  for (;;) {
    changed_.reset();  // Before the look: what is added after it sets the event again.
    {
      std::lock_guard lock(mutex_);
      if (from < events_.size()) {
        found.assign(events_.begin() + static_cast<std::ptrdiff_t>(from), events_.end());
      }
    }
    if (!found.empty()) co_return found;
    const bool changed = co_await changed_.wait_for(limit);
    if (!changed) co_return found;
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
