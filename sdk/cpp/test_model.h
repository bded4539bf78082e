// For tests: a model that does what its inputs say, served on a thread, and a client for it.

#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/http/outbound.h"
#include "common/http/test_server.h"
#include "sdk/cpp/server.h"

namespace mimeo::sdk {

// Closed at first; whoever waits passes when it is open.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_open_; });
  }
  // False when the prediction was canceled first.
  bool wait(Prediction& p) {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        if (is_open_) return true;
      }
      if (!p.sleep_for(std::chrono::milliseconds{5})) return false;
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = false;
};

// What the model does, by its input "mode".
inline Json run_test_model(Prediction& p, Gate& begun, Gate& gate) {
  const std::string mode = p.text("mode");
  p.log("mode " + mode);
  begun.open();
  if (mode == "fail") throw std::runtime_error("boom");
  if (mode == "throw") throw 42;
  if (mode == "wait" && !gate.wait(p)) throw Canceled{};
  if (mode == "stubborn") gate.wait();
  if (mode == "read") {
    std::ifstream in(p.file("image"));
    return p.file("image").filename().string() + ": " +
           std::string(std::istreambuf_iterator<char>(in), {});
  }
  if (mode == "write") {
    const auto path = p.scratch() / "a b.txt";
    std::ofstream(path) << p.text("text");
    return p.upload(path);
  }
  if (mode == "metrics") {
    p.metric("tokens", 3, MetricMode::kIncrement);
    p.metric("tokens", 4, MetricMode::kIncrement);
    p.metric("a.b", "x");
  }
  if (mode == "context") return p.context().value("who", "nobody");
  std::string said;
  for (std::int64_t i = 0; i < p.integer("count"); ++i) said += p.text("text");
  return said;
}

inline Model test_model(Gate& begun, Gate& gate) {
  Model model;
  model.input(string("text").default_value("x").min_length(1).max_length(4).matching("^[a-zü]+$"));
  model.input(integer("count").default_value(1).at_least(1).at_most(3));
  model.input(string("mode").default_value("echo"));
  model.input(string("color").choices({"red", "blue"}).default_value("red"));
  model.input(number("scale").optional());
  model.input(boolean("flag").default_value(false));
  model.input(file("image").optional());
  model.input(string("words").list().optional());
  model.input(secret("key").optional().max_length(8));
  model.output(Output::string());
  model.predict([&](Prediction& p) { return run_test_model(p, begun, gate); });
  return model;
}

class ModelServer {
 public:
  explicit ModelServer(const Model& model, ServerSettings settings = {})
      : work_(boost::asio::make_work_guard(io_)) {
    settings.host = "127.0.0.1";
    settings.port = 0;
    server_ = std::make_unique<Server>(io_, model, std::move(settings));
    const Status status = server_->start();
    EXPECT_TRUE(status.ok()) << status;
    thread_ = std::thread([this] { io_.run(); });
  }
  ~ModelServer() {
    boost::asio::post(io_, [this] {
      server_->shut_down(nullptr);
      server_->cancel_all();
    });
    thread_.join();
    server_.reset();
  }
  ModelServer(const ModelServer&) = delete;
  ModelServer& operator=(const ModelServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  Server& server() { return *server_; }
  boost::asio::io_context& io() { return io_; }
  void join() {
    thread_.join();
    thread_ = std::thread([] {});
  }

  struct Answer {
    int status = 0;
    Json body;  // Discarded when it is not JSON.
    std::string text;
  };
  Answer call(const std::string& method, const std::string& path, const std::string& body = "",
              const http::Headers& headers = {}) {
    http::OutboundRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(port()) + path;
    request.headers = headers;
    if (!body.empty() && !headers.find("Content-Type")) {
      request.headers.set("Content-Type", "application/json");
    }
    request.body = body;
    const Result<http::Response> response = client_.perform(request);
    if (!response.ok()) {
      ADD_FAILURE() << method << " " << path << ": " << response.status();
      return {};
    }
    return {response->status, Json::parse(response->body, nullptr, false), response->body};
  }
  Answer predict(const Json& input, const http::Headers& headers = {}) {
    return call("POST", "/predictions", Json{{"input", input}}.dump(), headers);
  }
  // Asks for the health until it is this.
  Answer wait_for_health(const std::string& status) {
    for (int i = 0; i < 2000; ++i) {
      Answer answer = call("GET", "/health-check");
      if (answer.body["status"] == status) return answer;
      std::this_thread::yield();
    }
    ADD_FAILURE() << "the server does not become " << status;
    return {};
  }

 private:
  static http::AddressRules everywhere() {
    http::AddressRules rules;
    rules.allow_private = true;
    return rules;
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  http::Outbound client_{everywhere()};
};

inline http::Headers header(const std::string& name, const std::string& value) {
  http::Headers headers;
  headers.add(name, value);
  return headers;
}

}  // namespace mimeo::sdk
