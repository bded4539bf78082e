// Tells a process of changes to tokens, accounts and members that others make, so that what it
// remembers about a caller does not outlive its permission. Only a hint: what is remembered also
// has a short lifetime.

#pragma once

#include <functional>
#include <optional>

#include "common/base/ids.h"

namespace mimeo::store {

class AccessFeed {
 public:
  // The account whose tokens, or whose user's tokens, changed; nullopt: any may have.
  using Heard = std::function<void(std::optional<AccountId>)>;

  virtual ~AccessFeed() = default;
  // Once. `heard` is called from the feed's own thread until stop().
  virtual void start(Heard heard) = 0;
  // Waits for a call of `heard` that is under way. May be repeated.
  virtual void stop() = 0;
};

}  // namespace mimeo::store
