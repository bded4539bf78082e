// The scheduler process without its main: starts everything in order, says when it can serve, and
// stops in order. Tests build several of these over one store.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "common/http/server.h"
#include "common/rpc/server.h"
#include "scheduler/hub_directory.h"
#include "scheduler/leadership.h"
#include "scheduler/parts.h"
#include "scheduler/scheduler_service.h"
#include "scheduler/session_service.h"

namespace mimeo::scheduler {

struct ServiceOptions {
  rpc::RpcServerOptions rpc;
  std::string metrics_listen;    // host:port; empty = no metrics listener.
  LeadershipOptions leadership;  // replica and advertise may be empty: made up, and as listening.
  SessionServiceOptions sessions;
};

// On the executor.
class Service {
 public:
  // `parts` outlives the service.
  Service(boost::asio::any_io_executor executor, SchedulerParts& parts, ServiceOptions options);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Listens, then looks for cells to own. kAlreadyExists when an address is taken,
  // kInvalidArgument for a bad one.
  Status start();
  // What others dial.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::uint16_t metrics_port() const;
  // OK when it serves its cells or stands by.
  [[nodiscard]] Status readiness() const;
  // The cell, live in this process; nullptr otherwise. For tests.
  [[nodiscard]] std::shared_ptr<CellHost> find_cell(CellId cell) const;

  // Not ready any more, gives its cells back, closes every stream. Must be awaited before the
  // destructor.
  boost::asio::awaitable<void> stop(std::chrono::milliseconds limit);
  // Stops answering without giving anything back, as if the process had been killed: stand-bys take
  // over when the lease has run out. For tests.
  boost::asio::awaitable<void> vanish();

 private:
  boost::asio::awaitable<void> close_listeners(std::chrono::milliseconds limit);
  Status start_metrics();

  const boost::asio::any_io_executor executor_;
  SchedulerParts& parts_;
  ServiceOptions options_;
  HubDirectory hubs_;
  std::unique_ptr<Leadership> leadership_;
  std::unique_ptr<SessionService> sessions_;
  std::unique_ptr<SchedulerService> links_;
  std::unique_ptr<rpc::RpcServer> rpc_;
  std::unique_ptr<http::Server> metrics_;
};

}  // namespace mimeo::scheduler
