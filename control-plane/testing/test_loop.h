// An io_context that a test drives itself.

#pragma once

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <stdexcept>
#include <utility>

namespace mimeo::control {

class TestLoop {
 public:
  [[nodiscard]] boost::asio::any_io_executor executor() { return io_.get_executor(); }

  // Starts a coroutine; wait for it with finish().
  template <class T>
  std::future<T> start(boost::asio::awaitable<T> task) {
    return boost::asio::co_spawn(io_, std::move(task), boost::asio::use_future);
  }
  template <class T>
  T finish(std::future<T>& future) {
    drive([&] { return is_ready(future); });
    return future.get();
  }
  template <class T>
  T run(boost::asio::awaitable<T> task) {
    std::future<T> future = start(std::move(task));
    return finish(future);
  }
  template <class T>
  static bool is_ready(std::future<T>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  // Runs handlers until `condition`; throws (and so fails the test) when it never becomes true.
  void drive(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("waited in vain");
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(5));
    }
  }
  // Runs until nothing is left that needs the loop, such as streams that close: for ends of tests.
  void finish_work() {
    io_.restart();
    io_.run_for(std::chrono::seconds(20));
    EXPECT_TRUE(io_.stopped()) << "something still needs the loop";
  }
  // Runs what is ready now.
  void settle() {
    io_.restart();
    io_.poll();
  }

 private:
  boost::asio::io_context io_;
};

}  // namespace mimeo::control
