// One prediction in the server: its inputs, what came out of it so far, and who waits for more.
//
// The model's thread writes, coroutines of the HTTP thread read. Events are kept for replay, as
// Cog's stream does (a late or returning reader gets all of them).

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/async/signal_event.h"
#include "common/base/clock.h"
#include "sdk/cpp/model.h"

namespace mimeo::sdk {

// One event of Cog's container stream: "start", "output", "log", "metric", "completed".
struct StreamEvent {
  std::string name;
  Json data;
};

// What a reader gets at once. `skipped` events are gone for it: it was too slow, or came too late.
struct StreamBatch {
  std::vector<StreamEvent> events;
  std::size_t next = 0;  // Where to go on.
  std::size_t skipped = 0;
};

// Uploads one file of the prediction with this id and returns its output value; blocking.
using Uploader = std::function<Json(const std::filesystem::path&, const std::string& id)>;

// What a request for a prediction said.
struct RunRequest {
  std::string id;
  Json input = Json::object();  // As sent.
  Json context = Json::object();
};

class Run final : public Prediction, public std::enable_shared_from_this<Run> {
 public:
  enum class Status { kStarting, kProcessing, kSucceeded, kFailed, kCanceled };

  // `values` is the validated input.
  Run(boost::asio::any_io_executor executor, RunRequest request, Json values, Uploader uploader,
      std::function<int()> in_flight);
  ~Run() override;

  // Of the model's thread.
  [[nodiscard]] const Json& inputs() const override { return values_; }
  void emit(Json item) override;
  void emit_file(const std::filesystem::path& path) override;
  [[nodiscard]] Json upload(const std::filesystem::path& path) override;
  void log(std::string_view line) override;
  void metric(std::string_view name, Json value, MetricMode mode) override;
  [[nodiscard]] bool is_canceled() const override;
  bool sleep_for(std::chrono::milliseconds duration) override;
  [[nodiscard]] int in_flight() const override { return in_flight_(); }
  [[nodiscard]] std::filesystem::path scratch() override;
  [[nodiscard]] const std::string& id() const override { return request_.id; }
  [[nodiscard]] const Json& context() const override { return request_.context; }

  // Replaces a validated input, before start(): file URLs become local paths.
  void set_input(const std::string& name, Json value) { values_[name] = std::move(value); }
  void start();
  // Ends it: `output` counts unless items were emitted; `error` with kFailed.
  void finish(Status status, Json output, std::string error, bool is_list_output);

  // Removes the temporary files now rather than with the last reference.
  void remove_scratch();

  // Of the HTTP thread.
  void cancel();
  [[nodiscard]] bool is_done() const;
  // Bodies of Cog's answers.
  [[nodiscard]] Json result() const;    // Terminal.
  [[nodiscard]] Json snapshot() const;  // Any time.
  // Events from `from` on; at once if there are some, else when there are, or none after `limit`.
  boost::asio::awaitable<StreamBatch> events(std::size_t from, std::chrono::milliseconds limit);
  // Suspends until it is done.
  boost::asio::awaitable<void> wait();

  int readers = 0;                  // Streams that are open.
  bool is_owned_by_stream = false;  // Ends when the last of them closes.

 private:
  void add_event(std::string name, Json data);  // Under mutex_.
  StreamBatch take_events(std::size_t from) const;
  void wake();
  [[nodiscard]] Json output_value() const;   // Under mutex_.
  [[nodiscard]] Json terminal_body() const;  // Under mutex_.

  const RunRequest request_;
  Json values_;
  const Uploader uploader_;
  const std::function<int()> in_flight_;
  boost::asio::any_io_executor executor_;

  mutable std::mutex mutex_;
  std::condition_variable canceled_changed_;
  Status status_ = Status::kStarting;  // Guarded by mutex_, as are the rest.
  bool cancel_wanted_ = false;
  bool is_waking_ = false;
  bool is_list_output_ = false;
  std::deque<StreamEvent> events_;
  std::size_t first_event_ = 0;  // The number of events_.front().
  std::size_t events_size_ = 0;  // Of their text, about.
  Json emitted_ = Json::array();
  Json output_;
  std::string logs_, error_;
  Json metrics_ = Json::object();
  SteadyTime started_;
  WallTime started_at_, completed_at_;
  std::filesystem::path scratch_;

  SignalEvent changed_;  // HTTP thread only.
};

// "starting", "processing", "succeeded", "failed", "canceled".
[[nodiscard]] std::string_view to_string(Run::Status status);

}  // namespace mimeo::sdk
