#include "control-plane/hub/hub_service.h"

#include <grpcpp/grpcpp.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <thread>

#include "common/crypto/crypto.h"
#include "common/rpc/link.h"
#include "common/rpc/server.h"
#include "common/store/memory/memory_files.h"
#include "control-plane/hub/peer_streams.h"
#include "control-plane/testing/core_fixture.h"
#include "control-plane/testing/fake_files.h"
#include "control-plane/testing/fake_worker.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

// One control plane's event hub with its gRPC server.
struct HubEnd {
  HubEnd(TestLoop& loop, CorePlane& plane, store::MemoryStore& store, store::FilesStore& files,
         blobs::BlobStore& blobs, const Clock& clock, Random& random) {
    HubServiceOptions options;
    options.external_url = "https://mimeo.example";
    HubServiceParts parts{*plane.hub, plane.committer, store, files,  store,         blobs,
                          pool,       transfers,       clock, random, plane.metrics, {}};
    parts.pull_token = [](const std::string& repository) {
      PullGrant grant;
      grant.registry = "localhost:5000";
      grant.token = "pull " + repository;
      grant.lifetime = 300s;
      return grant;
    };
    trainings.emplace(
        loop.executor(), pool, store, store, plane.committer,
        [](const store::PredictionView&, std::uint32_t, const std::string&) {
          return Result<TrainedVersion>(absl::InvalidArgumentError("no weights"));
        },
        random, plane.metrics);
    parts.trainings = &*trainings;
    service = make_hub_service(loop.executor(), std::move(parts), std::move(options));
    server = std::make_unique<rpc::RpcServer>(rpc::RpcServerOptions{},
                                              std::vector<grpc::Service*>{service->service()});
    EXPECT_TRUE(server->start().ok());
    stub = v1::EventHub::NewStub(rpc::make_channel(server->address()));
  }
  BlockingPool pool{2};
  BlockingPool transfers{1};
  std::optional<TrainingFinisher> trainings;
  std::unique_ptr<HubService> service;
  std::unique_ptr<rpc::RpcServer> server;
  std::unique_ptr<v1::EventHub::Stub> stub;
};

class HubServiceTest : public CoreTest {
 protected:
  HubServiceTest() {
    EXPECT_TRUE(store_.create_worker_token(crypto::sha256("good"), "w", 1).ok());
    end_ = make_end(*plane_);
  }
  ~HubServiceTest() override { stop(*end_); }

  std::unique_ptr<HubEnd> make_end(CorePlane& plane) {
    return std::make_unique<HubEnd>(loop_, plane, store_, files_, blobs_, clock_, random_);
  }
  void stop(HubEnd& end) {
    std::thread stopping([&] { end.server->stop(0ms); });
    bool is_stopped = false;
    std::thread told([&] {
      stopping.join();
      boost::asio::post(loop_.executor(), [&] { is_stopped = true; });
    });
    loop_.drive([&] { return is_stopped; });
    told.join();
    loop_.run(stopped_trainings(&*end.trainings));
    loop_.run(stopped(end.service.get()));
  }
  static boost::asio::awaitable<bool> stopped_trainings(TrainingFinisher* trainings) {
    const Status ended = co_await trainings->stop(5s);
    EXPECT_TRUE(ended.ok()) << ended;
    co_return true;
  }
  static boost::asio::awaitable<bool> stopped(HubService* service) {
    co_await service->stop();
    co_return true;
  }
  static boost::asio::awaitable<bool> stopped_peers(PeerStreams* peers) {
    co_await peers->stop();
    co_return true;
  }
  static bool is_flush(const v1::HubMessage& message) { return message.has_flush(); }
  static bool is_completed(const v1::HubMessage& message) { return message.has_completed(); }
  static bool is_live_flush(const v1::HubMessage& message) {
    return message.has_flush() && message.flush().live();
  }

  // Calls from a thread of their own while the loop runs.
  template <class Call>
  grpc::Status call(Call work, const std::string& token = "good") {
    grpc::Status status;
    bool is_done = false;
    std::thread thread([&] {
      grpc::ClientContext context;
      context.AddMetadata("mimeo-worker-token", token);
      status = work(context);
      boost::asio::post(loop_.executor(), [&] { is_done = true; });
    });
    loop_.drive([&] { return is_done; });
    thread.join();
    return status;
  }
  grpc::Status fetch(const std::string& id, const std::string& url, std::string* out,
                     const std::string& token = "good") {
    return call(
        [&](grpc::ClientContext& context) {
          v1::FetchInputRequest request;
          request.set_prediction_id(id);
          request.set_url(url);
          const auto reader = end_->stub->FetchInput(&context, request);
          v1::Chunk chunk;
          while (reader->Read(&chunk)) *out += chunk.data();
          return reader->Finish();
        },
        token);
  }

  MemoryBlobs blobs_;
  store::MemoryFiles files_;
  std::unique_ptr<HubEnd> end_;
};

TEST_F(HubServiceTest, EventsReachReadersAndTheResultIsCommittedAndAnswered) {
  const auto created = create_assigned();
  FakeWorker worker(loop_, *end_->stub, "good");
  auto waiting = loop_.start(plane_->intake->wait(created.id, 1min));
  const auto reader = plane_->hub->subscribe(created.id, 0, 0);
  worker.event(created.id, 1, v1::Event::KIND_STARTED, "");
  worker.event(created.id, 2, v1::Event::KIND_OUTPUT, "\"a\"");
  worker.complete(created.id, "[\"a\"]");
  const auto reply = worker.wait_for(is_completed);
  EXPECT_EQ(reply.completed().result(), v1::CompleteReply::RESULT_COMMITTED);
  EXPECT_TRUE(loop_.finish(waiting));
  const auto view = *loop_.run(plane_->intake->view(created.id, 0));
  EXPECT_EQ(view.output, "[\"a\"]");
  EXPECT_EQ(view.logs, "all of it\n");
  EXPECT_GE(*view.started_at, view.created_at);
  const auto events = loop_.run(reader->next(0ms));
  ASSERT_TRUE(events.has_value());
  EXPECT_EQ(events->back().kind, EventKind::kDone);
  EXPECT_EQ(events->size(), 3U);
}

TEST_F(HubServiceTest, AWorkerHearsThatTheResultOfItsTrainingIsWorkedOn) {
  plane_->scheduler.grant = grant_;
  IntakeRequest wanted = request();
  wanted.is_training = true;
  wanted.destination = "acme/hello";
  const auto created = *loop_.run(plane_->intake->create(std::move(wanted)));
  FakeWorker worker(loop_, *end_->stub, "good");
  worker.complete_training(created.id, "1");
  const auto answer = [](v1::CompleteReply::Result result) {
    return [result](const v1::HubMessage& message) {
      return message.has_completed() && message.completed().result() == result;
    };
  };
  worker.wait_for(answer(v1::CompleteReply::RESULT_IN_PROGRESS));
  worker.wait_for(answer(v1::CompleteReply::RESULT_COMMITTED));
  EXPECT_EQ(stored(created.id).status, PredictionStatus::kFailed) << "no version, no success";
}

TEST_F(HubServiceTest, TimesComeFromTheWorkersDurations) {
  const auto created = create_assigned();
  clock_.advance(1s);
  FakeWorker worker(loop_, *end_->stub, "good");
  worker.complete(created.id, "1");
  worker.wait_for(is_completed);
  const auto row = stored(created.id);
  EXPECT_EQ(*row.completed_at, clock_.now() - 10ms);
  EXPECT_EQ(*row.started_at, clock_.now() - 50ms);
}

TEST_F(HubServiceTest, AResultThatIsSentAgainIsAnsweredAgain) {
  const auto created = create_assigned();
  {
    FakeWorker worker(loop_, *end_->stub, "good");
    worker.complete(created.id, "1");
    worker.wait_for(is_completed);
  }
  FakeWorker again(loop_, *end_->stub, "good");
  again.complete(created.id, "1");
  EXPECT_EQ(again.wait_for(is_completed).completed().result(),
            v1::CompleteReply::RESULT_ALREADY_SAME);
}

TEST_F(HubServiceTest, AWorkerWithoutAGoodTokenIsRefused) {
  FakeWorker worker(loop_, *end_->stub, "bad");
  loop_.drive([&] { return worker.closed.has_value(); });
  EXPECT_TRUE(absl::IsUnauthenticated(*worker.closed)) << *worker.closed;
}

TEST_F(HubServiceTest, AReaderMakesTheWorkerFlushAtOnceUntilItLeaves) {
  const auto created = create_assigned();
  FakeWorker worker(loop_, *end_->stub, "good");
  worker.event(created.id, 1, v1::Event::KIND_LOG, "x");
  loop_.drive([&] { return plane_->hub->state(created.id).has_value(); });
  auto reader = plane_->hub->subscribe(created.id, 0, 0);
  const auto flush = worker.wait_for(is_live_flush);
  EXPECT_EQ(flush.flush().id().prediction_id(), created.id.str());
  EXPECT_EQ(flush.flush().resume_after(), 1U);
  worker.received.clear();
  reader.reset();
  EXPECT_FALSE(worker.wait_for(is_flush).flush().live());
}

TEST_F(HubServiceTest, AReaderThatCameBeforeTheFirstEventIsToldToTheWorker) {
  const auto created = create_assigned();
  const auto reader = plane_->hub->subscribe(created.id, 0, 0);
  FakeWorker worker(loop_, *end_->stub, "good");
  worker.event(created.id, 1, v1::Event::KIND_STARTED, "");
  worker.wait_for(is_live_flush);
}

TEST_F(HubServiceTest, AHubThatLostItsMemoryHasTheWorkerSendAgain) {
  const auto created = create_assigned();
  FakeWorker worker(loop_, *end_->stub, "good");
  worker.event(created.id, 57, v1::Event::KIND_OUTPUT, "\"late\"");
  EXPECT_EQ(worker.wait_for(is_flush).flush().resume_after(), 0U);
  for (std::uint64_t seq = 1; seq <= 57; ++seq) {
    worker.event(created.id, seq, v1::Event::KIND_OUTPUT, std::to_string(seq));
  }
  loop_.drive([&] { return plane_->hub->state(created.id)->last_seq == 57; });
  EXPECT_EQ(plane_->hub->state(created.id)->outputs.size(), 57U);
}

TEST_F(HubServiceTest, ALongStreamIsAcknowledgedNowAndThen) {
  const auto created = create_assigned();
  FakeWorker worker(loop_, *end_->stub, "good");
  for (std::uint64_t seq = 1; seq <= 600; ++seq) {
    worker.event(created.id, seq, v1::Event::KIND_LOG, "line\n");
  }
  worker.wait_for([](const v1::HubMessage& m) { return m.has_ack() && m.ack().seq() == 512; });
  EXPECT_EQ(worker.received.size(), 2U);
}

TEST_F(HubServiceTest, WhenResultsCannotBeCommittedTheStreamEndsSoThatTheyComeAgain) {
  stop(*end_);
  committer_options_.retry.total = 1ms;
  restart_plane();
  end_ = make_end(*plane_);
  const auto created = create_assigned();
  plane_->predictions.before_finish = [](auto) { return absl::UnavailableError("down"); };
  FakeWorker worker(loop_, *end_->stub, "good");
  worker.complete(created.id, "1");
  loop_.drive([&] { return worker.closed.has_value(); });
  EXPECT_TRUE(absl::IsUnavailable(*worker.closed));
}

TEST_F(HubServiceTest, DrainSendsWorkersElsewhere) {
  FakeWorker worker(loop_, *end_->stub, "good");
  const auto created = create_assigned();
  worker.event(created.id, 1, v1::Event::KIND_LOG, "x");
  loop_.drive([&] { return plane_->hub->state(created.id).has_value(); });
  end_->service->drain();
  loop_.drive([&] { return worker.closed.has_value(); });
  EXPECT_TRUE(absl::IsUnavailable(*worker.closed));
}

TEST_F(HubServiceTest, AWorkerFetchesTheWholeInput) {
  IntakeRequest wanted = request();
  wanted.input = "{\"text\":\"" + std::string(600'000, 'x') + "\"}";
  wanted.public_input = "{}";
  const auto created = *loop_.run(plane_->intake->create(wanted));
  std::string got;
  EXPECT_TRUE(fetch(created.id.str(), "", &got).ok());
  EXPECT_EQ(got, wanted.input);
}

TEST_F(HubServiceTest, AWorkerFetchesAnUploadedFileOfTheSameAccountOnly) {
  store::File file;
  file.id = ids_.next();
  file.account = account_.id;
  file.blob_key = "content/mine";
  blobs_.put(file.blob_key, "content");
  ASSERT_TRUE(files_.create_file(file).ok());
  const auto created = create();
  const std::string url = "https://mimeo.example/v1/files/" + file.id.str();
  std::string got;
  EXPECT_TRUE(fetch(created.id.str(), url, &got).ok());
  EXPECT_TRUE(fetch(created.id.str(), url + "/download?x=1", &got).ok());
  EXPECT_EQ(got, "contentcontent");
  ASSERT_TRUE(files_.delete_file(file.id, account_.id).ok());
  file.account = account_.id + 1;
  ASSERT_TRUE(files_.create_file(file).ok());
  EXPECT_EQ(fetch(created.id.str(), url, &got).error_code(), grpc::StatusCode::NOT_FOUND);
  // The worker fetches what only looks like ours by itself.
  for (const char* other : {"https://elsewhere.example/x", "https://elsewhere.example/delivery/x/y",
                            "https://mimeo.example.org/v1/files/x", "https://mimeo.example/x"}) {
    EXPECT_EQ(fetch(created.id.str(), other, &got).error_code(), grpc::StatusCode::NOT_FOUND)
        << other;
  }
  EXPECT_EQ(fetch(created.id.str(), url, &got, "bad").error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(HubServiceTest, AStoredOutputGetsAPublicUrlThatItsWorkersCanReadBack) {
  const auto created = create();
  v1::StoredOutput stored_output;
  const std::string content(300'000, 'p');
  const grpc::Status status = call([&](grpc::ClientContext& context) {
    const auto writer = end_->stub->StoreOutput(&context, &stored_output);
    v1::Chunk chunk;
    chunk.mutable_head()->mutable_id()->set_prediction_id(created.id.str());
    chunk.mutable_head()->set_filename("dir/out 1.png");
    chunk.mutable_head()->set_content_type("Image/X-Mine");
    chunk.set_data(content.substr(0, 100'000));
    writer->Write(chunk);
    chunk.clear_head();
    chunk.set_data(content.substr(100'000));
    writer->Write(chunk);
    writer->WritesDone();
    return writer->Finish();
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(stored_output.size_bytes(), content.size());
  EXPECT_TRUE(stored_output.url().starts_with("https://mimeo.example/delivery/"));
  EXPECT_TRUE(stored_output.url().ends_with("/out%201.png")) << stored_output.url();
  std::string got;
  EXPECT_TRUE(fetch(created.id.str(), stored_output.url(), &got).ok());
  EXPECT_EQ(got, content);
  const std::string secret = stored_output.url().substr(31 + 26, 26);
  const auto file = files_.get_output(created.id, secret, "out 1.png");
  ASSERT_TRUE(file.ok()) << secret;
  EXPECT_EQ(file->content_type, "image/x-mine");
  std::string other_name = stored_output.url();
  other_name.replace(other_name.size() - 3, 3, "svg");
  EXPECT_EQ(fetch(created.id.str(), other_name, &got).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HubServiceTest, OnlyTheThreadsForTransfersTouchTheStoreOfFiles) {
  const auto created = create();
  std::promise<std::thread::id> transfers, read_on, died_on;
  end_->transfers.post([&] { transfers.set_value(std::this_thread::get_id()); });
  const std::thread::id expected = transfers.get_future().get();
  store::File file;
  file.id = ids_.next();
  file.account = account_.id;
  file.blob_key = "content/mine";
  blobs_.put(file.blob_key, "content");
  ASSERT_TRUE(files_.create_file(file).ok());
  blobs_.on_read([&](std::uint64_t offset) {
    if (offset == 0) read_on.set_value(std::this_thread::get_id());
  });
  std::string got;
  EXPECT_TRUE(
      fetch(created.id.str(), "https://mimeo.example/v1/files/" + file.id.str(), &got).ok());
  EXPECT_EQ(read_on.get_future().get(), expected);
  blobs_.on_writer_gone([&] { died_on.set_value(std::this_thread::get_id()); });
  v1::StoredOutput stored_output;
  const grpc::Status status = call([&](grpc::ClientContext& context) {
    const auto writer = end_->stub->StoreOutput(&context, &stored_output);
    v1::Chunk chunk;
    chunk.mutable_head()->mutable_id()->set_prediction_id(created.id.str());
    chunk.mutable_head()->set_filename("out.png");
    writer->Write(chunk);
    writer->WritesDone();
    return writer->Finish();
  });
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(died_on.get_future().get(), expected);
}

TEST_F(HubServiceTest, APullTokenComesFromTheRegistrysPart) {
  v1::PullTokenReply reply;
  v1::PullTokenRequest request;
  request.set_repository("acme/hello");
  const auto ask = [&](grpc::ClientContext& context) {
    return end_->stub->PullToken(&context, request, &reply);
  };
  EXPECT_TRUE(call(ask).ok());
  EXPECT_EQ(reply.token(), "pull acme/hello");
  EXPECT_EQ(reply.expires_in_s(), 300U);
  EXPECT_EQ(call(ask, "bad").error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(HubServiceTest, AClientOfAnotherControlPlaneReadsTheSameEvents) {
  const ReplicaId first = ids_.next();
  const ReplicaId second = ids_.next();
  store::Replica replica;
  replica.id = first;
  replica.addr = end_->server->address();
  ASSERT_TRUE(store_.heartbeat_replica(replica, 1h).ok());
  replica.id = second;
  replica.addr = "127.0.0.1:1";
  ASSERT_TRUE(store_.heartbeat_replica(replica, 1h).ok());

  const auto other = make_plane();
  PeerStreamsOptions options;
  options.replica = second;
  options.refresh_every = 10ms;
  const auto peers = make_peer_streams(loop_.executor(), end_->pool, store_, *other->hub,
                                       other->watch, clock_, options);
  peers->start();

  const auto created = create_assigned();
  FakeWorker worker(loop_, *end_->stub, "good");
  worker.event(created.id, 1, v1::Event::KIND_STARTED, "");
  worker.event(created.id, 2, v1::Event::KIND_OUTPUT, "\"a\"");
  const auto reader = other->hub->subscribe(created.id, 0, 0);
  std::vector<HubEvent> got;
  const auto read_until = [&](std::size_t count) {
    while (got.size() < count) {
      const auto events = loop_.run(reader->next(10s));
      ASSERT_TRUE(events && !events->empty());
      got.insert(got.end(), events->begin(), events->end());
    }
  };
  read_until(2);
  worker.wait_for(is_live_flush);  // Someone far away reads: flush at once.
  worker.event(created.id, 3, v1::Event::KIND_OUTPUT, "\"b\"");
  read_until(3);
  EXPECT_EQ(got[2].data, "\"b\"");
  worker.complete(created.id, "[\"a\",\"b\"]");
  read_until(4);
  EXPECT_EQ(got[3].kind, EventKind::kDone);
  EXPECT_EQ(got[3].data, "succeeded");

  other->tasks.cancel();
  loop_.drive([&] { return other->tasks.size() == 0; });
  loop_.run(stopped_peers(peers.get()));
}

}  // namespace
}  // namespace mimeo::control
