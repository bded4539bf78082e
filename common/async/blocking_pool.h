// Runs blocking work (libpqxx, files, hashing, libcurl) off the I/O thread.

#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace mimeo {

// A fixed number of threads and an unbounded queue; callers bound what they put in. Lives as long
// as the process's services; the destructor waits for what was started. The contexts of its callers
// outlive it.
class BlockingPool {
 public:
  explicit BlockingPool(std::size_t threads) : pool_(threads) {}
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;
  ~BlockingPool() { pool_.join(); }

  // Runs `work` on a pool thread and resumes the caller on its own executor with the result. `work`
  // must not throw. It runs to its end even if the caller is cancelled, so it must own what it
  // uses. Work and result need to be movable, no more.
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work&>> run(Work work) {
    using T = std::invoke_result_t<Work&>;
    auto executor = co_await boost::asio::this_coro::executor;
    auto initiate = [this, executor](auto handler, Work moved) {
      boost::asio::post(
          pool_, [executor, handler = std::move(handler), moved = std::move(moved)]() mutable {
            std::optional<T> result(moved());
            boost::asio::post(executor,
                              [handler = std::move(handler), result = std::move(result)]() mutable {
                                std::move(handler)(std::move(result));
                              });
          });
    };
    std::optional<T> result =
        co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>,
                                             void(std::optional<T>)>(
            initiate, boost::asio::use_awaitable, std::move(work));
    co_return std::move(*result);
  }

  // The object for several owners, on any threads; it dies on a thread of this pool, for what may
  // block when it goes. The pool outlives its owners.
  template <class T>
  std::shared_ptr<T> share(std::unique_ptr<T> object) {
    return std::shared_ptr<T>(object.release(),
                              [this](T* orphan) { post([owned = std::unique_ptr<T>(orphan)] {}); });
  }

  // Fire and forget, for work whose result nobody waits for.
  template <class Work>
  void post(Work work) {
    boost::asio::post(pool_, std::move(work));
  }

 private:
  boost::asio::thread_pool pool_;
};

}  // namespace mimeo
