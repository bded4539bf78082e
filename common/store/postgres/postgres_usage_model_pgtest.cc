// Metering against a model: random lives of instances with overlapping, late and repeated results,
// metered at random moments; the sums must be those of a count by the millisecond.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>
#include <random>
#include <thread>

#include "common/base/random.h"
#include "common/base/time_format.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

struct Sums {
  std::int64_t setup_ms = 0;
  std::int64_t idle_ms = 0;
  std::int64_t active_ms = 0;
  std::int64_t nanos = 0;
  friend bool operator==(const Sums&, const Sums&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Sums& s) {
    return out << "setup " << s.setup_ms << " idle " << s.idle_ms << " active " << s.active_ms
               << " nanos " << s.nanos;
  }
};
using ByHour = std::map<WallTime, Sums>;

// One database for all histories; each has its own account, model and hardware.
class World {
 public:
  World() {
    EXPECT_TRUE(store.make_partitions(clock.now(), hours{48}).ok());
    EXPECT_TRUE(store.ensure_cell(1).ok());
    fence = {1, store.take_cell(1, ids.next(), "here", hours{1})->epoch};
  }
  void sql(const std::string& text) {
    pqxx::nontransaction transaction(connection);
    transaction.exec(text);
  }
  static std::string quoted(WallTime at) { return "'" + sql_time(at) + "'"; }

  const std::string database = testing_support::PrivatePostgres::shared().make_database();
  SystemClock clock;
  SystemRandom random;
  IdGenerator ids{clock, random};
  PostgresStore store{PostgresOptions{.conninfo = database}};
  pqxx::connection connection{database};
  Fence fence;
};

World& world() {
  static World shared;
  return shared;
}

struct Life {
  InstanceId id;
  WallTime began;
  std::optional<WallTime> ready;
  std::optional<WallTime> ended;
  std::vector<std::pair<WallTime, WallTime>> runs;
};

class History {
 public:
  explicit History(unsigned seed)
      : random_(seed), name_("h" + std::to_string(seed)), is_public_(seed % 2 == 0) {
    make_catalog(seed);
    for (int i = 0; i < 3; ++i) plan_life();
    for (int i = 0; i < 60; ++i) plan_run();
    for (int i = 0; i < 25; ++i) plan_metering();
  }

  void play() {
    std::stable_sort(events_.begin(), events_.end(),
                     [](const Event& a, const Event& b) { return a.at < b.at; });
    for (const Event& event : events_) event.happen();
    for (int i = 0; i < 2; ++i) meter(end_);
  }

  void check() {
    const AccountId payer = is_public_ ? kUnbilled : account_.id;
    EXPECT_EQ(metered(payer), expected_lives());
    std::int64_t ran = 0;
    std::int64_t cost = 0;
    std::int64_t count = 0;
    for (const Life& life : lives_) {
      for (const auto& [begin, end] : life.runs) {
        const std::int64_t ms = std::chrono::duration_cast<milliseconds>(end - begin).count();
        ran += ms;
        cost += ms * price_at(begin);
        ++count;
      }
    }
    UsageQuery query = everything();
    query.account = account_.id;
    UsageLine line = world().store.list_usage(query)->at(0);
    EXPECT_EQ(line.ran.count(), ran);
    EXPECT_EQ(line.predictions, count);
    if (is_public_) {
      EXPECT_EQ(line.time.active.count(), ran);
      EXPECT_EQ(line.amount.active, cost);
    }
  }

 private:
  struct Event {
    WallTime at;
    std::function<void()> happen;
  };

  milliseconds up_to(milliseconds most) {
    return milliseconds{std::uniform_int_distribution<std::int64_t>(1, most.count())(random_)};
  }
  bool one_in(int n) { return std::uniform_int_distribution<int>(1, n)(random_) == 1; }

  void make_catalog(unsigned seed) {
    Account account;
    account.username = name_;
    account_ = *world().store.create_account(account);
    Hardware hardware;
    hardware.sku = name_;
    hardware.name = name_;
    hardware.price_micros_per_second = 7;
    ASSERT_EQ(world().store.put_hardware(hardware, 0), absl::OkStatus());
    new_price_since_ = begin_ + up_to(hours{2});
    world().sql("INSERT INTO hardware_prices VALUES ('" + name_ + "', " +
                World::quoted(new_price_since_) + ", 13)");
    Model model;
    model.owner_id = account_.id;
    model.name = name_;
    model.visibility = is_public_ ? Visibility::kPublic : Visibility::kPrivate;
    model_ = *world().store.create_model(model);
    std::string hex = std::to_string(100'000'000 + seed);
    Version version;
    version.id = *VersionId::parse(hex + std::string(64 - hex.size(), '0'));
    version.model = model_.id;
    version_ = world().store.put_version(version)->id;
    target_ = *world().store.ensure_version_pool(version_, name_, 1);
  }
  std::int64_t price_at(WallTime at) const { return at >= new_price_since_ ? 13 : 7; }

  void plan_life() {
    const std::size_t index = lives_.size();
    Life life;
    life.id = world().ids.next();
    life.began = begin_ + up_to(minutes{60});
    if (!one_in(6)) life.ready = life.began + up_to(minutes{2});
    if (!one_in(3)) life.ended = life.ready.value_or(life.began) + up_to(minutes{80});
    lives_.push_back(life);
    events_.push_back({life.began, [this, index] { insert(lives_[index]); }});
    // Rows are changed a little after what they tell of, and metering may come in between.
    if (life.ready) {
      events_.push_back({*life.ready + up_to(seconds{5}), [id = life.id, at = *life.ready] {
                           world().sql("UPDATE instances SET state = 40, ready_at = " +
                                       World::quoted(at) + " WHERE id = '" + id.hex() + "'");
                         }});
    }
    if (life.ended) {
      events_.push_back({*life.ended + up_to(minutes{2}), [id = life.id, at = *life.ended] {
                           world().sql("UPDATE instances SET state = 90, state_since = " +
                                       World::quoted(at) + " WHERE id = '" + id.hex() + "'");
                         }});
    }
  }
  void insert(const Life& life) {
    InstanceRow row;
    row.id = life.id;
    row.target = target_.id;
    row.version = version_;
    row.worker = world().ids.next();
    row.sku = name_;
    ASSERT_EQ(world().store.insert_instances(world().fence, {&row, 1}), absl::OkStatus());
    world().sql("UPDATE instances SET created_at = " + World::quoted(life.began) + " WHERE id = '" +
                life.id.hex() + "'");
  }

  // Anywhere around a life, also before it is ready and after its end.
  void plan_run() {
    Life& life = lives_[std::uniform_int_distribution<std::size_t>(0, lives_.size() - 1)(random_)];
    const WallTime last = life.ended.value_or(end_) + seconds{20};
    const WallTime end =
        life.began + up_to(std::chrono::duration_cast<milliseconds>(last - life.began));
    const milliseconds ran = one_in(4) ? up_to(minutes{12}) : up_to(seconds{3});
    life.runs.emplace_back(end - ran, end);
    const milliseconds late = one_in(5) ? up_to(minutes{50}) : up_to(seconds{2});
    events_.push_back({std::max(end, life.began + seconds{1}) + late,
                       [this, id = life.id, end, ran] { finish(id, end, ran); }});
  }
  void finish(InstanceId instance, WallTime end, milliseconds ran) {
    NewPrediction p;
    p.id = world().ids.next();
    p.account = account_.id;
    p.target = target_.id;
    p.cell = 1;
    p.model = model_.id;
    p.version = version_;
    p.created_at = world().clock.now();
    p.input = "{}";
    p.grant = Grant{world().fence, instance, world().ids.next(), 1, version_, 0};
    ASSERT_TRUE(world().store.create({&p, 1}).ok());
    Finish f;
    f.id = p.id;
    f.attempt = 1;
    f.status = PredictionStatus::kSucceeded;
    f.completed_at = end;
    f.billed = ran;
    f.instance = instance;
    EXPECT_EQ(world().store.finish({&f, 1})->at(0), FinishOutcome::kCommitted);
    if (one_in(4)) {
      EXPECT_EQ(world().store.finish({&f, 1})->at(0), FinishOutcome::kAlreadySame);
    }
  }

  void plan_metering() {
    const WallTime at = begin_ + up_to(hours{3});
    const int what = std::uniform_int_distribution<int>(0, 9)(random_);
    events_.push_back({at, [this, at, what] {
                         if (what == 0) {  // Two processes at once.
                           std::thread other([this, at] { meter(at); });
                           meter(at);
                           other.join();
                         } else if (what == 1) {
                           EXPECT_EQ(world().store.seal_usage(at - hours{2}), absl::OkStatus());
                         } else {
                           meter(at);
                         }
                       }});
  }
  static void meter(WallTime now) {
    for (bool has_more = true; has_more;) {
      const auto step = world().store.meter(now, 3);
      ASSERT_TRUE(step.ok()) << step.status();
      has_more = step->has_more;
    }
  }

  static UsageQuery everything() {
    UsageQuery query;
    query.from = begin_ - hours{2};
    query.to = end_ + hours{2};
    return query;
  }
  // What instances of this history were metered as, by hour.
  ByHour metered(AccountId account) {
    UsageQuery query = everything();
    query.account = account;
    query.grouping.step = UsageStep::kHour;
    query.grouping.by_hardware = true;
    ByHour sums;
    const auto lines = world().store.list_usage(query);
    for (const UsageLine& line : *lines) {
      if (line.sku != name_ || line.time.total().count() == 0) continue;
      sums[*line.begin] = {line.time.setup.count(), line.time.idle.count(),
                           line.time.active.count(), line.amount.total()};
    }
    return sums;
  }
  // The same, by looking at each millisecond.
  ByHour expected_lives() const {
    ByHour sums;
    for (const Life& life : lives_) {
      const WallTime end = life.ended.value_or(end_);
      const auto ms = [&life](WallTime at) {
        return std::chrono::duration_cast<milliseconds>(at - life.began).count();
      };
      std::vector<bool> is_active(static_cast<std::size_t>(ms(end)));
      for (const auto& [from, to] : life.runs) {
        for (std::int64_t i = std::max<std::int64_t>(0, ms(from)); i < std::min(ms(to), ms(end));
             ++i) {
          is_active[static_cast<std::size_t>(i)] = true;
        }
      }
      const std::int64_t ready = life.ready ? ms(*life.ready) : ms(end);
      for (WallTime minute = floor<minutes>(life.began); minute < end; minute += minutes{1}) {
        const std::int64_t price = price_at(minute);
        Sums& hour = sums[floor<hours>(minute)];
        const std::int64_t last = std::min(ms(minute + minutes{1}), ms(end));
        for (std::int64_t i = std::max<std::int64_t>(0, ms(minute)); i < last; ++i) {
          const bool runs = is_active[static_cast<std::size_t>(i)];
          ++(runs ? hour.active_ms : i < ready ? hour.setup_ms : hour.idle_ms);
          if (!runs || !is_public_) hour.nanos += price;
        }
      }
    }
    return sums;
  }

  static inline const WallTime begin_ = *parse_rfc3339("2026-03-31T20:17:03.123Z");
  static inline const WallTime end_ = begin_ + hours{4};
  std::mt19937_64 random_;
  const std::string name_;
  const bool is_public_;
  Account account_;
  Model model_;
  VersionId version_;
  Target target_;
  WallTime new_price_since_;
  std::vector<Life> lives_;
  std::vector<Event> events_;
};

TEST(UsageModel, SumsAreThoseOfACountByTheMillisecond) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    history.play();
    history.check();
    if (testing::Test::HasFailure()) break;
  }
}

TEST(UsageModel, ARoundThatFailsTakesNothing) {
  History history(1000);
  history.play();
  World& w = world();
  NewPrediction p;
  p.id = w.ids.next();
  p.account = w.store.get_account_by_username("h1000")->id;
  p.cell = 1;
  p.created_at = w.clock.now();
  p.input = "{}";
  p.grant = Grant{w.fence, w.ids.next(), w.ids.next(), 1, {}, 0};
  ASSERT_TRUE(w.store.create({&p, 1}).ok());
  Finish f;
  f.id = p.id;
  f.attempt = 1;
  f.completed_at = w.clock.now();
  f.billed = milliseconds{5};
  ASSERT_TRUE(w.store.finish({&f, 1}).ok());
  {
    pqxx::work blocking(w.connection);
    blocking.exec("LOCK TABLE usage_totals IN EXCLUSIVE MODE");
    EXPECT_FALSE(w.store.meter(w.clock.now(), 100).ok());
  }
  const auto metered = w.store.meter(w.clock.now(), 100);
  ASSERT_TRUE(metered.ok()) << metered.status();
  EXPECT_EQ(metered->predictions, 1);
  EXPECT_EQ(metered->ran, milliseconds{5});
  EXPECT_EQ(w.store.meter(w.clock.now(), 100)->predictions, 0);
}

TEST(UsageModel, WhatAnOlderReleaseCountedIsKept) {
  World& w = world();
  Account account;
  account.username = "old";
  const AccountId id = w.store.create_account(account)->id;
  const std::string insert = "INSERT INTO usage_hour VALUES (" + std::to_string(id) +
                             ", '2026-01-01 10:00:00+00', 'cpu', false, ";
  w.sql(insert + "0, 100, 2)");
  w.sql(insert + "1, 50, 1)");
  ASSERT_TRUE(w.store.meter(w.clock.now(), 100).ok());
  ASSERT_TRUE(w.store.meter(w.clock.now(), 100).ok());
  UsageQuery query;
  query.account = id;
  query.from = *parse_rfc3339("2026-01-01");
  query.to = *parse_rfc3339("2026-01-02");
  query.grouping.by_kind = true;
  const auto lines = *w.store.list_usage(query);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].kind, UsageKind::kEarlier);
  EXPECT_EQ(lines[0].time.active, milliseconds{150});
  EXPECT_EQ(lines[0].predictions, 3);
  EXPECT_EQ(lines[0].amount.total(), 0);
}

}  // namespace
}  // namespace mimeo::store
