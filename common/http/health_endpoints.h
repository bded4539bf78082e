// The three paths that every process of ours answers: /healthz (the process runs), /readyz (it can
// serve), /metrics (Prometheus' text format).

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string_view>

#include "common/base/status.h"
#include "common/http/server.h"
#include "common/telemetry/metrics.h"

namespace mimeo::http {

// Asked on each /readyz; a status that is not OK gives 503 with its message. Unset: always ready.
using ReadyCheck = std::function<boost::asio::awaitable<Status>()>;

// A piece of a handler: `if (health.handles(head)) { co_await health.answer(exchange); }`.
class HealthEndpoints {
 public:
  HealthEndpoints(const Metrics& metrics, ReadyCheck is_ready)
      : metrics_(metrics), is_ready_(std::move(is_ready)) {}

  [[nodiscard]] static bool handles(const RequestHead& head);
  boost::asio::awaitable<void> answer(Exchange& exchange);

 private:
  const Metrics& metrics_;
  const ReadyCheck is_ready_;
};

// A listener with nothing but these paths (404 for others), for processes without an API. Started;
// the status of Server::start() otherwise. `metrics` and what `is_ready` uses outlive it.
Result<std::unique_ptr<Server>> start_health_server(boost::asio::any_io_executor executor,
                                                    ServerOptions options, const Metrics& metrics,
                                                    ReadyCheck is_ready);

}  // namespace mimeo::http
