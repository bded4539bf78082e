#include "common/store/memory/memory_files.h"

#include "common/store/contract/files_contract.h"

namespace mimeo::store {

INSTANTIATE_TEST_SUITE_P(Memory, FilesContract,
                         testing::Values(FilesKind{
                             "memory", [] { return std::make_shared<MemoryFiles>(); }}));

}  // namespace mimeo::store
