// For tests: a pool that has no thread left for anybody else.

#pragma once

#include <cstddef>
#include <latch>
#include <memory>

#include "common/async/blocking_pool.h"

namespace mimeo::control {

// Takes all threads of a pool until release() or its end.
class BusyPool {
 public:
  BusyPool(BlockingPool& pool, std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) {
      pool.post([end = end_] { end->wait(); });
    }
  }
  BusyPool(const BusyPool&) = delete;
  BusyPool& operator=(const BusyPool&) = delete;
  ~BusyPool() { release(); }

  void release() {
    if (!end_->try_wait()) end_->count_down();
  }

 private:
  const std::shared_ptr<std::latch> end_ = std::make_shared<std::latch>(1);
};

}  // namespace mimeo::control
