// Events and results to the control planes (Publish of proto/event_hub.proto).
//
// One stream to each control plane that an attempt is routed to. An attempt's events and its result
// take the same stream, so that the result never overtakes an event. When a stream breaks, its
// attempts move to the next control plane: unfinished ones are asked from their shims again from
// the first event on (a hub drops what it has seen), finished ones have their result sent again.
// A result is sent until a control plane answers, whatever the answer is.
//
// Keeps no events: the shims' spools do. Calls that carry files are hub_calls.h's.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/async/retry.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/rpc/server.h"
#include "proto/event_hub.pb.h"
#include "worker/attempts/attempt_key.h"

namespace mimeo::worker {

struct HubOptions {
  std::string worker_id;
  std::string token;  // Join token.
  rpc::TlsFiles tls;
  // Without a reader events wait this long for others; the hub asks for more when somebody reads.
  std::chrono::milliseconds coalesce{250};
  std::chrono::milliseconds answer_limit{10'000};  // Then the result is sent again, elsewhere.
  RetryPolicyOptions reconnect{std::chrono::milliseconds{50}, std::chrono::milliseconds{2'000},
                               std::chrono::milliseconds{0}};
};

struct HubCallbacks {
  // A control plane answered this result: it may be dropped.
  std::function<void(AttemptKey, v1::CompleteReply::Result)> on_completed;
  // Publish again the events of this attempt above `after_seq`, as far as they still exist.
  std::function<void(AttemptKey, std::uint64_t after_seq)> on_replay_wanted;
};

// Where the events of one attempt go.
struct HubRoute {
  std::vector<std::string> hubs;          // Best first; empty = any live one.
  std::chrono::milliseconds progress{0};  // Run.progress_ms.
};

// On one executor.
class HubClient {
 public:
  // Clock and random outlive the client.
  HubClient(boost::asio::any_io_executor executor, const Clock& clock, Random& random,
            HubOptions options, HubCallbacks callbacks);
  ~HubClient();
  HubClient(const HubClient&) = delete;
  HubClient& operator=(const HubClient&) = delete;

  // All live control planes, as the scheduler says.
  void set_members(std::vector<std::string> addresses);
  void set_incarnation(std::uint64_t incarnation) { incarnation_ = incarnation; }

  // From now on events of this attempt may be published. Repeated: nothing changes.
  void open(AttemptKey key, HubRoute route);
  // In order of seq; what was published before is dropped. Unknown attempts are ignored.
  void publish(v1::Event event);
  // The result, after everything published before. Answered by on_completed.
  void complete(v1::Complete result, SteadyTime finished_at);
  // Nothing more of this attempt.
  void close(AttemptKey key);

  // Live control planes, the one of this attempt first: for hub_calls.h.
  [[nodiscard]] std::vector<std::string> addresses_for(AttemptKey key) const;
  [[nodiscard]] std::vector<std::string> addresses() const;
  // Results that no control plane has answered yet.
  [[nodiscard]] std::size_t waiting_results() const;

  // Ends every stream. No callbacks after it.
  boost::asio::awaitable<void> stop();

 private:
  struct Connection;
  struct Route;

  void attach(Route& route);
  [[nodiscard]] std::vector<std::string> candidates(const Route& route) const;
  Connection& connection_to(const std::string& address);
  void connect(Connection& connection);
  void on_frame(const std::string& address, std::uint64_t generation, v1::HubFrame frame);
  void on_closed(const std::string& address, std::uint64_t generation, Status reason);
  void on_reply(const v1::CompleteReply& reply);
  void on_flush_mode(const v1::FlushMode& mode);
  void resynchronize(Route& route);
  void flush(Route& route);
  void send_result(Route& route);
  void arm_flush();
  boost::asio::awaitable<void> flush_later();
  boost::asio::awaitable<void> connect_later(std::string address, std::chrono::milliseconds pause);
  boost::asio::awaitable<void> watch_answers();
  [[nodiscard]] Route* find(const v1::AttemptId& id);

  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  Random& random_;
  const HubOptions options_;
  const HubCallbacks callbacks_;
  std::uint64_t incarnation_ = 0;
  std::vector<std::string> members_;
  std::map<std::string, std::unique_ptr<Connection>> connections_;  // By address.
  std::map<AttemptKey, std::unique_ptr<Route>> routes_;
  std::set<AttemptKey> waiting_flush_;  // Routes with events that wait for others.
  bool is_flush_armed_ = false;
  bool is_stopping_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // Streams may end after us.
  TaskGroup tasks_;                                        // Last: its tasks use everything above.
};

}  // namespace mimeo::worker
