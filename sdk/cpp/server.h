// The HTTP side of a model server: Cog's routes, answers and health states.

#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/http/server.h"
#include "sdk/cpp/health_check.h"
#include "sdk/cpp/model.h"
#include "sdk/cpp/request.h"
#include "sdk/cpp/run.h"
#include "sdk/cpp/schema.h"
#include "sdk/cpp/webhooks.h"

namespace mimeo::sdk {

struct ServerSettings {
  std::string host = "0.0.0.0";
  std::uint16_t port = 5000;
  std::string upload_url;  // Empty: files are inlined.
  int slots = 1;
  bool ignores_sigterm = false;           // --await-explicit-shutdown.
  bool trains = false;                    // --x-mode train.
  std::chrono::seconds setup_timeout{0};  // 0 = none.
  WebhookSettings webhooks;
  std::string ready_file;  // Touched when setup is done; empty: none.
  std::string weights;     // COG_WEIGHTS: a path or URL for setup(); empty: none.
};

// How the client wants to hear of its prediction.
enum class Delivery {
  kWait,    // One answer at the end.
  kAsync,   // At once; webhooks tell the rest.
  kStream,  // Events.
};

// Whether a stream made its prediction: then the prediction ends with its last reader.
enum class StreamOwner { kNo, kYes };

class Server {
 public:
  // Throws std::invalid_argument when the model contradicts itself. The model outlives the server.
  Server(boost::asio::io_context& io, const Model& model, ServerSettings settings);
  ~Server();

  // Listens and begins setup().
  Status start();
  [[nodiscard]] std::uint16_t port() const { return http_->port(); }
  // No new work; when what runs has ended and its webhooks are sent, calls `on_stopped`.
  void shut_down(std::function<void()> on_stopped);
  // Cancels what still runs, so that an earlier shut_down() comes to its end.
  void cancel_all();

 private:
  enum class Setup { kStarting, kSucceeded, kFailed };
  enum class Kind { kPrediction, kTraining };

  boost::asio::awaitable<void> handle(http::Exchange& exchange);
  boost::asio::awaitable<void> health(http::Exchange& exchange);
  boost::asio::awaitable<void> create(http::Exchange& exchange, Kind kind, std::string path_id);
  boost::asio::awaitable<void> rejoin(http::Exchange& exchange, std::shared_ptr<Run> run,
                                      Delivery delivery);
  boost::asio::awaitable<void> answer(http::Exchange& exchange, std::shared_ptr<Run> run,
                                      Delivery delivery);
  boost::asio::awaitable<void> stream(http::Exchange& exchange, std::shared_ptr<Run> run,
                                      StreamOwner owner);
  boost::asio::awaitable<void> run_setup();
  boost::asio::awaitable<void> give_up_setup();
  boost::asio::awaitable<void> stop_when_idle();

  http::Response cancel(const std::string& id);
  // The run, or nullptr after an answer was written to `refusal`.
  std::shared_ptr<Run> begin(CreateRequest request, Kind kind, http::Response& refusal);
  void execute(std::shared_ptr<Run> run, Kind kind, std::vector<std::string> file_fields);
  // Of the model's thread: fetches files and calls the model's function.
  static Weights find_weights(const std::string& given);
  Json call_model(Run& run, bool trains, const std::vector<std::string>& file_fields) const;
  void end_setup(Setup result, std::string logs);
  void forget(const std::shared_ptr<Run>& run);
  [[nodiscard]] bool is_training(Kind kind) const;
  [[nodiscard]] Json index() const;

  boost::asio::io_context& io_;
  const Model& model_;
  const ServerSettings settings_;
  const Schema schema_;
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<http::Server> http_;
  std::atomic<int> in_flight_{0};                        // Slots in use.
  std::map<std::string, std::shared_ptr<Run>> running_;  // HTTP thread only, as are the rest.
  SignalEvent run_ended_;
  Setup setup_ = Setup::kStarting;
  std::string setup_logs_;
  WallTime setup_started_, setup_completed_;
  std::function<void()> on_stopped_;           // Set: shutting down.
  std::unique_ptr<HealthCheck> health_check_;  // Null when the model has none.
  std::unique_ptr<BlockingPool> models_;       // `slots` threads.
  std::unique_ptr<BlockingPool> setup_pool_;
  TaskGroup webhooks_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::sdk
