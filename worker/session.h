// The worker's end of proto/worker_session.proto: finds the scheduler that owns its cell, says
// Hello with the full state, beats, and hands on what the scheduler wants. When the stream breaks
// it dials again and says everything again, so that nothing else here has to care about lost
// messages.
//
// What the messages do is SessionUser's business (service.h).

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/retry.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/rpc/server.h"
#include "proto/worker_session.pb.h"
#include "worker/state_dir.h"

namespace mimeo::worker {

inline constexpr std::uint32_t kSessionProtocol = 1;

struct SessionOptions {
  std::vector<std::string> schedulers;  // Any of them knows who owns our cell.
  std::string token;                    // Join token.
  rpc::TlsFiles tls;
  std::chrono::milliseconds locate_limit{3'000};
  // Until the first Welcome says otherwise.
  std::chrono::milliseconds heartbeat{1'000};
  std::chrono::milliseconds lease{8'000};
  RetryPolicyOptions reconnect{std::chrono::milliseconds{50}, std::chrono::milliseconds{2'000},
                               std::chrono::milliseconds{0}};
};

// Whom the session serves. Called on the session's executor.
class SessionUser {
 public:
  virtual ~SessionUser() = default;
  // Adds inventory, instances, attempts and cache: everything there is now.
  virtual void fill_hello(v1::Hello& hello) = 0;
  // Adds what a heartbeat tells.
  virtual void fill_heartbeat(v1::Heartbeat& heartbeat) = 0;
  // Everything but Welcome's timing, Redirect and LeaseAck.
  virtual void on_message(v1::SchedulerMessage message) = 0;
};

// Is the worker still entitled to start work? Pure: times come in.
class Lease {
 public:
  void renew(SteadyTime now) { renewed_at_ = now; }
  void set_length(std::chrono::milliseconds length) { length_ = length; }
  [[nodiscard]] bool is_fresh(SteadyTime now) const {
    return renewed_at_ && now - *renewed_at_ < length_;
  }

 private:
  std::optional<SteadyTime> renewed_at_;
  std::chrono::milliseconds length_{8'000};
};

// On one executor.
class Session {
 public:
  // References outlive the session.
  Session(boost::asio::any_io_executor executor, BlockingPool& pool, const Clock& clock,
          Random& random, StateDir& state, SessionOptions options, SessionUser& user);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Begins to look for the scheduler.
  void start();
  // Dropped when there is no stream: the next Hello says it.
  void send(v1::WorkerMessage message);
  [[nodiscard]] bool is_connected() const { return is_welcome_; }
  // No LeaseAck for the length of the lease: start nothing new.
  [[nodiscard]] bool has_lease() const;

  boost::asio::awaitable<void> stop();

 private:
  struct Stream;

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<Result<v1::LocateReply>> locate();
  // Until the stream ends.
  boost::asio::awaitable<void> serve(std::string address);
  void open_stream(const std::string& address);
  void on_frame(std::uint64_t generation, v1::SchedulerFrame frame);
  void on_closed(std::uint64_t generation, const Status& reason);
  // False when the frame is not to be obeyed.
  bool accept_epoch(std::uint64_t epoch);
  void on_scheduler_message(v1::SchedulerMessage message);
  void on_welcome(const v1::Welcome& welcome);
  void beat();
  void close_stream();

  boost::asio::any_io_executor executor_;
  BlockingPool& pool_;
  const Clock& clock_;
  Random& random_;
  StateDir& state_;
  const SessionOptions options_;
  SessionUser& user_;

  std::unique_ptr<Stream> stream_;  // Null while there is none.
  std::uint64_t generation_ = 0;    // Of stream_: callbacks of older ones are ignored.
  SignalEvent stream_ended_;
  std::string redirected_to_;  // Where to dial next instead of asking.
  std::uint32_t cell_ = 0;
  std::chrono::milliseconds heartbeat_;
  std::uint64_t heartbeat_sequence_ = 0;
  SteadyTime heard_at_;  // The last frame of this stream.
  int failures_ = 0;     // Since the last Welcome.
  bool is_welcome_ = false;
  bool is_stopping_ = false;
  Lease lease_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // Streams may end after us.
  TaskGroup tasks_;                                        // Last: its tasks use everything above.
};

}  // namespace mimeo::worker
