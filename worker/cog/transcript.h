// What one run has said so far, pieced together from snapshots (webhooks, probes), from single
// events (SSE) and from the final answer, in any mixture and order. Turns it into events without
// repeats and into the end of the run.
//
// Pure: the conversation itself is cog_run.h.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "worker/cog/capped_log.h"
#include "worker/cog/line_ends.h"
#include "worker/cog/model_schema.h"

namespace mimeo::worker::cog {

using Json = nlohmann::ordered_json;  // Users' objects keep their order.

// What the server says became of a run.
enum class RunStatus : std::uint8_t { kSucceeded, kFailed, kCanceled };

struct RunEnd {
  enum class Kind : std::uint8_t {
    kFinished,  // The server said how it ended.
    kRefused,   // It never ran and will not: busy, not ready, or not reachable. `error` says which.
    kLost,      // The connection or the terminal event was lost; the model may have run.
  };
  Kind kind = Kind::kFinished;
  RunStatus status = RunStatus::kFailed;
  std::string output;   // JSON; empty = none. For kLost and failures: the items that did arrive.
  std::string error;    // For people; empty unless failed, refused or lost.
  std::string metrics;  // JSON object; empty = none.
  std::string logs;
};

// Where a run reports while it runs. Called on the run's executor.
class RunEvents {
 public:
  virtual ~RunEvents() = default;
  // The server took the request, which left at the time of this call or up to `ago` before. Once.
  virtual void on_started(std::chrono::microseconds ago) = 0;
  virtual void on_output(std::string item_json) = 0;
  virtual void on_log(std::string text) = 0;
  virtual void on_metric(std::string object_json) = 0;
  // The output is above its cap. Once; nothing of it is reported any more.
  virtual void on_too_large() = 0;
};

struct TranscriptLimits {
  std::size_t output_bytes = std::size_t{64} << 20U;
  std::size_t log_bytes = std::size_t{10} << 20U;
  std::size_t item_overhead_bytes = 64;  // Counted for each item: a million empty ones cost too.
};

class Transcript {
 public:
  // Changes values in place before they are reported: URLs of the gateway become references.
  using Localize = std::function<void(Json&)>;

  // `events` outlives the transcript.
  Transcript(OutputShape shape, TranscriptLimits limits, Localize localize, RunEvents& events);

  // A cumulative state of the run; may be older than one seen before.
  void snapshot(const Json& body);
  // Item number `index` of the output; repeats (a replayed stream) are dropped.
  void item(std::size_t index, Json value);
  // Text that follows what came before.
  void log(std::string_view text);
  // The same text as another source has it: whole, but perhaps with other white space. What is new
  // in it is added.
  void log_again(std::string_view text);
  // A stream is about to be replayed from its start: logs and metrics come again.
  void rewind();
  // One metric as coglet reports it: mode replace, increment or append; dots nest.
  void metric(std::string_view name, const Json& value, std::string_view mode);

  // The end, as the server's terminal body says; what it carries and was not reported yet is
  // reported first. `body` may lack anything but "status".
  [[nodiscard]] RunEnd finish(const Json& body);
  // The end without a terminal body: what arrived is kept.
  [[nodiscard]] RunEnd finish_without(RunEnd::Kind kind, std::string error);

  [[nodiscard]] bool is_too_large() const { return is_too_large_; }
  [[nodiscard]] bool has_logs() const { return log_seen_ > 0; }

 private:
  void items(const Json& array);
  void report_item(Json value);
  void whole_log(const std::string& text);
  void add_log(std::string_view text);
  void metrics(const Json& object);
  [[nodiscard]] RunEnd close(RunEnd end);
  [[nodiscard]] std::string partial_output() const;
  void too_large();

  const OutputShape shape_;
  const TranscriptLimits limits_;
  const Localize localize_;
  RunEvents& events_;

  CappedLog log_;
  LineEnds line_ends_;         // Between the server's log and log_; counts below are the server's.
  std::size_t log_seen_ = 0;   // Bytes of the server's log that are in log_.
  std::size_t log_marks_ = 0;  // Characters of it that are not white space.
  std::size_t skip_log_ = 0;   // Bytes that a replayed stream repeats.
  std::size_t items_ = 0;
  std::string joined_items_;  // "a,b,c": the partial output, without brackets.
  std::size_t output_bytes_ = 0;
  Json metrics_ = Json::object();
  bool is_too_large_ = false;
};

// The model's own words in an error of a server: coglet repeats "Prediction failed: ", sometimes
// with "Async prediction failed: " or "Training failed: " between, and begins the error of a model
// that yields with "Generator iteration error: ".
[[nodiscard]] std::string clean_error(std::string_view text);

// What a 422 or another refusal says, in one line: FastAPI's and coglet's "detail" lists, "error"
// strings, or plain text.
[[nodiscard]] std::string rejection_text(int status, std::string_view body);

// JSON text of a value; bytes that are no UTF-8 are replaced, never thrown at.
[[nodiscard]] std::string dump(const Json& value);

}  // namespace mimeo::worker::cog
