#include "common/async/shutdown.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <csignal>

namespace mimeo {
namespace {

TEST(ShutdownSignals, TheFirstSignalCallsBackOnTheExecutor) {
  boost::asio::io_context io;
  int calls = 0;
  const ShutdownSignals signals(io.get_executor(), [&calls] { ++calls; });
  io.poll();
  EXPECT_EQ(calls, 0);
  std::raise(SIGTERM);
  EXPECT_EQ(calls, 0);
  io.restart();
  io.run();
  EXPECT_EQ(calls, 1);
}

TEST(ShutdownSignals, ASecondSignalEndsAProcessWhoseLoopHangs) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        boost::asio::io_context io;
        const ShutdownSignals signals(io.get_executor(), [] {});
        std::raise(SIGINT);
        std::raise(SIGTERM);
      },
      testing::ExitedWithCode(128 + SIGTERM), "");
}

TEST(ShutdownSignals, LeavesNothingBehindWhenDestroyed) {
  boost::asio::io_context io;
  {
    const ShutdownSignals signals(io.get_executor(), [] {});
  }
  io.run();
  {
    const ShutdownSignals again(io.get_executor(), [] {});
  }
}

}  // namespace
}  // namespace mimeo
