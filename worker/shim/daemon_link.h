// The shim's end of its connection to the daemon: listens, takes one daemon at a time, moves
// frames.
//
// What is to be sent is not queued here: whenever the socket takes more, the link asks `collect`
// for the next piece. So a slow or absent daemon costs nothing but the spool. What messages mean is
// attempts.h's and shim.h's.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "worker/shim/shim.pb.h"

namespace mimeo::worker {

struct DaemonCallbacks {
  std::function<void()> on_connected;  // Also when one daemon replaces another.
  std::function<void(ToShim)> on_message;
  std::function<void()> on_disconnected;
  // Appends frames to `out`, stopping soon after it has `limit` bytes; appends nothing when there
  // is nothing to send.
  std::function<void(std::string& out, std::size_t limit)> collect;
};

// On one executor. The callbacks are not called after the destructor.
class DaemonLink {
 public:
  DaemonLink(boost::asio::any_io_executor executor, std::string socket_path,
             DaemonCallbacks callbacks);
  ~DaemonLink();
  DaemonLink(const DaemonLink&) = delete;
  DaemonLink& operator=(const DaemonLink&) = delete;

  // Listens; a socket file that is left over is replaced. kInvalidArgument when the path is too
  // long, kInternal.
  Status start();
  // There is something to collect. Cheap: several in one turn of the loop make one write.
  void wake();
  [[nodiscard]] bool is_connected() const;
  // Nothing is on its way to the daemon.
  [[nodiscard]] bool is_idle() const;
  // Stops listening, removes the socket file, cuts the connection.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with pending reads and writes.
};

}  // namespace mimeo::worker
