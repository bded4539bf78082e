#include "control-plane/version_eraser.h"

#include <set>

#include "common/blobs/local_blobs.h"
#include "common/store/memory/memory_discovery.h"
#include "control-plane/public_links.h"
#include "control-plane/testing/core_fixture.h"

namespace mimeo::control {
namespace {

class VersionEraserTest : public CoreTest {
 protected:
  VersionEraserTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("mimeo-eraser-" + SystemRandom().base32(8))),
        blobs_(*blobs::LocalBlobs::open_directory(directory_)) {}
  ~VersionEraserTest() override {
    plane_->tasks.cancel();
    loop_.drive([this] { return plane_->tasks.size() == 0; });
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  std::string put_file(Uuid id) {
    const std::string key = delivery_blob_prefix(id) + "/file";
    auto writer = blobs_->create(key).value();
    EXPECT_TRUE(writer->write("x").ok());
    EXPECT_TRUE(writer->commit().ok());
    return key;
  }
  bool exists(const std::string& key) { return blobs_->open(key).ok(); }
  bool is_there(PredictionId id) { return store_.get(id, 0).ok(); }
  PredictionId succeeded() {
    const PredictionId id = create_assigned().id;
    EXPECT_EQ(complete_and_wait(finish_of(id)), store::FinishOutcome::kCommitted);
    return id;
  }

  std::filesystem::path directory_;
  std::unique_ptr<blobs::LocalBlobs> blobs_;
  store::MemoryDiscovery discovery_{store_};
  BlockingPool pool_{1};
  VersionEraser eraser_{VersionEraserParts{discovery_, discovery_, *blobs_, pool_}};
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
  example.files = ids_.next();
  ASSERT_TRUE(discovery_.add_example(example).ok());
  const std::string output = put_file(plain);
  const std::string copy = put_file(example.files);
  const std::string other = put_file(ids_.next());
  ASSERT_TRUE(discovery_.begin_version_deletion(version_.id, clock_.now()).ok());
  EXPECT_TRUE(is_there(plain));
  const auto more = eraser_.step();
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_FALSE(is_there(plain));
  EXPECT_FALSE(is_there(shown));
  EXPECT_FALSE(exists(output));
  EXPECT_FALSE(exists(copy));
  EXPECT_TRUE(exists(other));
  EXPECT_TRUE(discovery_.list_examples(model_.id, std::nullopt, 10)->empty());
  EXPECT_FALSE(*eraser_.step()) << "done";
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
