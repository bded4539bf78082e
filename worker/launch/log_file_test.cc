#include "worker/launch/log_file.h"

#include <gtest/gtest.h>

#include "worker/local_file.h"
#include "worker/testing/test_loop.h"

namespace mimeo::worker {
namespace {

class LogFileTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string current() const { return text("log"); }
  [[nodiscard]] std::string old() const { return text("log.1"); }
  [[nodiscard]] std::string text(const char* name) const {
    const auto text = read_file(folder_.path() / name);
    return text.ok() ? *text : "none";
  }
  TestFolder folder_;
  LogFile log_{folder_.path() / "log", folder_.path() / "log.1", Bytes{10}};
};

TEST_F(LogFileTest, AFullFileBecomesTheOldOne) {
  log_.write("12345678\n");
  EXPECT_EQ(old(), "none");
  log_.write("abc\n");
  EXPECT_EQ(current() + old(), "bc\n12345678\na") << "no line of it fits";
  log_.write("12345678\n");
  EXPECT_EQ(old(), "bc\n1234567");
}

TEST_F(LogFileTest, FilesBeginWithWholeLinesWhereTheyCan) {
  log_.write("12345\nabcdef\n");
  EXPECT_EQ(old(), "12345\n");
  EXPECT_EQ(current(), "abcdef\n");
}

TEST_F(LogFileTest, NeverMoreThanTwoFilesOfTheirSize) {
  log_.write(std::string(1000, 'x'));
  EXPECT_EQ(old().size(), 10U);
  EXPECT_EQ(current().size(), 10U);
}

TEST_F(LogFileTest, GoesOnWithTheFileThatIsThere) {
  log_.write("1234\n");
  LogFile again(folder_.path() / "log", folder_.path() / "log.1", Bytes{10});
  again.write("5678\n");
  again.write("9\n");
  EXPECT_EQ(old(), "1234\n5678\n");
  EXPECT_EQ(current(), "9\n");
}

}  // namespace
}  // namespace mimeo::worker
