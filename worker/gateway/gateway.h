// The one HTTP server that a container may reach: it serves the inputs of its attempts, takes its
// output files, and receives the webhooks of servers that report by webhook.
//
//   GET  /in/<prediction>-<attempt>/<n>/<name>   a file that the daemon put below spool_dir/in
//   PUT  /out/<secret>/<name>                    stored; 201 with a unique Location
//   POST /webhook/<token>                        handed to whoever added the token
//
// Everything else is 404. Containers are hostile: paths are opened beneath in/ without following
// links, sizes are limited, and nothing here reaches beyond this instance's own spool.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "common/async/blocking_pool.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/http/server.h"
#include "worker/gateway/upload_store.h"

namespace mimeo::worker {

struct GatewayOptions {
  std::string spool_dir;
  std::string base_url;  // As the container reaches it: "http://127.0.0.1:4999".
  std::string secret;    // Of the upload URL; empty = takes no files.
  UploadLimits uploads;
  std::uint64_t max_webhook_bytes = std::uint64_t{160} << 20U;  // Cumulative, files in base64.
};

// On one executor, whose handler handle() is. Files are read and written on `pool`.
class Gateway {
 public:
  using OnWebhook = std::function<void(std::string body)>;

  // `pool` and `random` outlive the gateway. Makes spool_dir/in and spool_dir/out.
  Gateway(GatewayOptions options, BlockingPool& pool, Random& random);

  // Answers one request; a http::Handler.
  boost::asio::awaitable<void> handle(http::Exchange& exchange);

  // A new URL whose POSTs go to `on_webhook`, until remove_webhook(url).
  [[nodiscard]] std::string add_webhook(OnWebhook on_webhook);
  void remove_webhook(const std::string& url);

  [[nodiscard]] UploadStore& uploads() { return uploads_; }

 private:
  boost::asio::awaitable<void> serve_input(http::Exchange& exchange);
  boost::asio::awaitable<void> take_output(http::Exchange& exchange);
  boost::asio::awaitable<void> take_webhook(http::Exchange& exchange);
  // The file's size when it is complete.
  boost::asio::awaitable<Result<std::uint64_t>> receive(http::Exchange& exchange, std::string path);

  const GatewayOptions options_;
  BlockingPool& pool_;
  Random& random_;
  UploadStore uploads_;
  std::unordered_map<std::string, OnWebhook> webhooks_;  // By token.
};

// Opens `relative` for reading beneath `directory`: no "..", no absolute parts, no symbolic links
// on the way. An fd; kNotFound for everything else than a regular file.
[[nodiscard]] Result<int> open_beneath(const std::string& directory, const std::string& relative);

}  // namespace mimeo::worker
