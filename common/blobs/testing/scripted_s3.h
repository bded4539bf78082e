// For tests: an S3 server that misbehaves as it is told; tests/support/private_s3.h is a real one.

#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/blobs/s3_client.h"
#include "common/http/test_server.h"

namespace mimeo::testing_support {

// Gives the answers that it was told, in order (200 when it was told none), and remembers the
// requests.
class ScriptedS3 {
 public:
  ~ScriptedS3() { release(); }

  struct Seen {
    std::string method;
    std::string target;
    std::string body;
    http::Headers headers;
  };

  void then(int status, std::string body = "", http::Headers headers = {}) {
    http::Response response;
    response.status = status;
    response.body = std::move(body);
    response.headers = std::move(headers);
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(response));
  }
  // From now on requests with this method get no answer, nor does what comes behind one.
  void hold(std::string method) {
    const std::lock_guard lock(mutex_);
    held_ = std::move(method);
  }
  void release() {
    const std::lock_guard lock(mutex_);
    held_.clear();
    released_.notify_all();
  }
  std::vector<Seen> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  [[nodiscard]] blobs::S3Options options() {
    blobs::S3Options options;
    options.endpoint = "http://127.0.0.1:" + std::to_string(server_.port());
    options.bucket = "bucket";
    options.addressing = blobs::S3Addressing::kPath;
    options.credentials = {"access", "very-secret", "session"};
    options.pause = [this](std::chrono::milliseconds) { ++pauses; };
    return options;
  }

  int pauses = 0;

 private:
  boost::asio::awaitable<void> answer(http::Exchange& exchange) {
    Result<std::string> body = co_await exchange.read_body(64_MiB);
    http::Response response;
    {
      std::unique_lock lock(mutex_);
      seen_.push_back({exchange.head().method, exchange.head().target, body.value_or("(broken)"),
                       exchange.head().headers});
      released_.wait(lock, [&] { return held_.empty() || held_ != exchange.head().method; });
      if (!answers_.empty()) {
        response = std::move(answers_.front());
        answers_.pop_front();
      }
    }
    co_await exchange.respond(std::move(response));
  }

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable released_;
  std::string held_;
  std::deque<http::Response> answers_;
  std::vector<Seen> seen_;
  http::TestServer server_{[this](http::Exchange& exchange) { return answer(exchange); }};
};

}  // namespace mimeo::testing_support
