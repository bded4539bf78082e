#include "common/store/contract/trainings_contract.h"
#include "common/store/memory/memory_store.h"

namespace mimeo::store {
namespace {

struct Memory {
  SystemClock clock;
  MemoryStore store{clock};
};

TrainingsKind memory() {
  return {"memory", [] {
            auto made = std::make_shared<Memory>();
            TrainingStores stores{made->store, made->store, made->store,
                                  made->store, made->store, made->store};
            return TrainingsUnderTest{made, stores};
          }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Memory, TrainingsContract, testing::Values(memory()));

}  // namespace mimeo::store
