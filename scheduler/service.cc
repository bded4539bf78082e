#include "scheduler/service.h"

#include <absl/strings/numbers.h>

#include <utility>
#include <vector>

#include "common/http/health_endpoints.h"
#include "common/telemetry/log.h"

namespace mimeo::scheduler {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kStreamGrace{500};

asio::awaitable<Status> ready_now(const Leadership* leadership) {
  co_return leadership->readiness();
}

}  // namespace

Service::Service(asio::any_io_executor executor, SchedulerParts& parts, ServiceOptions options)
    : executor_(std::move(executor)), parts_(parts), options_(std::move(options)) {}

Service::~Service() {
  if (rpc_) rpc_->stop(milliseconds{0});
}

Status Service::start() {
  LeadershipOptions leadership = options_.leadership;
  if (leadership.replica.is_nil()) leadership.replica = parts_.ids.next();
  leadership_ =
      std::make_unique<Leadership>(executor_, parts_, hubs_, std::move(leadership), [this] {
        if (links_) links_->cells_changed();
      });
  sessions_ = make_session_service(executor_, parts_, *leadership_, hubs_, options_.sessions);
  links_ = make_scheduler_service(executor_, parts_, *leadership_, hubs_);
  hubs_.on_change([this] { sessions_->hubs_changed(); });
  rpc_ = std::make_unique<rpc::RpcServer>(
      options_.rpc, std::vector<grpc::Service*>{sessions_->service(), links_->service()});
  MIMEO_RETURN_IF_ERROR(rpc_->start());
  // Only now is the port known that was asked for as 0.
  if (leadership_->advertise().empty()) leadership_->advertise_as(rpc_->address());
  MIMEO_RETURN_IF_ERROR(start_metrics());
  leadership_->start();
  log::info("listening on {}", rpc_->address());
  return absl::OkStatus();
}

Status Service::start_metrics() {
  const std::string& listen = options_.metrics_listen;
  if (listen.empty()) return absl::OkStatus();
  const std::size_t colon = listen.rfind(':');
  std::uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(listen.substr(colon + 1), &port) ||
      port > 65535) {
    return absl::InvalidArgumentError("metrics-listen is no host:port: " + listen);
  }
  http::ServerOptions options;
  options.address = listen.substr(0, colon);
  options.port = static_cast<std::uint16_t>(port);
  auto server =
      http::start_health_server(executor_, std::move(options), parts_.metrics,
                                [leadership = leadership_.get()] { return ready_now(leadership); });
  MIMEO_RETURN_IF_ERROR(server.status());
  metrics_ = std::move(*server);
  return absl::OkStatus();
}

std::string Service::address() const { return rpc_ ? rpc_->address() : std::string(); }

std::uint16_t Service::metrics_port() const { return metrics_ ? metrics_->port() : 0; }

Status Service::readiness() const {
  return leadership_ ? leadership_->readiness() : absl::UnavailableError("not started");
}

std::shared_ptr<CellHost> Service::find_cell(CellId cell) const {
  return leadership_ ? leadership_->find(cell) : nullptr;
}

asio::awaitable<void> Service::stop(milliseconds limit) {
  if (leadership_) co_await leadership_->stop(limit);
  co_await close_listeners(limit);
}

asio::awaitable<void> Service::vanish() {
  if (leadership_) co_await leadership_->abandon();
  co_await close_listeners(milliseconds{1000});
}

asio::awaitable<void> Service::close_listeners(milliseconds limit) {
  hubs_.on_change({});
  if (sessions_) co_await sessions_->stop();
  if (links_) co_await links_->stop();
  if (rpc_) {
    auto stop_server = [server = rpc_.get()] {
      server->stop(kStreamGrace);
      return absl::OkStatus();
    };
    const Status stopped = co_await parts_.pool.run(std::move(stop_server));
    if (!stopped.ok()) log::warn("stopping the listener: {}", stopped.ToString());
  }
  if (metrics_) co_await metrics_->stop(limit);
}

}  // namespace mimeo::scheduler
