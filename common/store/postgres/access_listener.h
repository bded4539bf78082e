// The AccessFeed of Postgres: one connection of its own that listens on the channel "mimeo_access"
// (migration 0007 notifies it). It is on no prediction's path; why it exists: docs/adr/0011.

#pragma once

#include <memory>

#include "common/store/access_feed.h"
#include "common/store/postgres/postgres_options.h"

namespace mimeo::store {

// A thread that waits for the server. When the connection is lost it is opened again once a second,
// and what may have been missed is told as "any account".
class AccessListener final : public AccessFeed {
 public:
  explicit AccessListener(PostgresOptions options);
  ~AccessListener() override;

  void start(Heard heard) override;
  void stop() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mimeo::store
