// How many prediction lives (create, assign, finish) a second the store commits, by batch size and
// number of writers, and how long one create takes. Meaningful only on an idle machine: compare
// with SingleCreate, which is one commit.
//
// MIMEO_BENCH_DATABASE names a migrated database of a server that waits for its disk; without it a
// private one is started, which does not wait.

#include <benchmark/benchmark.h>

#include <cstdlib>

#include "common/store/postgres/migrator.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

// What all benchmarks write into.
struct World {
  SystemClock clock;
  SystemRandom random;
  IdGenerator ids{clock, random};
  PostgresStore store;
  Fence fence;
  VersionId version = *VersionId::parse(std::string(64, 'a'));
  Target target;
  AccountId account = 0;
  ModelId model = 0;
  const InstanceId instance = ids.next();
  const WorkerId worker = ids.next();

  World() : store({.conninfo = database(), .max_connections = 16}) {
    const WallTime now = clock.now();
    check(store.make_partitions(now, std::chrono::hours{48}));
    check(store.ensure_cell(1));
    fence = {1, store.take_cell(1, ids.next(), "bench", std::chrono::hours{1})->epoch};
    Account owner;
    owner.username = "bench-" + ids.next().str();
    owner.created_at = now;
    account = store.create_account(owner)->id;
    Model wish;
    wish.owner_id = account;
    wish.name = "bench";
    wish.created_at = now;
    model = store.create_model(wish)->id;
    Version v;
    v.id = version;
    v.model = model;
    v.created_at = now;
    check(store.put_version(v).status());
    target = *store.ensure_version_pool(version, "cpu", 1);
  }

  static std::string database() {
    if (const char* given = std::getenv("MIMEO_BENCH_DATABASE")) return given;
    return testing_support::PrivatePostgres::shared().make_database();
  }
  static void check(const Status& status) {
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      std::exit(1);
    }
  }
  static World& shared() {
    static World world;
    return world;
  }

  NewPrediction new_prediction() {
    NewPrediction p;
    p.id = ids.next();
    p.account = account;
    p.target = target.id;
    p.cell = 1;
    p.model = model;
    p.version = version;
    p.created_at = clock.now();
    p.run_limit = std::chrono::minutes{30};
    p.input = R"({"prompt":")" + std::string(300, 'x') + R"("})";
    return p;
  }
};

void SingleCreate(benchmark::State& state) {
  World& world = World::shared();
  for (auto _ : state) {
    const NewPrediction p = world.new_prediction();
    World::check(world.store.create({&p, 1}).status());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SingleCreate)->UseRealTime()->Unit(benchmark::kMicrosecond);

enum class Owing : std::uint8_t { kNothing, kWebhook };

void live(World& world, std::size_t batch, Owing owing) {
  std::vector<NewPrediction> created;
  std::vector<Assignment> assigned;
  std::vector<Finish> finished;
  for (std::size_t i = 0; i < batch; ++i) {
    created.push_back(world.new_prediction());
    if (owing == Owing::kWebhook) {
      created.back().webhook = "https://receiver.example/hook";
      created.back().webhook_events = 8;
    }
    const PredictionId id = created.back().id;
    assigned.push_back({id, 0, world.instance, world.worker, 1, world.version, 0});
    Finish f;
    f.id = id;
    f.attempt = 1;
    f.status = PredictionStatus::kSucceeded;
    f.started_at = f.completed_at = world.clock.now();
    f.output = R"("hello world, this is what came out")";
    f.logs = "one line of logs\n";
    finished.push_back(std::move(f));
  }
  World::check(world.store.create(created).status());
  World::check(world.store.assign(world.fence, assigned).status());
  World::check(world.store.finish(finished).status());
}

// Claims and settles up to `batch` webhooks, as delivered at the first attempt.
void deliver(World& world, std::size_t batch) {
  const auto due = world.store.claim_due(batch, std::chrono::minutes{1}, world.worker);
  World::check(due.status());
  std::vector<WebhookSettlement> settled;
  for (const WebhookDelivery& one : *due) {
    WebhookSettlement item;
    item.outbox_id = one.id;
    item.delivery.emplace();
    item.delivery->id = "msg_" + one.prediction.str();
    item.delivery->account = one.account;
    item.delivery->prediction = one.prediction;
    item.delivery->url = one.url;
    item.delivery->state = DeliveryState::kDelivered;
    item.attempt.at = world.clock.now();
    item.attempt.request_headers = R"({"Content-Type":"application/json","webhook-id":"msg_x"})";
    item.attempt.request_body = std::string(2000, 'x');
    item.attempt.request_bytes = 2000;
    item.attempt.response_status = 204;
    item.attempt.response_headers = R"({"Server":"receiver"})";
    settled.push_back(std::move(item));
  }
  World::check(world.store.settle(settled));
}

void Lives(benchmark::State& state) {
  World& world = World::shared();
  const auto batch = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) live(world, batch, Owing::kNothing);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
}
BENCHMARK(Lives)->Arg(1)->Arg(8)->Arg(32)->Arg(128)->Arg(256)->UseRealTime()->Unit(
    benchmark::kMicrosecond);
BENCHMARK(Lives)
    ->Name("LivesByFourWriters")
    ->Arg(32)
    ->Arg(128)
    ->Threads(4)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// The rows of one output file with a content of its own; with 1, all have the same.
void CreateOutput(benchmark::State& state) {
  World& world = World::shared();
  const NewPrediction p = world.new_prediction();
  World::check(world.store.create({&p, 1}).status());
  const std::string same(64, 'a');
  for (auto _ : state) {
    OutputFile file;
    file.prediction = p.id;
    file.secret = world.ids.next().str();
    file.filename = "out.png";
    const std::string half = to_hex({file.secret.data() + 10, 16});
    file.sha256_hex = state.range(0) == 1 ? same : half + half;
    file.md5_hex = half;
    file.created_at = world.clock.now();
    file.blob_key = "content/" + file.secret;
    World::check(world.store.create_output(file));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(CreateOutput)->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(CreateOutput)
    ->Name("CreateOutputByFour")
    ->Arg(0)
    ->Arg(1)
    ->Threads(4)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// list_due() and remove_data() of predictions with a small output.
void RemoveData(benchmark::State& state) {
  World& world = World::shared();
  const auto batch = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<NewPrediction> created;
    std::vector<Finish> finished;
    for (std::size_t i = 0; i < batch; ++i) {
      created.push_back(world.new_prediction());
      Finish f;
      f.id = created.back().id;
      f.status = PredictionStatus::kSucceeded;
      f.completed_at = world.clock.now() - std::chrono::hours{24 * 365};
      f.output = R"("hello")";
      finished.push_back(std::move(f));
    }
    World::check(world.store.create(created).status());
    World::check(world.store.finish(finished).status());
    state.ResumeTiming();
    const auto due = world.store.list_due(world.clock.now() - std::chrono::hours{24}, batch);
    World::check(due.status());
    World::check(world.store.remove_data(*due).status());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
}
BENCHMARK(RemoveData)->Arg(200)->UseRealTime()->Unit(benchmark::kMicrosecond);

// The same of predictions with a webhook; delivering it is not measured.
void LivesOwingWebhooks(benchmark::State& state) {
  World& world = World::shared();
  const auto batch = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    live(world, batch, Owing::kWebhook);
    state.PauseTiming();
    deliver(world, batch);
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
}
BENCHMARK(LivesOwingWebhooks)
    ->Arg(1)
    ->Arg(32)
    ->Arg(128)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// What claiming, settling and logging a delivery costs beside them.
void Webhooks(benchmark::State& state) {
  World& world = World::shared();
  const auto batch = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    live(world, batch, Owing::kWebhook);
    state.ResumeTiming();
    deliver(world, batch);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
}
BENCHMARK(Webhooks)->Arg(1)->Arg(32)->Arg(128)->UseRealTime()->Unit(benchmark::kMicrosecond);
// One round of metering: `range(0)` live instances, `range(1)` predictions that ended since the
// last. Not counted: making those.
void Meter(benchmark::State& state) {
  World& world = World::shared();
  std::vector<InstanceRow> rows(static_cast<std::size_t>(state.range(0)));
  for (InstanceRow& row : rows) {
    row.id = world.ids.next();
    row.target = world.target.id;
    row.version = world.version;
    row.worker = world.worker;
    row.sku = "cpu";
  }
  std::vector<InstanceChange> ready;
  for (const InstanceRow& row : rows) ready.push_back({row.id, InstanceState::kReady, ""});
  World::check(world.store.insert_instances(world.fence, rows));
  World::check(world.store.update_instances(ready));
  WallTime now = world.clock.now();
  const auto round = [&] {
    Result<Metered> metered = world.store.meter(now, 1'000'000);
    World::check(metered.status());
  };
  round();
  for (auto _ : state) {
    state.PauseTiming();
    now += std::chrono::seconds{5};
    std::vector<NewPrediction> created;
    std::vector<Finish> finished;
    for (std::int64_t i = 0; i < state.range(1); ++i) {
      created.push_back(world.new_prediction());
      const InstanceId instance = rows[static_cast<std::size_t>(i) % rows.size()].id;
      created.back().grant = Grant{world.fence, instance, world.worker, 1, world.version, 0};
      Finish f;
      f.id = created.back().id;
      f.status = PredictionStatus::kSucceeded;
      f.completed_at = now - std::chrono::milliseconds{i * 4000 / state.range(1)};
      f.billed = std::chrono::milliseconds{500};
      f.instance = instance;
      finished.push_back(std::move(f));
    }
    if (!created.empty()) {
      World::check(world.store.create(created).status());
      World::check(world.store.finish(finished).status());
    }
    state.ResumeTiming();
    round();
  }
  std::vector<InstanceChange> stopped = ready;
  for (InstanceChange& change : stopped) change.state = InstanceState::kStopped;
  World::check(world.store.update_instances(stopped));
}
BENCHMARK(Meter)
    ->Args({10, 0})
    ->Args({1000, 0})
    ->Args({10, 1000})
    ->Args({1000, 5000})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void Get(benchmark::State& state) {
  World& world = World::shared();
  const NewPrediction p = world.new_prediction();
  World::check(world.store.create({&p, 1}).status());
  for (auto _ : state) World::check(world.store.get(p.id, 0).status());
}
BENCHMARK(Get)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace mimeo::store
