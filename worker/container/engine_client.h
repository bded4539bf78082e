// Calls to the Docker Engine's HTTP API over its Unix socket: versions, connections, errors. What
// to ask for is docker_runtime.h's business.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/http/client.h"

namespace mimeo::worker {

struct EngineCall {
  std::string method = "GET";
  std::string path;  // Without "/v1.41", with its query.
  http::Headers headers;
  std::string body;  // JSON unless a header says otherwise.
  std::chrono::milliseconds timeout{60'000};
};

// Used on one executor. Keeps idle connections and opens as many as there are calls at once.
class EngineClient {
 public:
  EngineClient(boost::asio::any_io_executor executor, std::string socket_path);
  ~EngineClient();
  EngineClient(const EngineClient&) = delete;
  EngineClient& operator=(const EngineClient&) = delete;

  // Answers of 2xx and 304 only; else the Engine's message as a status: kNotFound (404),
  // kFailedPrecondition (409), kPermissionDenied (the registry refused), kInvalidArgument (400),
  // kUnavailable (no Engine), kInternal.
  boost::asio::awaitable<Result<http::Response>> call(EngineCall request);

  // Like call(), with the body still to come from the returned connection's read_some(). Whoever
  // holds the connection closes it when done.
  boost::asio::awaitable<Result<std::unique_ptr<http::ClientConnection>>> open_stream(
      EngineCall request);

  // "1.41"; empty before the first call.
  [[nodiscard]] const std::string& api_version() const { return version_; }

 private:
  using Connection = std::unique_ptr<http::ClientConnection>;

  // The version that both sides speak, asked once.
  boost::asio::awaitable<Status> negotiate();
  boost::asio::awaitable<Result<Connection>> connect();
  boost::asio::awaitable<Result<http::Response>> send(http::ClientRequest request);

  boost::asio::any_io_executor executor_;
  const std::string socket_path_;
  std::string version_;
  std::vector<Connection> idle_;
};

// The status for an answer that is an error; OK for 2xx and 304.
[[nodiscard]] Status engine_status(const http::Response& response);

}  // namespace mimeo::worker
