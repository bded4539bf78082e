// The slow scan that makes every hint optional: reads what changed in the store without anybody
// having told, and gives it to the cell. Young rows often, the whole table now and then; targets,
// accounts and workers, too.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>

#include "common/async/task_group.h"
#include "scheduler/core/cell.h"
#include "scheduler/parts.h"

namespace mimeo::scheduler {

struct ReconcileOptions {
  std::chrono::milliseconds recent_every{2000};  // Rows younger than `recent`.
  std::chrono::milliseconds recent{120'000};
  std::chrono::milliseconds all_every{60'000};    // Every row.
  std::chrono::milliseconds targets_every{2000};  // Changed ones.
  std::chrono::milliseconds workers_every{5000};  // Drained by an operator?
  std::chrono::milliseconds accounts_every{60'000};
  std::size_t page = 10'000;                    // Rows per read.
  std::chrono::milliseconds between_pages{50};  // Of the scan of all.
};

// On the executor. Errors of the store are skipped: the next round comes.
class Reconcile {
 public:
  // `find_cell` gives the cell, or nullptr when there is none any more; `settle` is called after
  // changes. `config_seq`: of the newest target that the cell was loaded with.
  Reconcile(boost::asio::any_io_executor executor, SchedulerParts& parts,
            const ReconcileOptions& options, CellId cell, std::int64_t config_seq,
            std::function<Cell*()> find_cell, std::function<void()> settle);

  void start();
  void cancel();
  boost::asio::awaitable<void> wait();

  // The part of a scan from `after` on, at most a page; returns its last id, or nil at the end of
  // the table. Also for loading: `take` gets the rows.
  static PredictionId last_of(const std::vector<store::ActiveRow>& rows, std::size_t page);

 private:
  boost::asio::awaitable<void> scan_recent();
  boost::asio::awaitable<void> scan_all();
  boost::asio::awaitable<void> follow_targets();
  boost::asio::awaitable<void> follow_workers();
  boost::asio::awaitable<void> follow_accounts();
  // Scans from `after` to the end of the table.
  boost::asio::awaitable<void> scan_from(PredictionId after, std::chrono::milliseconds pause);

  SchedulerParts& parts_;
  const ReconcileOptions options_;
  const CellId cell_;
  std::int64_t config_seq_;
  const std::function<Cell*()> find_cell_;
  const std::function<void()> settle_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::scheduler
