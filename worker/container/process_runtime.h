// Containers without a container engine, for machines that have none: Linux and root are enough.
//
// Each container has a mimeo-launch of its own (launch/), which outlives the daemon and keeps its
// state in files below the worker's state directory; images are unpacked there as well
// (process_images.h). A container may do what it may under Docker (container_policy.h), except that
// it has no GPU and no network but its own loopback: create() refuses both.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "common/base/random.h"
#include "worker/container/container_policy.h"
#include "worker/container/runtime.h"

namespace mimeo::worker {

struct ProcessOptions {
  ContainerPolicy policy;
  std::filesystem::path state;  // The worker's state directory.
  std::string launcher;         // Path of mimeo-launch.
};

// Clears what an earlier daemon left unfinished, which blocks: for the start of the process.
// `random` outlives the runtime.
[[nodiscard]] std::unique_ptr<Runtime> make_process_runtime(boost::asio::any_io_executor executor,
                                                            Random& random, ProcessOptions options);

}  // namespace mimeo::worker
