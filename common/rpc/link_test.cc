#include "common/rpc/link.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <filesystem>
#include <thread>

#include "common/rpc/server.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::rpc {
namespace {

using namespace std::chrono_literals;
using UpLink = ClientLink<v1::HubFrame, v1::PublishFrame>;
using DownLink = ServerLink<v1::PublishFrame, v1::HubFrame>;

// An I/O thread as every process has one.
class IoThread {
 public:
  IoThread() : work_(io_.get_executor()), thread_([this] { io_.run(); }) {}
  ~IoThread() {
    work_.reset();
    thread_.join();  // Returns: closed links hold no work.
  }
  boost::asio::any_io_executor executor() { return io_.get_executor(); }

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

// What one end saw, waited for with a deadline.
class Seen {
 public:
  void frame(std::vector<std::uint64_t> numbers) {
    const std::lock_guard lock(mutex_);
    frames_.push_back(numbers.size());
    numbers_.insert(numbers_.end(), numbers.begin(), numbers.end());
    if (closed_) after_close_ = true;
    changed_.notify_all();
  }
  void closed(Status status) {
    const std::lock_guard lock(mutex_);
    if (closed_) after_close_ = true;
    closed_ = std::move(status);
    changed_.notify_all();
  }
  bool wait_for_numbers(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return numbers_.size() >= count; });
  }
  bool wait_for_close() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return closed_.has_value(); });
  }
  Status status() {
    const std::lock_guard lock(mutex_);
    return closed_.value_or(absl::OkStatus());
  }
  std::vector<std::uint64_t> numbers() {
    const std::lock_guard lock(mutex_);
    return numbers_;
  }
  std::size_t frames() {
    const std::lock_guard lock(mutex_);
    return frames_.size();
  }
  bool nothing_after_close() {
    const std::lock_guard lock(mutex_);
    return !after_close_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::uint64_t> numbers_;
  std::vector<std::size_t> frames_;
  std::optional<Status> closed_;
  bool after_close_ = false;
};

v1::PublishMessage up(std::uint64_t number, std::size_t bytes = 0) {
  v1::PublishMessage message;
  message.mutable_event()->set_seq(number);
  if (bytes > 0) message.mutable_event()->set_data(std::string(bytes, 'x'));
  return message;
}
v1::HubMessage down(std::uint64_t number) {
  v1::HubMessage message;
  message.mutable_ack()->set_seq(number);
  return message;
}

// Gives each call a link and remembers the last one.
class Service final : public v1::EventHub::CallbackService {
 public:
  Service(boost::asio::any_io_executor executor, Seen* seen) : executor_(executor), seen_(seen) {}

  grpc::ServerBidiReactor<v1::PublishFrame, v1::HubFrame>* Publish(
      grpc::CallbackServerContext* context) override {
    LinkOptions<v1::PublishFrame, v1::HubFrame> options;
    options.executor = executor_;
    options.on_frame = [seen = seen_](v1::PublishFrame frame) {
      std::vector<std::uint64_t> numbers;
      for (const auto& message : frame.messages()) numbers.push_back(message.event().seq());
      seen->frame(std::move(numbers));
    };
    options.on_closed = [seen = seen_](Status status) { seen->closed(std::move(status)); };
    auto link = DownLink::start(std::move(options), context);
    const std::lock_guard lock(mutex_);
    link_ = link;
    opened_.notify_all();
    return link.get();
  }
  std::shared_ptr<DownLink> link() {
    std::unique_lock lock(mutex_);
    opened_.wait_for(lock, 20s, [this] { return link_ != nullptr; });
    return std::exchange(link_, nullptr);
  }

 private:
  boost::asio::any_io_executor executor_;
  Seen* seen_;
  std::mutex mutex_;
  std::condition_variable opened_;
  std::shared_ptr<DownLink> link_;
};

class LinkTest : public testing::TestWithParam<const char*> {
 protected:
  LinkTest() {
    path_ = std::filesystem::temp_directory_path() /
            ("mimeo_link_test_" + std::to_string(::getpid()) + ".sock");
    RpcServerOptions options;
    options.address = std::string(GetParam()) == "unix" ? "unix:" + path_.string() : "127.0.0.1:0";
    server_ = std::make_unique<RpcServer>(options, std::vector<grpc::Service*>{&service_});
    const Status started = server_->start();
    if (!started.ok()) throw std::runtime_error(std::string(started.message()));
    stub_ = v1::EventHub::NewStub(make_channel(server_->address()));
  }
  ~LinkTest() override {
    server_.reset();
    std::filesystem::remove(path_);
  }

  std::shared_ptr<UpLink> dial() { return dial(&client_saw_); }
  std::shared_ptr<UpLink> dial(Seen* seen, std::size_t max_pending = 32U << 20) {
    LinkOptions<v1::HubFrame, v1::PublishFrame> options;
    options.executor = client_io_.executor();
    options.max_pending_bytes = max_pending;
    options.on_frame = [seen](v1::HubFrame frame) {
      std::vector<std::uint64_t> numbers;
      for (const auto& message : frame.messages()) numbers.push_back(message.ack().seq());
      seen->frame(std::move(numbers));
    };
    options.on_closed = [seen](Status status) { seen->closed(std::move(status)); };
    return UpLink::start(std::move(options), [this](auto* context, auto* reactor) {
      stub_->async()->Publish(context, reactor);
    });
  }

  Seen client_saw_;
  Seen server_saw_;
  std::filesystem::path path_;
  IoThread client_io_;
  IoThread server_io_;
  Service service_{server_io_.executor(), &server_saw_};
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::EventHub::Stub> stub_;
};

TEST_P(LinkTest, CarriesMessagesBothWaysInOrderAndInBatches) {
  auto client = dial();
  auto server = service_.link();
  ASSERT_TRUE(server);
  std::vector<std::uint64_t> expected;
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    EXPECT_TRUE(client->send(up(i)));
    EXPECT_TRUE(server->send(down(i)));
    expected.push_back(i);
  }
  ASSERT_TRUE(server_saw_.wait_for_numbers(20'000));
  ASSERT_TRUE(client_saw_.wait_for_numbers(20'000));
  EXPECT_EQ(server_saw_.numbers(), expected);
  EXPECT_EQ(client_saw_.numbers(), expected);
  EXPECT_LT(server_saw_.frames(), 20'000U);  // What was sent during a write shared a frame.
  client->close();
  EXPECT_TRUE(client_saw_.wait_for_close());
  EXPECT_TRUE(server_saw_.wait_for_close());
}

TEST_P(LinkTest, TwoThreadsMaySendAtOnceAndEachKeepsItsOrder) {
  auto client = dial();
  auto send = [&client](std::uint64_t base) {
    for (std::uint64_t i = 0; i < 5'000; ++i) client->send(up(base + i));
  };
  std::thread other(send, 1'000'000);
  send(0);
  other.join();
  ASSERT_TRUE(server_saw_.wait_for_numbers(10'000));
  std::uint64_t next_low = 0;
  std::uint64_t next_high = 1'000'000;
  for (const auto number : server_saw_.numbers()) {
    auto& next = number < 1'000'000 ? next_low : next_high;
    ASSERT_EQ(number, next++);
  }
  client->close();
  EXPECT_TRUE(client_saw_.wait_for_close());
  EXPECT_TRUE(server_saw_.wait_for_close());
}

TEST_P(LinkTest, ClosingTheClientEndsBothSidesAndSendsAreRefused) {
  auto client = dial();
  auto server = service_.link();
  client->close();
  client->close();
  EXPECT_FALSE(client->send(up(1)));
  ASSERT_TRUE(client_saw_.wait_for_close());
  EXPECT_TRUE(absl::IsCancelled(client_saw_.status()));
  ASSERT_TRUE(server_saw_.wait_for_close());
  EXPECT_EQ(server_saw_.status(), absl::CancelledError("the peer is gone"));
  EXPECT_FALSE(server->send(down(1)));
  server->close();
  client->close();  // After the end it does nothing.
}

TEST_P(LinkTest, AServerClosesWithAReasonAfterWhatItSent) {
  auto client = dial();
  auto server = service_.link();
  for (std::uint64_t i = 1; i <= 3; ++i) server->send(down(i));
  ASSERT_TRUE(client_saw_.wait_for_numbers(3));
  server->close_with(absl::FailedPreconditionError("this cell has moved"));
  ASSERT_TRUE(client_saw_.wait_for_close());
  EXPECT_EQ(client_saw_.status(), absl::FailedPreconditionError("this cell has moved"));
  ASSERT_TRUE(server_saw_.wait_for_close());
  EXPECT_EQ(server_saw_.status(), absl::FailedPreconditionError("this cell has moved"));
  EXPECT_FALSE(client->send(up(1)));
  EXPECT_TRUE(client_saw_.nothing_after_close());
}

TEST_P(LinkTest, ClosesThatCrossSendsNeverHang) {
  for (int round = 0; round < 50; ++round) {
    Seen fresh;
    auto client = dial(&fresh);
    auto server = service_.link();
    ASSERT_TRUE(server);
    std::thread sender([&client] {
      for (std::uint64_t i = 0; i < 300 && client->send(up(i)); ++i) {
      }
    });
    for (std::uint64_t i = 0; i < 20; ++i) server->send(down(i));
    if (round % 3 != 1) server->close();
    if (round % 3 != 0) client->close();
    sender.join();
    ASSERT_TRUE(fresh.wait_for_close()) << round;
    EXPECT_TRUE(fresh.nothing_after_close());
  }
}

TEST_P(LinkTest, AClientMayCloseBeforeItsCallHasArrived) {
  for (int round = 0; round < 20; ++round) {
    Seen fresh;
    auto client = dial(&fresh);
    client->send(up(1));
    client->close();
    ASSERT_TRUE(fresh.wait_for_close()) << round;
  }
}

TEST_P(LinkTest, AStoppedServerEndsOpenStreams) {
  auto client = dial();
  auto server = service_.link();
  server_->stop(0ms);
  ASSERT_TRUE(client_saw_.wait_for_close());
  EXPECT_TRUE(absl::IsUnavailable(client_saw_.status()) || absl::IsCancelled(client_saw_.status()))
      << client_saw_.status();
  ASSERT_TRUE(server_saw_.wait_for_close());
  EXPECT_FALSE(server->send(down(1)));
}

TEST_P(LinkTest, DiallingNobodyClosesWithUnavailable) {
  server_->stop(0ms);
  auto client = dial();
  ASSERT_TRUE(client_saw_.wait_for_close());
  EXPECT_TRUE(absl::IsUnavailable(client_saw_.status())) << client_saw_.status();
}

TEST_P(LinkTest, AFullQueueClosesTheStreamWithItsReason) {
  auto client = dial(&client_saw_, 100'000);
  ASSERT_TRUE(service_.link());
  // Bigger at once than the queue takes while the first write is on its way.
  bool refused = false;
  for (int i = 0; i < 100'000 && !refused; ++i) refused = !client->send(up(1, 60'000));
  EXPECT_TRUE(refused);
  ASSERT_TRUE(client_saw_.wait_for_close());
  EXPECT_EQ(client_saw_.status(), absl::ResourceExhaustedError("the peer reads too slowly"));
  EXPECT_TRUE(server_saw_.wait_for_close());
}

TEST_P(LinkTest, ASecondServerOnTheSameAddressIsRefused) {
  Service other(server_io_.executor(), &server_saw_);
  RpcServer second({.address = server_->address(), .tls = {}}, {&other});
  EXPECT_TRUE(absl::IsAlreadyExists(second.start()));
}

INSTANTIATE_TEST_SUITE_P(Over, LinkTest, testing::Values("unix", "tcp"),
                         [](const auto& param) { return std::string(param.param); });

// A peer that accepts and never reads: only a server that reads by hand can show that.
class NeverReads final : public v1::EventHub::CallbackService {
 public:
  class Reactor final : public grpc::ServerBidiReactor<v1::PublishFrame, v1::HubFrame> {
   public:
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }
  };
  grpc::ServerBidiReactor<v1::PublishFrame, v1::HubFrame>* Publish(
      grpc::CallbackServerContext*) override {
    return new Reactor;
  }
};

TEST(Link, AClientWhosePeerNeverReadsIsClosedNotBlocked) {
  NeverReads service;
  RpcServer server({}, {&service});
  ASSERT_TRUE(server.start().ok());
  auto stub = v1::EventHub::NewStub(make_channel(server.address()));
  Seen seen;
  IoThread io;
  LinkOptions<v1::HubFrame, v1::PublishFrame> options;
  options.executor = io.executor();
  options.max_pending_bytes = 4U << 20;
  options.on_frame = [](v1::HubFrame) {};
  options.on_closed = [&seen](Status status) { seen.closed(std::move(status)); };
  auto client = UpLink::start(std::move(options), [&](auto* context, auto* reactor) {
    stub->async()->Publish(context, reactor);
  });
  int sent = 0;
  while (client->send(up(1, 64'000))) ASSERT_LT(++sent, 10'000);
  ASSERT_TRUE(seen.wait_for_close());
  EXPECT_TRUE(absl::IsResourceExhausted(seen.status()));
}

// The same from the server's side: its client opens the stream and reads nothing.
class DeafClient final : public grpc::ClientBidiReactor<v1::PublishFrame, v1::HubFrame> {
 public:
  explicit DeafClient(v1::EventHub::Stub* stub) {
    stub->async()->Publish(&context_, this);
    AddHold();
    StartCall();
  }
  void end() {
    context_.TryCancel();
    RemoveHold();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_; });
  }
  void OnDone(const grpc::Status&) override {
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }

 private:
  grpc::ClientContext context_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
};

TEST(Link, AServerWhosePeerNeverReadsIsClosedNotBlocked) {
  Seen seen;
  IoThread io;
  Service service(io.executor(), &seen);
  RpcServer server({}, {&service});
  ASSERT_TRUE(server.start().ok());
  auto stub = v1::EventHub::NewStub(make_channel(server.address()));
  DeafClient client(stub.get());
  auto link = service.link();
  ASSERT_TRUE(link);
  v1::HubMessage big;
  big.mutable_completed()->mutable_id()->set_prediction_id(std::string(1U << 20, 'x'));
  int sent = 0;
  while (link->send(big)) ASSERT_LT(++sent, 1'000);
  ASSERT_TRUE(seen.wait_for_close());
  EXPECT_TRUE(absl::IsResourceExhausted(seen.status()));
  client.end();
}

}  // namespace
}  // namespace mimeo::rpc
