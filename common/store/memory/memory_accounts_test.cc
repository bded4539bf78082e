#include "common/base/clock.h"
#include "common/store/contract/accounts_contract.h"
#include "common/store/memory/memory_store.h"

namespace mimeo::store {
namespace {

AccountsUnderTest in_memory() {
  struct Both {
    SystemClock clock;
    MemoryStore store{clock};
  };
  auto both = std::make_shared<Both>();
  MemoryStore& store = both->store;
  return {std::move(both), store, store};
}

INSTANTIATE_TEST_SUITE_P(Memory, AccountsContract,
                         testing::Values(AccountsKind{"memory", in_memory}));

}  // namespace
}  // namespace mimeo::store
