#include "worker/shim/daemon_link.h"

#include <absl/strings/str_cat.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "common/telemetry/log.h"
#include "worker/shim/frames.h"

namespace mimeo::worker {
namespace {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;
using boost::system::error_code;

constexpr std::size_t kWriteSize = 256 * 1024;

}  // namespace

// One daemon's connection. A replaced one stays until its last operation has completed.
struct DaemonConnection {
  explicit DaemonConnection(Protocol::socket socket_in) : socket(std::move(socket_in)) {}

  Protocol::socket socket;
  FrameSplitter frames;
  std::array<char, 64 * 1024> chunk{};
  std::string writing;
  bool is_writing = false;
};

struct DaemonLink::State : std::enable_shared_from_this<DaemonLink::State> {
  using ConnectionPtr = std::shared_ptr<DaemonConnection>;

  State(asio::any_io_executor executor_in, std::string path_in, DaemonCallbacks callbacks_in)
      : executor(executor_in),
        acceptor(executor_in),
        path(std::move(path_in)),
        callbacks(std::move(callbacks_in)) {}

  void accept() {
    acceptor.async_accept([self = shared_from_this()](error_code error, Protocol::socket socket) {
      if (self->is_stopped || error == asio::error::operation_aborted) return;
      if (!error) self->adopt(std::move(socket));
      self->accept();
    });
  }

  void adopt(Protocol::socket socket) {
    drop();
    daemon = std::make_shared<DaemonConnection>(std::move(socket));
    callbacks.on_connected();
    read(daemon);
    wake();
  }

  // Ends the current connection without telling anybody.
  void drop() {
    if (daemon == nullptr) return;
    error_code ignored;
    daemon->socket.close(ignored);
    daemon.reset();
  }

  void fail(const ConnectionPtr& connection) {
    if (connection != daemon) return;  // Replaced meanwhile.
    drop();
    callbacks.on_disconnected();
  }

  void read(const ConnectionPtr& connection) {
    connection->socket.async_read_some(
        asio::buffer(connection->chunk),
        [self = shared_from_this(), connection](error_code error, std::size_t size) {
          self->on_read(connection, error, size);
        });
  }

  void on_read(const ConnectionPtr& connection, error_code error, std::size_t size) {
    if (connection != daemon) return;
    if (error) return fail(connection);
    connection->frames.feed({connection->chunk.data(), size});
    for (;;) {
      auto frame = connection->frames.next();
      if (frame.ok() && !frame->has_value()) break;
      ToShim message;
      if (!frame.ok() || !message.ParseFromString(**frame)) {
        log::warn("the daemon sent something unreadable; closing its connection");
        return fail(connection);
      }
      callbacks.on_message(std::move(message));
      if (connection != daemon) return;  // The message made us stop.
    }
    read(connection);
  }

  void wake() {
    if (is_woken || daemon == nullptr) return;
    is_woken = true;
    asio::post(executor, [self = shared_from_this()] {
      self->is_woken = false;
      self->write();
    });
  }

  void write() {
    if (daemon == nullptr || daemon->is_writing) return;
    daemon->writing.clear();
    callbacks.collect(daemon->writing, kWriteSize);
    if (daemon->writing.empty()) return;
    daemon->is_writing = true;
    asio::async_write(
        daemon->socket, asio::buffer(daemon->writing),
        [self = shared_from_this(), connection = daemon](error_code error, std::size_t /*size*/) {
          connection->is_writing = false;
          if (error) return self->fail(connection);
          // A result may have been large: do not keep its memory.
          if (connection->writing.capacity() > 4 * kWriteSize) {
            connection->writing = std::string();
          }
          self->write();
        });
  }

  const asio::any_io_executor executor;
  Protocol::acceptor acceptor;
  const std::string path;
  DaemonCallbacks callbacks;
  ConnectionPtr daemon;  // Null while none is connected.
  bool is_woken = false;
  bool is_stopped = false;
};

DaemonLink::DaemonLink(asio::any_io_executor executor, std::string socket_path,
                       DaemonCallbacks callbacks)
    : state_(std::make_shared<State>(std::move(executor), std::move(socket_path),
                                     std::move(callbacks))) {}

DaemonLink::~DaemonLink() { stop(); }

Status DaemonLink::start() {
  if (state_->path.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError("socket_path is too long: " + state_->path);
  }
  ::unlink(state_->path.c_str());
  error_code error;
  const Protocol::endpoint endpoint(state_->path);
  state_->acceptor.open(Protocol(), error);
  if (!error) state_->acceptor.bind(endpoint, error);
  if (!error) ::chmod(state_->path.c_str(), 0600);
  if (!error) state_->acceptor.listen(4, error);
  if (error) {
    return absl::InternalError(absl::StrCat("listening on ", state_->path, ": ", error.message()));
  }
  state_->accept();
  return absl::OkStatus();
}

void DaemonLink::wake() { state_->wake(); }

bool DaemonLink::is_connected() const { return state_->daemon != nullptr; }

bool DaemonLink::is_idle() const {
  return !state_->is_woken && (state_->daemon == nullptr || !state_->daemon->is_writing);
}

void DaemonLink::stop() {
  if (state_->is_stopped) return;
  state_->is_stopped = true;
  error_code ignored;
  state_->acceptor.close(ignored);
  ::unlink(state_->path.c_str());
  state_->drop();
}

}  // namespace mimeo::worker
