// Implements scheduler.proto: the links of the control planes. Answers reserves from memory at once
// and turns hints into events of the cells.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "scheduler/hub_directory.h"
#include "scheduler/leadership.h"
#include "scheduler/parts.h"

namespace grpc {
class Service;
}

namespace mimeo::scheduler {

// Everything but the reactions of gRPC on the executor.
class SchedulerService {
 public:
  virtual ~SchedulerService() = default;
  // For the RpcServer; lives as long as this.
  [[nodiscard]] virtual grpc::Service* service() = 0;
  // The set of cells that this process owns changed: every control plane is told.
  virtual void cells_changed() = 0;
  // Closes every link.
  virtual boost::asio::awaitable<void> stop() = 0;
};

// References outlive the service.
std::unique_ptr<SchedulerService> make_scheduler_service(boost::asio::any_io_executor executor,
                                                         SchedulerParts& parts,
                                                         Leadership& leadership,
                                                         HubDirectory& hubs);

}  // namespace mimeo::scheduler
