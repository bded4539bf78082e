#include "sdk/cpp/health_check.h"

#include <cstdio>
#include <exception>

namespace mimeo::sdk {
namespace {

std::string call(const std::function<bool()>& function) {
  try {
    return function() ? "" : "Healthcheck failed: user-defined healthcheck returned False";
  } catch (const std::exception& e) {
    return std::string("Healthcheck failed: ") + e.what();
  } catch (...) {
    return "Healthcheck failed: an unknown exception";
  }
}

}  // namespace

struct HealthCheck::Check {
  explicit Check(const boost::asio::any_io_executor& executor) : done(executor) {}
  SignalEvent done;
  std::string problem;
  bool is_late = false;  // Somebody waited for it to the limit.
};

HealthCheck::HealthCheck(boost::asio::any_io_executor executor, std::function<bool()> function,
                         std::chrono::milliseconds limit)
    : executor_(std::move(executor)), function_(std::move(function)), limit_(limit) {}

void HealthCheck::start() {
  current_ = std::make_shared<Check>(executor_);
  pool_.post([this, check = current_] {
    std::string problem = call(function_);
    boost::asio::post(executor_, [this, check, problem = std::move(problem)] {
      check->problem = problem;
      check->done.set();
      current_.reset();
    });
  });
}

boost::asio::awaitable<std::string> HealthCheck::ask() {
  if (!current_) start();
  const std::shared_ptr<Check> check = current_;
  // One that hangs makes nobody wait twice.
  if (!check->is_late) co_await check->done.wait_for(limit_);
  if (check->done.is_set()) co_return check->problem;
  check->is_late = true;
  char text[96];
  std::snprintf(text, sizeof text,
                "Healthcheck failed: user-defined healthcheck timed out after %.1f seconds",
                static_cast<double>(limit_.count()) / 1000.0);
  std::string problem(text);
  co_return problem;
}

}  // namespace mimeo::sdk
