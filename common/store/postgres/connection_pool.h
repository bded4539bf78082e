// Connections to Postgres, handed out one call at a time.
//
// A pqxx connection belongs to one thread while it is used; libpqxx has no pool. Calls come from
// BlockingPool threads, at most as many at once as there are threads.

#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/base/status.h"
#include "common/store/postgres/errors.h"
#include "common/store/postgres/postgres_options.h"
#include "common/store/postgres/statement.h"

namespace mimeo::store {

// One open connection with what was prepared on it. Throws what libpqxx throws.
class Connection {
 public:
  explicit Connection(const PostgresOptions& options);

  // Runs one statement outside of any transaction: it is its own, in one round trip.
  template <class... Params>
  pqxx::result run(const Statement& statement, Params&&... params) {
    prepare(statement);
    pqxx::nontransaction transaction(raw_);
    return transaction.exec_prepared(statement.name, std::forward<Params>(params)...);
  }
  // Runs one statement inside of a transaction of raw().
  template <class... Params>
  pqxx::result run_in(pqxx::transaction_base& transaction, const Statement& statement,
                      Params&&... params) {
    prepare(statement);
    return transaction.exec_prepared(statement.name, std::forward<Params>(params)...);
  }
  [[nodiscard]] pqxx::connection& raw() { return raw_; }

 private:
  void prepare(const Statement& statement);

  pqxx::connection raw_;
  std::unordered_set<std::string> prepared_;
};

// Safe from any thread.
class ConnectionPool {
 public:
  // Opens nothing yet.
  explicit ConnectionPool(PostgresOptions options) : options_(std::move(options)) {}
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  // Calls `work(Connection&)`, which returns a Status or Result<T>, on a connection of its own;
  // waits for one while all are in use. Exceptions become statuses with `what` in front. Repeats
  // `work` when the database broke it off because of a deadlock: it was rolled back. A connection
  // that broke is closed, and with it all idle ones: a restart of the server costs one error, not
  // one per connection.
  template <class Work>
  std::invoke_result_t<Work&, Connection&> with(std::string_view what, Work work) {
    Status status;
    for (int attempt = 0; attempt < 5; ++attempt) {
      std::unique_ptr<Connection> connection;
      try {
        connection = acquire();
        auto answer = work(*connection);
        release(std::move(connection));
        return answer;
      } catch (const std::exception& error) {
        status = with_context(status_of(error), what);
        give_back_after_error(std::move(connection));
      }
      if (!absl::IsAborted(status)) break;
    }
    return status;
  }

 private:
  std::unique_ptr<Connection> acquire();
  void release(std::unique_ptr<Connection> connection);
  void give_back_after_error(std::unique_ptr<Connection> connection);

  const PostgresOptions options_;
  std::mutex mutex_;
  std::condition_variable released_;
  std::size_t in_use_ = 0;                         // Guarded by mutex_.
  std::vector<std::unique_ptr<Connection>> idle_;  // Guarded by mutex_; last in, first out.
};

}  // namespace mimeo::store
