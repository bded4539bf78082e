// One attempt inside of the shim: its run, its events, its result. Used by attempts.cc only.

#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "common/base/clock.h"
#include "worker/cog/cog_run.h"
#include "worker/shim/event_spool.h"
#include "worker/shim/outcome.h"
#include "worker/shim/shim.pb.h"

namespace mimeo::worker {

// "<prediction>-<attempt>": the name of an attempt in paths and maps.
[[nodiscard]] std::string attempt_key(const v1::AttemptId& id);
// Whether `id` may be part of a path: what comes from the daemon is trusted, but not that far.
[[nodiscard]] bool is_plain_id(const v1::AttemptId& id);

class Attempt final : public cog::RunEvents, public std::enable_shared_from_this<Attempt> {
 public:
  struct Hooks {
    std::function<void()> wake;                // There are events to send.
    std::function<void(CancelReason)> end_it;  // The run limit passed, or the output is too large.
  };

  Attempt(StartAttempt start, const std::string& spool_dir, std::size_t spool_memory,
          boost::asio::any_io_executor executor, const Clock& clock, Hooks hooks);

  // cog::RunEvents.
  void on_started(std::chrono::microseconds ago) override;
  void on_output(std::string item_json) override;
  void on_log(std::string text) override;
  void on_metric(std::string object_json) override;
  void on_too_large() override;

  // Fills in the result; the caller writes its file.
  void finish(const cog::RunEnd& end, const Ending& ending, const std::string& instance_id);

  // Frames of what the connected daemon has not got, until `out` has `limit` bytes.
  void collect(std::string& out, std::size_t limit);
  void describe(AttemptState* state) const;

  const v1::AttemptId id;
  const std::string key;
  const std::chrono::milliseconds run_limit;
  const SteadyTime received_at;
  StartAttempt request;  // Its input is moved into the run.
  bool has_input_files = false;

  std::shared_ptr<cog::CogRun> run;  // Null before it is made and after it ended.
  std::string webhook_url;           // Empty = none.
  std::set<std::string> uploads;     // Output files that its outputs name.
  EventSpool spool;
  CancelReason cancel_reason = CancelReason::kNone;
  bool is_started = false;
  bool is_finished = false;
  bool is_forgotten = false;
  FromShim result;  // Once finished.

  // What the connected daemon has got.
  std::uint64_t sent_seq = 0;
  bool is_result_sent = false;

 private:
  void add(SpooledKind kind, std::string data);

  const Clock& clock_;
  const Hooks hooks_;
  SteadyTime started_at_{};
  SteadyTime ended_at_{};
  boost::asio::steady_timer limit_timer_;
};

}  // namespace mimeo::worker
