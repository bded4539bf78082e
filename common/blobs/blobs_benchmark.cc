// How long it takes to store one small file durably: in a folder of its own, as one per prediction
// would be, and in a folder that others are in already, as content_key() gives. On the file system
// of MIMEO_BENCH_FOLDER, else of the temporary directory.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/blobs/blob_key.h"
#include "common/blobs/local_blobs.h"

namespace mimeo::blobs {
namespace {

namespace fs = std::filesystem;

struct World {
  SystemClock clock;
  SystemRandom random;
  IdGenerator ids{clock, random};
  const fs::path folder = base() / ("mimeo-blobs-benchmark-" + std::to_string(::getpid()));
  std::unique_ptr<LocalBlobs> blobs = LocalBlobs::open_directory(folder).value();
  const std::string content = std::string(20'000, 'x');

  ~World() { fs::remove_all(folder); }
  static fs::path base() {
    const char* given = std::getenv("MIMEO_BENCH_FOLDER");
    return given == nullptr ? fs::temp_directory_path() : fs::path(given);
  }
  static World& shared() {
    static World world;
    return world;
  }
  void put(benchmark::State& state, const std::string& key) {
    auto writer = blobs->create(key).value();
    if (!writer->write(content).ok() || !writer->commit().ok()) state.SkipWithError("not stored");
  }
};

void InAFolderOfItsOwn(benchmark::State& state) {
  World& world = World::shared();
  for (auto _ : state) world.put(state, "outputs/" + world.ids.next().str() + "/file");
}
BENCHMARK(InAFolderOfItsOwn)->UseRealTime()->Unit(benchmark::kMicrosecond);

void InASharedFolder(benchmark::State& state) {
  World& world = World::shared();
  for (auto _ : state) world.put(state, content_key(world.ids.next()));
}
BENCHMARK(InASharedFolder)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace mimeo::blobs
