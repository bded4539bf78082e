// Sends one prediction's webhooks.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

#include "sdk/cpp/request.h"
#include "sdk/cpp/run.h"

namespace mimeo::sdk {

struct WebhookSettings {
  std::chrono::milliseconds logs_interval{500};  // Between webhooks that only bring logs.
  std::string auth_token;                        // Bearer token; empty: none.
};

// Until the prediction is over: one request at a time, each with everything known by then, so that
// they arrive in order and a slow receiver gets fewer of them. `completed` is tried 12 times.
boost::asio::awaitable<void> send_webhooks(std::shared_ptr<Run> run, WebhookTarget target,
                                           WebhookSettings settings);

}  // namespace mimeo::sdk
