#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <mutex>
#include <string>
#include <thread>

#include "common/async/blocking_pool.h"
#include "common/rpc/server.h"
#include "common/rpc/streams.h"
#include "common/rpc/unary.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::rpc {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using AsyncHub = v1::EventHub::StubInterface::async_interface;

// Echoes in every shape. Handlers run on the same thread as the test's coroutines.
class Hub final : public v1::EventHub::CallbackService {
 public:
  explicit Hub(TaskGroup* tasks) : tasks_(tasks) {}

  grpc::ServerUnaryReactor* PullToken(grpc::CallbackServerContext* context,
                                      const v1::PullTokenRequest* request,
                                      v1::PullTokenReply* reply) override {
    return serve_unary<v1::PullTokenReply>(
        context, tasks_, *request, reply,
        [this, token = metadata_of(*context, "mimeo-worker-token")](v1::PullTokenRequest r) {
          return pull_token(token, std::move(r));
        });
  }
  grpc::ServerWriteReactor<v1::Chunk>* FetchInput(grpc::CallbackServerContext* context,
                                                  const v1::FetchInputRequest* request) override {
    return serve_writes<v1::Chunk>(
        context, tasks_, *request,
        [this](v1::FetchInputRequest r, ServerWriter<v1::Chunk>* writer) {
          return fetch(std::move(r), writer);
        });
  }
  grpc::ServerReadReactor<v1::Chunk>* StoreOutput(grpc::CallbackServerContext* context,
                                                  v1::StoredOutput* reply) override {
    return serve_reads<v1::Chunk, v1::StoredOutput>(
        context, tasks_, reply, [this](ServerReader<v1::Chunk>* reader) { return store(reader); });
  }

  Status handler_saw_;  // On the I/O thread, as are the rest.
  int pieces_written_ = 0;

 private:
  asio::awaitable<Result<v1::PullTokenReply>> pull_token(std::string token,
                                                         v1::PullTokenRequest request) {
    if (request.repository() == "throw") throw std::runtime_error("broken");
    if (request.repository() == "hang") co_await sleep_for(1h);
    if (request.repository() == "missing") {
      co_return absl::NotFoundError("no such repository");
    }
    v1::PullTokenReply reply;
    reply.set_token(token + " may pull " + request.repository());
    co_return reply;
  }
  asio::awaitable<Status> fetch(v1::FetchInputRequest request, ServerWriter<v1::Chunk>* writer) {
    const int count = std::stoi(request.url());
    for (int i = 0; i < count; ++i) {
      v1::Chunk chunk;
      chunk.set_data(std::string(64'000, static_cast<char>('a' + i % 26)));
      handler_saw_ = co_await writer->write(std::move(chunk));
      if (!handler_saw_.ok()) co_return handler_saw_;
      ++pieces_written_;
    }
    if (count == 3) co_return absl::PermissionDeniedError("not yours");
    co_return absl::OkStatus();
  }
  asio::awaitable<Result<v1::StoredOutput>> store(ServerReader<v1::Chunk>* reader) {
    v1::StoredOutput stored;
    while (true) {
      auto piece = co_await reader->read();
      handler_saw_ = piece.status();
      if (!piece.ok()) co_return piece.status();
      if (!*piece) break;
      if ((*piece)->data() == "stop") co_return absl::ResourceExhaustedError("too large");
      stored.set_size_bytes(stored.size_bytes() + (*piece)->data().size());
    }
    stored.set_url("http://files/x");
    co_return stored;
  }

  TaskGroup* tasks_;
};

class CallsTest : public testing::Test {
 protected:
  CallsTest() {
    EXPECT_TRUE(server_.start().ok());
    stub_ = v1::EventHub::NewStub(make_channel(server_.address()));
    options_.metadata = {{"mimeo-worker-token", "alice"}};
  }
  ~CallsTest() override {
    tasks_.cancel();
    // Handlers end on the I/O thread while the server waits for them on another one.
    std::thread stopping([this] {
      server_.stop(0ms);
      stopped_ = true;
    });
    while (!stopped_) {
      io_.restart();
      io_.run_for(1ms);
    }
    stopping.join();
  }
  void run_test(asio::awaitable<void> body) {
    test_.spawn("test", std::move(body));
    while (test_.size() > 0) {
      io_.restart();
      io_.run_one_for(20s);
    }
  }

  asio::io_context io_;
  TaskGroup tasks_{io_.get_executor()};
  TaskGroup test_{io_.get_executor()};
  Hub hub_{&tasks_};
  RpcServer server_{{}, {&hub_}};
  std::unique_ptr<v1::EventHub::Stub> stub_;
  CallOptions options_;
  std::atomic<bool> stopped_{false};
};

asio::awaitable<void> pull(v1::EventHub::Stub* stub, CallOptions options, std::string repository,
                           Result<v1::PullTokenReply>* result) {
  v1::PullTokenRequest request;
  request.set_repository(repository);
  *result = co_await call_unary(stub->async(), &AsyncHub::PullToken, request, options);
}

TEST_F(CallsTest, AUnaryCallCarriesMetadataThereAndTheReplyBack) {
  Result<v1::PullTokenReply> result;
  run_test(pull(stub_.get(), options_, "bob/hello", &result));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->token(), "alice may pull bob/hello");
}

TEST_F(CallsTest, AUnaryCallsErrorsKeepTheirCodeAndText) {
  Result<v1::PullTokenReply> result;
  run_test(pull(stub_.get(), options_, "missing", &result));
  EXPECT_EQ(result.status(), absl::NotFoundError("no such repository"));
}

TEST_F(CallsTest, AHandlerThatThrowsStillAnswers) {
  Result<v1::PullTokenReply> result;
  run_test(pull(stub_.get(), options_, "throw", &result));
  EXPECT_TRUE(absl::IsUnavailable(result.status())) << result.status();
}

TEST_F(CallsTest, AUnaryCallEndsAtItsDeadline) {
  Result<v1::PullTokenReply> result;
  options_.deadline = 20ms;
  run_test(pull(stub_.get(), options_, "hang", &result));
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
}

TEST_F(CallsTest, CancellingTheCoroutineCancelsTheCall) {
  Result<v1::PullTokenReply> result;
  test_.spawn("pull", pull(stub_.get(), options_, "hang", &result));
  while (tasks_.size() == 0) io_.run_one();  // The handler runs.
  test_.cancel();
  while (test_.size() > 0) io_.run_one();
  EXPECT_TRUE(absl::IsCancelled(result.status())) << result.status();
}

TEST_F(CallsTest, CallsAfterTheEndOfTheGroupAreAnsweredUnavailable) {
  tasks_.cancel();
  io_.poll();
  Result<v1::PullTokenReply> result;
  run_test(pull(stub_.get(), options_, "bob/hello", &result));
  EXPECT_TRUE(absl::IsUnavailable(result.status())) << result.status();
}

struct Fetched {
  std::size_t bytes = 0;
  Status end = absl::UnknownError("not finished");
};

asio::awaitable<void> fetch_pieces(v1::EventHub::Stub* stub, CallOptions options, int count,
                                   int stop_after, Fetched* fetched) {
  v1::FetchInputRequest request;
  request.set_url(std::to_string(count));
  auto pieces = StreamReader<v1::Chunk>::open(
      [stub, &request](auto* context, auto* reactor) {
        stub->async()->FetchInput(context, &request, reactor);
      },
      options);
  for (int i = 0; i != stop_after; ++i) {
    auto piece = co_await pieces->read();
    fetched->end = piece.status();
    if (!piece.ok() || !*piece) co_return;
    fetched->bytes += (*piece)->data().size();
  }
}

TEST_F(CallsTest, AServerStreamArrivesWhole) {
  Fetched fetched;
  run_test(fetch_pieces(stub_.get(), options_, 100, -1, &fetched));
  EXPECT_TRUE(fetched.end.ok()) << fetched.end;
  EXPECT_EQ(fetched.bytes, 6'400'000U);
}

TEST_F(CallsTest, AServerStreamsErrorComesAfterItsPieces) {
  Fetched fetched;
  run_test(fetch_pieces(stub_.get(), options_, 3, -1, &fetched));
  EXPECT_EQ(fetched.bytes, 192'000U);
  EXPECT_EQ(fetched.end, absl::PermissionDeniedError("not yours"));
}

TEST_F(CallsTest, AReaderThatStopsHoldsTheWriterBackAndThenEndsIt) {
  Fetched fetched;
  run_test(fetch_pieces(stub_.get(), options_, 1'000'000, 2, &fetched));
  EXPECT_EQ(fetched.bytes, 128'000U);
  while (tasks_.size() > 0) {
    io_.restart();
    io_.run_one();
  }
  EXPECT_TRUE(absl::IsCancelled(hub_.handler_saw_)) << hub_.handler_saw_;
  EXPECT_LT(hub_.pieces_written_, 1'000);
}

asio::awaitable<void> store_pieces(v1::EventHub::Stub* stub, CallOptions options,
                                   std::vector<std::string> pieces, bool* is_abandoned,
                                   Result<v1::StoredOutput>* result) {
  auto out = StreamWriter<v1::Chunk, v1::StoredOutput>::open(
      [stub](auto* context, auto* reply, auto* reactor) {
        stub->async()->StoreOutput(context, reply, reactor);
      },
      options);
  for (const auto& data : pieces) {
    v1::Chunk chunk;
    chunk.set_data(data);
    const Status written = co_await out->write(std::move(chunk));
    if (!written.ok()) {
      *result = written;
      co_return;
    }
  }
  if (is_abandoned != nullptr) {
    *is_abandoned = true;
    co_return;
  }
  *result = co_await out->finish();
}

TEST_F(CallsTest, AClientStreamIsAnsweredAfterItsLastPiece) {
  Result<v1::StoredOutput> result;
  const std::vector<std::string> pieces(50, std::string(100'000, 'x'));
  run_test(store_pieces(stub_.get(), options_, pieces, nullptr, &result));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->size_bytes(), 5'000'000U);
  EXPECT_EQ(result->url(), "http://files/x");
}

TEST_F(CallsTest, AServerMayRefuseInTheMiddleOfAClientStream) {
  Result<v1::StoredOutput> result;
  std::vector<std::string> pieces(500, std::string(100'000, 'x'));
  pieces[1] = "stop";
  run_test(store_pieces(stub_.get(), options_, pieces, nullptr, &result));
  EXPECT_EQ(result.status(), absl::ResourceExhaustedError("too large"));
}

TEST_F(CallsTest, AClientStreamThatIsGivenUpEndsItsHandler) {
  Result<v1::StoredOutput> result;
  bool is_abandoned = false;
  run_test(store_pieces(stub_.get(), options_, {"part"}, &is_abandoned, &result));
  EXPECT_TRUE(is_abandoned);
  while (tasks_.size() > 0) {
    io_.restart();
    io_.run_one();
  }
}

}  // namespace
}  // namespace mimeo::rpc
