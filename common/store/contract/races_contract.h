// Contract of what happens when several callers change one prediction at the same time.

#pragma once

#include <atomic>
#include <latch>
#include <thread>

#include "common/store/contract/store_contract.h"

namespace mimeo::store {

class RacesContract : public StoreContract {
 protected:
  // Runs `work(i)` on n threads that start together.
  template <class Work>
  static void race(int n, const Work& work) {
    std::latch start(n);
    std::vector<std::jthread> threads;
    for (int i = 0; i < n; ++i) {
      threads.emplace_back([&, i] {
        start.arrive_and_wait();
        work(i);
      });
    }
  }
};

TEST_P(RacesContract, OneOfManyFinishersWins) {
  for (int round = 0; round < 10; ++round) {
    const PredictionId id = create_assigned();
    std::atomic<int> committed{0};
    std::atomic<int> others{0};
    const Finish base = finish_of(id, 1);
    race(4, [&](int i) {
      Finish f = base;
      f.status = i % 2 == 0 ? PredictionStatus::kSucceeded : PredictionStatus::kFailed;
      const auto answers = predictions().finish({&f, 1});
      ASSERT_TRUE(answers.ok()) << answers.status();
      ASSERT_NE(answers->at(0), FinishOutcome::kUnknown);
      ++(answers->at(0) == FinishOutcome::kCommitted ? committed : others);
    });
    EXPECT_EQ(committed, 1);
    EXPECT_EQ(others, 3);
    EXPECT_TRUE(is_terminal(view(id).status));
  }
}

TEST_P(RacesContract, OverlappingBatchesInAnyOrderCommitEachIdOnce) {
  std::vector<Finish> forwards;
  for (int i = 0; i < 64; ++i) forwards.push_back(finish_of(create_assigned(), 1));
  const std::vector<Finish> backwards(forwards.rbegin(), forwards.rend());
  std::atomic<int> committed{0};
  race(4, [&](int i) {
    const auto answers = predictions().finish(i % 2 == 0 ? forwards : backwards);
    ASSERT_TRUE(answers.ok()) << answers.status();
    for (const FinishOutcome outcome : *answers) {
      if (outcome == FinishOutcome::kCommitted) ++committed;
    }
  });
  EXPECT_EQ(committed, 64);
  EXPECT_TRUE(predictions().scan_active(1, {}, 10)->empty());
}

TEST_P(RacesContract, CancelAgainstAssignEndsInOneOfTwoWays) {
  for (int round = 0; round < 20; ++round) {
    const PredictionId id = create_queued();
    Assigned assigned;
    Canceled canceled;
    const WallTime at = later();
    const Assignment wish = assignment(id);
    race(2, [&](int i) {
      if (i == 0) {
        const auto answer = predictions().assign(fence_, {&wish, 1});
        ASSERT_TRUE(answer.ok()) << answer.status();
        assigned = answer->at(0);
      } else {
        const auto answer = predictions().cancel(id, account_.id, at);
        ASSERT_TRUE(answer.ok()) << answer.status();
        canceled = *answer;
      }
    });
    if (assigned.assigned) {
      EXPECT_EQ(canceled.outcome, CancelOutcome::kRequested);
      EXPECT_TRUE(active_row(id)->cancel_at.has_value());
    } else {
      EXPECT_EQ(canceled.outcome, CancelOutcome::kCanceled);
      EXPECT_EQ(view(id).status, PredictionStatus::kCanceled);
    }
  }
}

TEST_P(RacesContract, OneIdempotencyKeyFromManyThreadsMakesOnePrediction) {
  for (int round = 0; round < 5; ++round) {
    std::vector<NewPrediction> wishes;
    for (int i = 0; i < 4; ++i) {
      wishes.push_back(new_prediction());
      wishes.back().idempotency_key = "round " + std::to_string(round);
    }
    std::vector<Created> answers(4);
    race(4, [&](int i) {
      const auto answer = predictions().create({&wishes[i], 1});
      ASSERT_TRUE(answer.ok()) << answer.status();
      answers[i] = answer->at(0);
    });
    PredictionId winner;
    for (int i = 0; i < 4; ++i) {
      if (answers[i].outcome == CreateOutcome::kQueued) {
        EXPECT_TRUE(winner.is_nil()) << "two winners";
        winner = wishes[i].id;
      }
    }
    for (const Created& answer : answers) {
      if (answer.outcome == CreateOutcome::kQueued) continue;
      EXPECT_EQ(answer.outcome, CreateOutcome::kDuplicate);
      EXPECT_EQ(answer.existing_id, winner);
    }
    EXPECT_EQ(predictions().scan_active(1, {}, 100)->size(), static_cast<std::size_t>(round + 1));
  }
}

// The promise of take_cell: whatever the previous owner assigned is either refused or visible to
// the new one as soon as it has the cell.
TEST_P(RacesContract, NoAssignmentOfThePreviousOwnerAppearsAfterATakeover) {
  for (int round = 0; round < 10; ++round) {
    std::vector<Assignment> wishes;
    for (int i = 0; i < 8; ++i) wishes.push_back(assignment(create_queued()));
    std::vector<bool> was_assigned(wishes.size());
    std::size_t seen_by_new_owner = 0;
    CellLease lease;
    race(2, [&](int i) {
      if (i == 0) {
        for (std::size_t k = 0; k < wishes.size(); ++k) {
          const auto answer = predictions().assign(fence_, {&wishes[k], 1});
          if (!answer.ok()) {
            ASSERT_EQ(answer.status().code(), absl::StatusCode::kAborted);
            break;
          }
          was_assigned[k] = answer->at(0).assigned;
        }
      } else {
        const auto taken = fleet().take_cell(1, scheduler_, "here:1", std::chrono::hours{1});
        ASSERT_TRUE(taken.ok()) << taken.status();
        lease = *taken;
        for (const Assignment& wish : wishes) {
          const auto row = active_row(wish.id);
          if (row->state == ActiveState::kAssigned) ++seen_by_new_owner;
        }
      }
    });
    EXPECT_EQ(seen_by_new_owner,
              static_cast<std::size_t>(std::count(was_assigned.begin(), was_assigned.end(), true)));
    fence_.epoch = lease.epoch;
  }
}

TEST_P(RacesContract, OnlyOneOfManyTakesAFreeCell) {
  ASSERT_TRUE(fleet().release_cell(fence_, scheduler_).ok());
  std::vector<ReplicaId> owners;
  for (int i = 0; i < 4; ++i) owners.push_back(ids_.next());
  std::atomic<int> took{0};
  race(4, [&](int i) {
    const auto answer = fleet().take_cell(1, owners[i], "x", std::chrono::hours{1});
    if (answer.ok()) {
      ++took;
    } else {
      EXPECT_EQ(answer.status().code(), absl::StatusCode::kAborted);
    }
  });
  EXPECT_EQ(took, 1);
}

TEST_P(RacesContract, PoolsAreMadeOnce) {
  std::vector<TargetId> made(4);
  race(4, [&](int i) {
    const auto pool = catalog().ensure_version_pool(version_, "gpu", 1);
    ASSERT_TRUE(pool.ok()) << pool.status();
    made[i] = pool->id;
  });
  EXPECT_EQ(std::count(made.begin(), made.end(), made[0]), 4);
}

TEST_P(RacesContract, ReadersOfChangedTargetsMissNone) {
  std::vector<VersionId> versions;
  for (const char digit : std::string("0123456789"))
    versions.push_back(make_version(model_.id, digit));
  std::atomic<int> writers{4};
  std::vector<TargetId> seen;
  race(5, [&](int i) {
    if (i < 4) {
      for (const VersionId version : versions) {
        const auto pool = catalog().ensure_version_pool(version, "sku" + std::to_string(i), 1);
        ASSERT_TRUE(pool.ok()) << pool.status();
      }
      --writers;
      return;
    }
    std::int64_t after = target_.config_seq;
    for (bool last = false; !last;) {
      last = writers == 0;
      const auto page = catalog().list_runnable_targets(1, after, 3);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const RunnableTarget& t : *page) {
        EXPECT_GT(t.target.config_seq, after);
        after = t.target.config_seq;
        seen.push_back(t.target.id);
      }
      if (!page->empty()) last = false;
    }
  });
  EXPECT_EQ(seen.size(), 40u);
}

}  // namespace mimeo::store
