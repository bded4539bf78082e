#include "control-plane/retention/version_eraser.h"

#include "common/store/memory/memory_discovery.h"
#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_retention.h"
#include "control-plane/testing/core_fixture.h"

namespace mimeo::control {
namespace {

class VersionEraserTest : public CoreTest {
 protected:
  ~VersionEraserTest() override {
    plane_->tasks.cancel();
    loop_.drive([this] { return plane_->tasks.size() == 0; });
  }

  void put_output(PredictionId id) {
    store::OutputFile file;
    file.prediction = id;
    file.secret = "secret";
    file.filename = "o.png";
    file.sha256_hex = std::string(64, 'a');
    file.blob_key = "content/000000/" + ids_.next().str();
    EXPECT_TRUE(files_.create_output(file).ok());
  }
  bool has_output(PredictionId id) { return files_.get_output(id, "secret", "o.png").ok(); }
  bool is_there(PredictionId id) { return store_.get(id, 0).ok(); }
  PredictionId succeeded() {
    const PredictionId id = create_assigned().id;
    EXPECT_EQ(complete_and_wait(finish_of(id)), store::FinishOutcome::kCommitted);
    return id;
  }

  store::MemoryFiles files_;
  store::MemoryRetention retention_{store_, files_};
  store::MemoryDiscovery discovery_{store_};
  BlockingPool pool_{1};
  VersionEraser eraser_{VersionEraserParts{discovery_, discovery_, files_, pool_}};
};

TEST_F(VersionEraserTest, HasNothingToDoWhenNothingIsDeleted) {
  const auto more = eraser_.step();
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_FALSE(*more);
}

TEST_F(VersionEraserTest, RemovesPredictionsExamplesAndFiles) {
  const PredictionId plain = succeeded();
  const PredictionId shown = succeeded();
  store::Example example;
  example.model = model_.id;
  example.prediction = stored(shown);
  ASSERT_TRUE(retention_.keep_prediction(shown).ok());
  ASSERT_TRUE(discovery_.add_example(example).ok());
  put_output(plain);
  put_output(shown);
  ASSERT_TRUE(discovery_.begin_version_deletion(version_.id, clock_.now()).ok());
  EXPECT_TRUE(is_there(plain));
  const auto more = eraser_.step();
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_FALSE(is_there(plain));
  EXPECT_FALSE(is_there(shown));
  EXPECT_FALSE(has_output(plain));
  EXPECT_FALSE(has_output(shown));
  EXPECT_TRUE(discovery_.list_examples(model_.id, std::nullopt, 10)->empty());
  EXPECT_FALSE(*eraser_.step()) << "done";
}

TEST_F(VersionEraserTest, RemovesTheExamplesOfAModelThatWasDeletedMeanwhile) {
  const PredictionId shown = succeeded();
  store::Example example;
  example.model = model_.id;
  example.prediction = stored(shown);
  ASSERT_TRUE(discovery_.add_example(example).ok());
  ASSERT_TRUE(discovery_.begin_version_deletion(version_.id, clock_.now()).ok());
  ASSERT_TRUE(store_.delete_model(model_.id).ok());
  ASSERT_TRUE(eraser_.step().ok());
  EXPECT_FALSE(is_there(shown));
  EXPECT_FALSE(store_.is_kept(shown));
  EXPECT_TRUE(discovery_.list_examples_of_version(version_.id, 10)->empty());
}

TEST_F(VersionEraserTest, RemovesExamplesThatAreAddedMeanwhile) {
  const PredictionId oldest = succeeded();
  store::Example example;
  example.model = model_.id;
  example.prediction = stored(oldest);
  for (int i = 0; i < 500; ++i) succeeded();  // As many as are erased at once.
  Status added = absl::UnknownError("nobody tried");
  VersionEraser eraser(VersionEraserParts{discovery_, discovery_, files_, pool_, [&](PredictionId) {
                                            if (absl::IsUnknown(added)) {
                                              added = discovery_.add_example(example);
                                            }
                                          }});
  ASSERT_TRUE(discovery_.begin_version_deletion(version_.id, clock_.now()).ok());
  ASSERT_TRUE(eraser.step().ok());
  EXPECT_TRUE(added.ok()) << added;
  EXPECT_FALSE(is_there(oldest));
  EXPECT_TRUE(discovery_.list_examples_of_version(version_.id, 10)->empty());
  EXPECT_FALSE(store_.is_kept(oldest));
}

TEST_F(VersionEraserTest, ComesBackForPredictionsThatHaveNotEnded) {
  const PredictionId done = succeeded();
  const PredictionId running = create_assigned().id;
  ASSERT_TRUE(discovery_.begin_version_deletion(version_.id, clock_.now()).ok());
  ASSERT_TRUE(eraser_.step().ok());
  EXPECT_FALSE(is_there(done));
  EXPECT_TRUE(is_there(running));
  EXPECT_FALSE(*eraser_.step()) << "not at once";
  EXPECT_EQ(complete_and_wait(finish_of(running)), store::FinishOutcome::kCommitted);
  clock_.advance(std::chrono::minutes(1));
  EXPECT_TRUE(*eraser_.step());
  EXPECT_FALSE(is_there(running));
}

}  // namespace
}  // namespace mimeo::control
