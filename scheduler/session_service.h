// Implements worker_session.proto: Locate and the session streams. Checks who calls, registers the
// worker, and turns its messages into events of the cell that it belongs to.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

#include "scheduler/hub_directory.h"
#include "scheduler/leadership.h"
#include "scheduler/parts.h"

namespace grpc {
class Service;
}

namespace mimeo::scheduler {

struct SessionServiceOptions {
  std::chrono::milliseconds heartbeat{1000};
  std::chrono::milliseconds worker_lease{8000};
};

// Everything but the reactions of gRPC on the executor.
class SessionService {
 public:
  virtual ~SessionService() = default;
  // For the RpcServer; lives as long as this.
  [[nodiscard]] virtual grpc::Service* service() = 0;
  // The control planes changed: every worker is told.
  virtual void hubs_changed() = 0;
  // Closes every stream and ends what is being checked.
  virtual boost::asio::awaitable<void> stop() = 0;
};

// References outlive the service.
std::unique_ptr<SessionService> make_session_service(boost::asio::any_io_executor executor,
                                                     SchedulerParts& parts, Leadership& leadership,
                                                     HubDirectory& hubs,
                                                     SessionServiceOptions options);

}  // namespace mimeo::scheduler
