// One instance: obeys its InstanceLife (instance_state.h) with a container, a shim and a connection
// to it. Counts the slots that attempts hold; what attempts are is attempts/'s business.
//
// Lives in the supervisor from EnsureInstance (or from the restart that found it) until its
// container is gone and every result of it is stored. On one executor.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "proto/worker_session.pb.h"
#include "worker/attempts/attempt_key.h"
#include "worker/container/child_process.h"
#include "worker/container/runtime.h"
#include "worker/files/file_fields.h"
#include "worker/images/image_store.h"
#include "worker/instance/instance_state.h"
#include "worker/instance/shim_client.h"
#include "worker/state_dir.h"

namespace mimeo::worker {

// The same for every instance of this worker.
struct InstancePolicy {
  std::string shim_program = "mimeo-shim";
  std::string shim_log_level = "info";
  NetworkAccess network = NetworkAccess::kNone;
  ServerReach reach = ServerReach::kNamespace;
  std::uint16_t gateway_port = 4747;   // Inside of each container's own namespace.
  std::vector<std::string> gpu_uuids;  // By index of the driver.
  std::chrono::milliseconds default_setup_limit{10 * 60 * 1000};
  // After the shim should have noticed by itself.
  std::chrono::milliseconds setup_slack{5'000};
  std::chrono::milliseconds results_after_end{2'000};  // For results of attempts that were cut off.
};

class Instance;

// What happens in an instance. Called on the executor; may call the instance back.
class InstanceUser {
 public:
  virtual ~InstanceUser() = default;
  virtual void on_report(v1::InstanceReport report) = 0;
  // Once after each (re)connection to the shim: the attempts that it knows.
  virtual void on_shim_state(Instance& instance, const ShimState& state) = 0;
  virtual void on_event(Instance& instance, v1::Event event) = 0;
  virtual void on_result(Instance& instance, v1::Complete result) = 0;
  virtual void on_refused(Instance& instance, const AttemptRefused& refused) = 0;
  // The container is gone: attempts of it that have no result get none from the shim any more.
  virtual void on_attempts_ended(Instance& instance, const std::string& reason) = 0;
  // Nothing runs any more and no attempt of it is left here: to be destroyed, but not at once.
  virtual void on_gone(Instance& instance) = 0;
};

struct InstanceParts {
  boost::asio::any_io_executor executor;
  Runtime& runtime;
  ImageStore& images;
  BlockingPool& pool;
  const Clock& clock;
  InstanceUser& user;
};

// What a restarted daemon finds of an instance.
struct FoundContainer {
  std::string id;  // Empty when there is none any more.
  bool is_running = false;
  std::uint32_t pid = 0;
};

class Instance {
 public:
  // `parts` refers to what outlives the instance.
  Instance(InstanceParts parts, InstancePolicy policy, InstanceId id, v1::EnsureInstance wish,
           InstanceDir dir);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  // One of them, once.
  void begin();
  void adopt(FoundContainer found);

  void stop(std::chrono::milliseconds drain);
  // The instance fails when its container is gone; `reason` says why we did it.
  void kill_container(std::string reason);

  // --- For attempts ---
  [[nodiscard]] bool is_ready() const { return life_.is_ready(); }
  [[nodiscard]] bool has_free_slot() const { return attempts_ < slots_; }
  void take_slot() { ++attempts_; }
  void free_slot();
  // From its first word to the end of its result an attempt keeps the instance, or what is left of
  // it: its files.
  void add_attempt() { ++known_attempts_; }
  void remove_attempt();
  // Dropped while there is no connection.
  void send(const ToShim& message);
  // Its result is stored, or not wanted: the shim, or we in its place, delete its files.
  void drop_result(AttemptKey key);
  [[nodiscard]] const std::shared_ptr<const FileFields>& fields() const { return fields_; }
  [[nodiscard]] bool is_training() const { return wish_.is_training(); }
  [[nodiscard]] std::filesystem::path spool() const { return dir_.spool(); }
  // "http://127.0.0.1:4747", or empty when files cannot be served to the container.
  [[nodiscard]] std::string gateway() const;

  [[nodiscard]] InstanceId id() const { return id_; }
  [[nodiscard]] v1::InstanceReport report() const;
  [[nodiscard]] bool is_gone() const { return life_.is_gone(); }
  [[nodiscard]] const InstanceDir& dir() const { return dir_; }

  // Ends what still waits here (timers, watches).
  boost::asio::awaitable<void> settle();

 private:
  void feed(const InstanceEvent& event);
  void obey(std::vector<InstanceAction> actions);
  void obey_one(const InstanceAction& action);
  void tell(InstanceState state, const std::string& text);
  void on_progress(const std::string& text);

  boost::asio::awaitable<void> pull_image();
  boost::asio::awaitable<void> start_container();
  boost::asio::awaitable<Result<ContainerInfo>> run_container();
  boost::asio::awaitable<void> watch_exit();
  boost::asio::awaitable<void> kill_now();
  boost::asio::awaitable<void> start_shim();
  boost::asio::awaitable<Status> connect_shim();
  boost::asio::awaitable<void> reconnect_shim();
  boost::asio::awaitable<void> after(std::chrono::milliseconds pause, InstanceEvent event);
  boost::asio::awaitable<void> close_down(std::vector<InstanceAction> actions);
  boost::asio::awaitable<void> end_attempts(std::string reason);
  boost::asio::awaitable<void> clean_up();
  boost::asio::awaitable<void> end_shim();
  boost::asio::awaitable<std::string> with_log_tail(std::string text);
  Status launch_shim();
  [[nodiscard]] ContainerSpec container_spec() const;
  [[nodiscard]] std::string shim_config() const;
  [[nodiscard]] std::string gateway_secret() const;
  void on_shim_message(FromShim message);
  void on_shim_closed(const Status& reason);
  [[nodiscard]] std::chrono::milliseconds setup_limit() const;

  InstanceParts parts_;
  const InstancePolicy policy_;
  const InstanceId id_;
  const v1::EnsureInstance wish_;
  const InstanceDir dir_;
  const std::shared_ptr<const FileFields> fields_;
  const std::size_t slots_;
  const SteadyTime begun_at_;

  InstanceLife life_;
  std::size_t attempts_ = 0;        // That hold a slot.
  std::size_t known_attempts_ = 0;  // These, and those whose result waits.
  SignalEvent attempts_changed_;
  bool is_adopted_ = false;
  bool holds_image_ = false;
  std::uint32_t cold_start_ms_ = 0;
  SteadyTime told_progress_at_;

  ImageName image_;  // Once it is here.
  std::string container_id_;
  ContainerInfo container_;
  SignalEvent container_settled_;  // No creation or start of the container is on its way.
  bool is_container_gone_ = true;
  std::string kill_reason_;

  std::unique_ptr<Process> shim_process_;
  std::unique_ptr<ShimClient> shim_;
  SignalEvent shim_connected_;                             // And has said its state.
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // Pulls may end after us.
  TaskGroup tasks_;                                        // Last: its tasks use everything above.
};

}  // namespace mimeo::worker
