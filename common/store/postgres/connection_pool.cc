#include "common/store/postgres/connection_pool.h"

#include <absl/strings/str_cat.h>

namespace mimeo::store {

Connection::Connection(const PostgresOptions& options) : raw_(options.conninfo) {
  // Plans are made once per connection and do not depend on statistics: every statement of ours
  // goes by keys, a nested loop of look-ups, and must still do so when its plan was made while a
  // table was empty and any other way looked as good. Generic plans also spare planning over all
  // partitions at each call.
  pqxx::nontransaction session(raw_);
  session.exec(absl::StrCat(
      "SET plan_cache_mode = force_generic_plan; SET jit = off;"
      "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
      "SET enable_material = off; SET enable_bitmapscan = off;"
      "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex';"
      "SET client_encoding = 'UTF8'; SET client_min_messages = 'warning';"
      "SET idle_in_transaction_session_timeout = '10s';"
      "SET statement_timeout = ",
      options.statement_timeout.count(),
      "; SET application_name = ", session.quote(options.application_name)));
}

void Connection::prepare(const Statement& statement) {
  if (prepared_.insert(statement.name).second) raw_.prepare(statement.name, statement.text);
}

std::unique_ptr<Connection> ConnectionPool::acquire() {
  std::unique_lock lock(mutex_);
  released_.wait(lock, [this] { return in_use_ < options_.max_connections; });
  ++in_use_;
  if (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  lock.unlock();
  return std::make_unique<Connection>(options_);
}

void ConnectionPool::release(std::unique_ptr<Connection> connection) {
  const std::scoped_lock lock(mutex_);
  idle_.push_back(std::move(connection));
  --in_use_;
  released_.notify_one();
}

void ConnectionPool::give_back_after_error(std::unique_ptr<Connection> connection) {
  std::vector<std::unique_ptr<Connection>> closing;  // Closed without the lock.
  const std::scoped_lock lock(mutex_);
  --in_use_;
  released_.notify_one();
  if (connection == nullptr) return;  // It could not be opened.
  if (connection->raw().is_open()) {
    idle_.push_back(std::move(connection));
    return;
  }
  closing.swap(idle_);
  closing.push_back(std::move(connection));
}

}  // namespace mimeo::store
