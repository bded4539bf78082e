#include "worker/instance/shim_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/shim/frames.h"

namespace mimeo::worker {
namespace {

namespace asio = boost::asio;

Status errno_status(const std::string& what) {
  return absl::UnavailableError(what + ": " + std::strerror(errno));
}

}  // namespace

struct ShimClient::State : std::enable_shared_from_this<ShimClient::State> {
  State(asio::any_io_executor executor, ShimCallbacks callbacks_in)
      : socket(std::move(executor)), callbacks(std::move(callbacks_in)) {}

  void read() {
    socket.async_read_some(asio::buffer(chunk),
                           [self = shared_from_this()](boost::system::error_code error,
                                                       std::size_t n) { self->on_read(error, n); });
  }

  void on_read(boost::system::error_code error, std::size_t n) {
    if (is_closed) return;
    if (error) return close(absl::UnavailableError("the shim's connection: " + error.message()));
    frames.feed(std::string_view(chunk.data(), n));
    for (;;) {
      auto frame = frames.next();
      if (!frame.ok()) return close(frame.status());
      if (!frame->has_value()) break;
      FromShim message;
      if (!message.ParseFromString(**frame)) {
        return close(absl::InvalidArgumentError("a frame of the shim does not parse"));
      }
      callbacks.on_message(std::move(message));
      if (is_closed) return;
    }
    read();
  }

  void write() {
    if (is_writing || pending.empty() || is_closed) return;
    is_writing = true;
    writing.clear();
    writing.swap(pending);
    asio::async_write(
        socket, asio::buffer(writing),
        [self = shared_from_this()](boost::system::error_code error, std::size_t) {
          self->is_writing = false;
          if (error) {
            return self->close(absl::UnavailableError("the shim's connection: " + error.message()));
          }
          self->write();
        });
  }

  void close(Status reason) {
    if (is_closed) return;
    is_closed = true;
    boost::system::error_code ignored;
    socket.close(ignored);
    // Moved out: the callback may destroy the client.
    auto on_closed = std::move(callbacks.on_closed);
    callbacks = {};
    if (on_closed) on_closed(std::move(reason));
  }

  asio::local::stream_protocol::socket socket;
  ShimCallbacks callbacks;
  FrameSplitter frames;
  std::array<char, 64 * 1024> chunk;
  std::string pending;  // Frames that wait for the write on its way.
  std::string writing;
  bool is_writing = false;
  bool is_closed = false;
};

Result<std::unique_ptr<ShimClient>> ShimClient::connect(asio::any_io_executor executor,
                                                        const std::string& socket_path,
                                                        ShimCallbacks callbacks) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError("the path of a shim's socket is too long: " + socket_path);
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno_status("socket");
  // A Unix connect is answered by the kernel: it does not wait for the other process.
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    Status failed = errno_status("connecting to " + socket_path);
    ::close(fd);
    return failed;
  }
  auto state = std::make_shared<State>(std::move(executor), std::move(callbacks));
  boost::system::error_code error;
  state->socket.assign(asio::local::stream_protocol(), fd, error);
  if (error) {
    ::close(fd);
    return absl::InternalError("a shim's socket: " + error.message());
  }
  state->read();
  return std::unique_ptr<ShimClient>(new ShimClient(std::move(state)));
}

ShimClient::ShimClient(std::shared_ptr<State> state) : state_(std::move(state)) {}

ShimClient::~ShimClient() {
  state_->callbacks = {};
  state_->close(absl::CancelledError("closed"));
}

void ShimClient::send(const ToShim& message) {
  if (state_->is_closed) return;
  append_message_frame(state_->pending, message);
  state_->write();
}

}  // namespace mimeo::worker
