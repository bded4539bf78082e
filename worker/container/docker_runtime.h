// Containers by a Docker Engine (20.10 or newer) on this machine.
//
// Every container is locked down as decision D12 says (docker_format.h has the details) and carries
// the labels mimeo.instance and mimeo.worker, by which a restarted worker finds it again.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "common/base/random.h"
#include "worker/container/docker_format.h"
#include "worker/container/runtime.h"

namespace mimeo::worker {

struct DockerOptions {
  std::string socket_path = "/var/run/docker.sock";
  DockerPolicy policy;
};

// Begins to follow the Engine's events at once. `random` outlives the runtime.
[[nodiscard]] std::unique_ptr<Runtime> make_docker_runtime(boost::asio::any_io_executor executor,
                                                           Random& random, DockerOptions options);

}  // namespace mimeo::worker
