// One prediction or training in a Cog server, from the request to its end, whichever generation the
// server is. The caller sees one interface; how each generation is driven:
//
//   coglet, with events  PUT, Accept: text/event-stream; a broken stream is taken up again once.
//   coglet               synchronous PUT; while it lasts, probes of the same id show output and
//   logs. Python, Go           PUT with Prefer: respond-async and a webhook to the gateway. legacy
//   synchronous POST.
//
// Why coglet gets no webhook: naming one makes it build an HTTP client with TLS roots for each
// prediction, 5 to 7 ms on top of 1 (docs/adr/0006). A probe is a PUT of the same id whose input is
// the number 0: while the id is in flight it answers 202 with the state so far; otherwise the
// server's own validation refuses it with 422, so that it can never start a second run. Servers
// that have no schema to validate with (or are older than 0.21) get a webhook instead.
//
// What becomes of the events and the end: worker/shim/attempts.h.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/http/client.h"
#include "worker/cog/connections.h"
#include "worker/cog/model_schema.h"
#include "worker/cog/server_health.h"
#include "worker/cog/transcript.h"

namespace mimeo::worker::cog {

// What is known about the server of one container once it is ready.
struct ServerFacts {
  Generation generation = Generation::kUnknown;
  std::string version;
  ModelSchema schema;
  RunKind kind = RunKind::kPrediction;
  bool has_validation = false;  // GET /openapi.json shows an Input: see "probe" above.
  std::uint32_t slots = 1;
};

struct RunRequest {
  std::string id;           // Of the run inside of this container; URL-safe, never used twice.
  std::string input;        // JSON object.
  std::string traceparent;  // Empty = none.
  std::string webhook_url;  // Of the gateway, leading to webhook(); empty = there is no gateway.
  std::string log_path;     // Of the container's own log; empty = unknown.
};

// How patient a run is. Defaults are what production uses; tests shorten them.
struct RunTimes {
  std::chrono::milliseconds assume_started{25};  // Servers refuse within 1 or 2 ms (measured).
  std::chrono::milliseconds busy_patience{50};   // coglet frees a slot 1 to 2 ms after its answer.
  std::chrono::milliseconds probe_output{50};    // Between probes of a model that yields.
  std::chrono::milliseconds probe_logs{250};     // Of any other; grows to a second.
  std::chrono::milliseconds silence{5'000};      // Without a webhook, then the health is asked.
};

// References and pointers outlive every run.
struct RunParts {
  boost::asio::any_io_executor executor;
  Connections* connections = nullptr;
  BlockingPool* pool = nullptr;  // For reading the container's log.
  TaskGroup* tasks = nullptr;    // Owns the probes.
  const Clock* clock = nullptr;
  Transcript::Localize localize;
  TranscriptLimits limits;
  RunTimes times;
};

// On one executor. Held by shared_ptr: probes and timers may outlive execute() by a moment.
class CogRun : public std::enable_shared_from_this<CogRun> {
 public:
  // `events` outlives the run.
  static std::shared_ptr<CogRun> make(RunParts parts, ServerFacts facts, RunRequest request,
                                      RunEvents& events);
  virtual ~CogRun() = default;
  CogRun(const CogRun&) = delete;
  CogRun& operator=(const CogRun&) = delete;

  // Runs it. Once. The caller holds a shared_ptr until it is done.
  boost::asio::awaitable<RunEnd> execute();

  // Asks the server to cancel, again and again until it took notice or the run is over. The end
  // comes out of execute().
  boost::asio::awaitable<void> cancel();

  // A webhook came in for this run.
  void webhook(std::string body);

  // Gives up: closes the connection (which cancels it in coglet); execute() ends soon with kLost.
  void abandon();

 protected:
  CogRun(RunParts parts, ServerFacts facts, RunRequest request, RunEvents& events);

  enum class Reading : std::uint8_t { kWhole, kHeadOnly };

  virtual boost::asio::awaitable<RunEnd> drive() = 0;
  virtual void on_webhook(const Json& /*body*/) {}
  virtual void on_abandon() {}
  // The server did not refuse for `assume_started`: it runs.
  virtual void on_still_running() {}

  // Sends until the answer is not 409; a RunEnd when there will be no other answer.
  struct Answer {
    http::Response response;
    std::unique_ptr<RunEnd> end;  // Null = `response` is to be looked at.
  };
  boost::asio::awaitable<Answer> send(http::ClientRequest request, Reading reading);
  // The end that a whole answer means.
  RunEnd settle(const http::Response& response);
  void report_started();
  [[nodiscard]] http::ClientRequest put_request(std::string body) const;
  // {"id":...,"input":...}; `events` is a JSON list of webhook events or empty for no webhook.
  [[nodiscard]] std::string body_with(std::string_view webhook_events) const;
  [[nodiscard]] std::string base_path() const;

  RunParts parts_;
  const ServerFacts facts_;
  RunRequest request_;
  RunEvents& events_;
  Transcript transcript_;
  std::unique_ptr<Connection> connection_;  // In use by this run.
  bool is_over_ = false;
  bool is_started_ = false;
  bool is_cancel_wanted_ = false;
  bool is_abandoned_ = false;
  bool posts_to_predictions_ = false;  // Trainings on servers whose /trainings cannot work.

 private:
  boost::asio::awaitable<Result<http::Response>> send_once(http::ClientRequest request,
                                                           Reading reading);
  void arm_started();

  boost::asio::steady_timer started_timer_;
  bool may_have_arrived_ = false;  // The request left, and no refusal came back.
  SteadyTime sent_at_{};
};

// The kinds; use CogRun::make.
[[nodiscard]] std::shared_ptr<CogRun> make_coglet_run(RunParts parts, ServerFacts facts,
                                                      RunRequest request, RunEvents& events);
[[nodiscard]] std::shared_ptr<CogRun> make_webhook_run(RunParts parts, ServerFacts facts,
                                                       RunRequest request, RunEvents& events);
[[nodiscard]] std::shared_ptr<CogRun> make_legacy_run(RunParts parts, ServerFacts facts,
                                                      RunRequest request, RunEvents& events);

}  // namespace mimeo::worker::cog
