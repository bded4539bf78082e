#include "common/async/shutdown.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

namespace mimeo {

namespace {

// What a signal handler may touch: lock-free atomics only. Owned by the one ShutdownSignals.
std::atomic<int> signal_pipe{-1};
std::atomic<int> signals_seen{0};
static_assert(std::atomic<int>::is_always_lock_free);

void handle_signal(int number) {
  if (signals_seen.fetch_add(1) > 0) ::_exit(128 + number);
  const int saved_errno = errno;
  const char byte = 1;
  [[maybe_unused]] const ssize_t written = ::write(signal_pipe.load(), &byte, 1);
  errno = saved_errno;
}

}  // namespace

struct ShutdownSignals::State {
  State(boost::asio::any_io_executor executor, int read_end) : reader(executor, read_end) {}
  boost::asio::posix::stream_descriptor reader;
  std::array<char, 1> byte{};
};

ShutdownSignals::ShutdownSignals(boost::asio::any_io_executor executor,
                                 std::function<void()> on_shutdown) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe for signals");
  }
  state_ = std::make_shared<State>(std::move(executor), ends[0]);
  state_->reader.async_read_some(boost::asio::buffer(state_->byte),
                                 [state = state_, on_shutdown = std::move(on_shutdown)](
                                     boost::system::error_code error, std::size_t) {
                                   if (!error) on_shutdown();
                                 });
  signals_seen = 0;
  signal_pipe = ends[1];
  struct sigaction action {};
  action.sa_handler = handle_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
}

ShutdownSignals::~ShutdownSignals() {
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  ::close(signal_pipe.exchange(-1));
  boost::system::error_code ignored;
  state_->reader.close(ignored);
}

}  // namespace mimeo
