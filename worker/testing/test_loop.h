// For tests: the one thread of a process, driven from the test: runs until a condition holds.

#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace mimeo::worker {

class TestLoop {
 public:
  boost::asio::any_io_executor executor() { return context_.get_executor(); }

  // Runs until `is_true`; fails the test after `limit`.
  ::testing::AssertionResult run_until(const std::function<bool()>& is_true,
                                       std::chrono::milliseconds limit = std::chrono::seconds{20}) {
    const auto give_up = std::chrono::steady_clock::now() + limit;
    while (!is_true()) {
      if (std::chrono::steady_clock::now() > give_up) {
        return ::testing::AssertionFailure() << "not true within " << limit.count() << " ms";
      }
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds{20});
    }
    return ::testing::AssertionSuccess();
  }

  // Runs a coroutine to its end.
  template <class T>
  T run(boost::asio::awaitable<T> task,
        std::chrono::milliseconds limit = std::chrono::seconds{60}) {
    // Shared: a task that takes too long ends after us.
    struct State {
      std::optional<T> result;
      std::exception_ptr failure;
    };
    auto state = std::make_shared<State>();
    boost::asio::co_spawn(context_, std::move(task), [state](std::exception_ptr error, T value) {
      state->failure = error;
      state->result = std::move(value);
    });
    const auto in_time = run_until([&] { return state->result.has_value(); }, limit);
    if (!in_time) throw std::runtime_error(in_time.message());
    if (state->failure) std::rethrow_exception(state->failure);
    return std::move(*state->result);
  }
  void run(boost::asio::awaitable<void> task,
           std::chrono::milliseconds limit = std::chrono::seconds{60}) {
    struct State {
      bool is_done = false;
      std::exception_ptr failure;
    };
    auto state = std::make_shared<State>();
    boost::asio::co_spawn(context_, std::move(task), [state](std::exception_ptr error) {
      state->failure = error;
      state->is_done = true;
    });
    const auto in_time = run_until([&] { return state->is_done; }, limit);
    if (!in_time) throw std::runtime_error(in_time.message());
    if (state->failure) std::rethrow_exception(state->failure);
  }

 private:
  boost::asio::io_context context_{1};
};

// A folder that is gone with the test. Its path is short: Unix sockets lie below it.
class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "mwXXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace mimeo::worker
