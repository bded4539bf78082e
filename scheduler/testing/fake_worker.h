// Stands in for mimeo-worker: speaks worker_session.proto over a real stream, makes every instance
// ready at once, accepts and starts every attempt, and ends it when the test says so.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/rpc/link.h"
#include "common/store/predictions.h"
#include "proto/worker_session.grpc.pb.h"

namespace mimeo::scheduler::testing {

class FakeWorker {
 public:
  using Key = std::pair<std::string, std::uint32_t>;  // Prediction and attempt.
  struct Attempt {
    v1::Run run;
    bool is_spooled = false;
  };

  FakeWorker(boost::asio::any_io_executor executor, WorkerId worker, std::string join_token)
      : id(worker), token(std::move(join_token)), executor_(std::move(executor)) {}
  ~FakeWorker() { disconnect(); }
  FakeWorker(const FakeWorker&) = delete;
  FakeWorker& operator=(const FakeWorker&) = delete;

  // What kind of machine, and how it behaves.
  WorkerId id;
  std::string token;
  std::uint64_t incarnation = 1;
  std::vector<std::string> skus{"cpu"};
  std::uint32_t cpu_milli = 8000;
  std::uint32_t gpus = 0;
  std::uint32_t slots = 1;
  bool makes_ready = true;    // Instances get ready at once.
  std::string setup_failure;  // Instances fail with it instead.

  // What it has and has seen.
  std::map<std::string, v1::InstanceReport> instances;
  std::map<Key, Attempt> attempts;  // Accepted, not ended.
  std::vector<v1::Run> runs;        // Every Run, repeated ones too.
  std::set<Key> executed;           // Attempts begun.
  std::vector<v1::EnsureInstance> ensures;
  std::vector<v1::StopInstance> stops;
  std::vector<v1::CancelAttempt> cancels;
  std::vector<Key> forgotten;
  std::vector<std::string> hubs;
  std::string redirected_to;
  bool is_welcome = false;
  bool is_closed = true;
  Status closed_with;

  // Dials and says Hello with all that it has.
  void connect(const std::string& address);
  // As if the process, or the network, had died.
  void disconnect();
  void beat();
  void drain(std::uint32_t within_ms);
  void report(const std::string& instance, v1::InstanceState state, const std::string& detail = "");
  // The container is done: the result goes to the store, as a control plane would do it, and the
  // scheduler is told.
  void end(const Key& key, store::PredictionStore& store,
           PredictionStatus status = PredictionStatus::kSucceeded);
  // Same, for the only attempt.
  void end_only(store::PredictionStore& store);
  [[nodiscard]] std::optional<Key> running(const PredictionId& prediction) const;

 private:
  using Link = rpc::ClientLink<v1::SchedulerFrame, v1::WorkerFrame>;
  void send(v1::WorkerMessage message);
  void on_message(const v1::SchedulerMessage& message);
  void on_run(const v1::Run& run);
  [[nodiscard]] v1::WorkerMessage hello() const;

  boost::asio::any_io_executor executor_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<v1::WorkerSession::Stub> stub_;
  std::shared_ptr<Link> link_;
  std::uint64_t generation_ = 0;
  std::uint64_t beats_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace mimeo::scheduler::testing
