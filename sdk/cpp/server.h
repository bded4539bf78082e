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
#include "sdk/cpp/model.h"
#include "sdk/cpp/run.h"
#include "sdk/cpp/schema.h"

namespace mimeo::sdk {

struct ServerSettings {
  std::string host = "0.0.0.0";
  std::uint16_t port = 5000;
  std::string upload_url;  // Empty: files are inlined.
  int slots = 1;
  bool ignores_sigterm = false;           // --await-explicit-shutdown.
  bool trains = false;                    // --x-mode train.
  std::chrono::seconds setup_timeout{0};  // 0 = none.
};

class Server {
 public:
  // Throws std::invalid_argument when the model contradicts itself. The model outlives the server.
  Server(boost::asio::io_context& io, const Model& model, ServerSettings settings);
  ~Server();

  // Listens and begins setup().
  Status start();
  [[nodiscard]] std::uint16_t port() const { return http_->port(); }
  // No new work; ends the io_context when open exchanges are done.
  void shut_down();

 private:
  enum class Setup { kStarting, kSucceeded, kFailed };
  enum class Kind { kPrediction, kTraining };
  struct Creation {
    std::string id;
    Json body;
    Kind kind = Kind::kPrediction;
  };

  boost::asio::awaitable<void> handle(http::Exchange& exchange);
  boost::asio::awaitable<void> health(http::Exchange& exchange);
  boost::asio::awaitable<void> create(http::Exchange& exchange, Kind kind, std::string path_id);
  boost::asio::awaitable<void> answer(http::Exchange& exchange, std::shared_ptr<Run> run,
                                      bool is_async);
  boost::asio::awaitable<void> stream(http::Exchange& exchange, std::shared_ptr<Run> run);
  boost::asio::awaitable<void> cancel_on_disconnect(http::Exchange* exchange,
                                                    std::shared_ptr<Run> run);
  boost::asio::awaitable<void> send_webhooks(std::shared_ptr<Run> run, std::string url,
                                             Json filter);
  boost::asio::awaitable<void> run_setup();
  boost::asio::awaitable<void> stop_when_idle();
  boost::asio::awaitable<void> give_up_setup();

  // The run, or nullptr after an answer was written to `refusal`.
  std::shared_ptr<Run> begin(const Creation& creation, http::Response& refusal);
  void execute(const std::shared_ptr<Run>& run, Kind kind, std::vector<std::string> file_fields);
  [[nodiscard]] Json index() const;

  boost::asio::io_context& io_;
  const Model& model_;
  const ServerSettings settings_;
  const Schema schema_;
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<http::Server> http_;
  std::map<std::string, std::shared_ptr<Run>> running_;  // HTTP thread only, as are the rest.
  std::atomic<int> in_flight_{0};
  Setup setup_ = Setup::kStarting;
  std::string setup_logs_;
  WallTime setup_started_, setup_completed_;
  bool is_shutting_down_ = false;
  std::unique_ptr<BlockingPool> models_;   // `slots` threads.
  std::unique_ptr<BlockingPool> service_;  // Setup, health checks and webhooks.
  TaskGroup tasks_;                        // Last: its tasks use everything above.
};

}  // namespace mimeo::sdk
