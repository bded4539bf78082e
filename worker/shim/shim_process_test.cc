// The shim as a real process, between a Cog server that is a fake and a daemon that is the test.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <nlohmann/json.hpp>

#include "worker/cog/fake_cog_server.h"
#include "worker/shim/result_spool.h"
#include "worker/shim/shim_test_kit.h"

namespace mimeo::worker {
namespace {

using cog::FakeCogOptions;
using cog::FakeCogServer;
using cog::Generation;
using v1::Event;

const char* const kText = R"({"type":"string"})";
const char* const kIterator =
    R"({"type":"array","items":{"type":"string"},"x-cog-array-type":"iterator"})";

// A port that was free a moment ago: the gateway's must be known before the server starts.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A server, a shim in front of it, and the files between them.
class Instance {
 public:
  explicit Instance(FakeCogOptions options) : gateway_port(free_port()) {
    gateway_url = "http://127.0.0.1:" + std::to_string(gateway_port);
    options.upload_url = gateway_url + "/out/s3cret/";
    server = std::make_unique<FakeCogServer>(options);
    config.set_instance_id("instance1");
    config.set_spool_dir(directory.path() + "/spool");
    config.set_socket_path(directory.path() + "/socket");
    config.set_container_addr("127.0.0.1:" + std::to_string(server->port()));
    config.set_gateway_port(gateway_port);
    config.set_gateway_secret("s3cret");
    config.set_openapi_schema(options.openapi);
    config.set_setup_limit_ms(20'000);
    config.set_container_log_path(directory.path() + "/container.log");
    config.set_log_level("error");
  }
  ShimProcess& shim() {
    if (shim_ == nullptr) shim_ = std::make_unique<ShimProcess>(config);
    return *shim_;
  }
  [[nodiscard]] std::string file(const std::string& below_spool) const {
    return config.spool_dir() + "/" + below_spool;
  }

  TestDirectory directory;
  std::uint16_t gateway_port;
  std::string gateway_url;
  std::unique_ptr<FakeCogServer> server;
  ShimConfig config;

 private:
  std::unique_ptr<ShimProcess> shim_;
};

FakeCogOptions coglet(const std::string& output = kText, bool has_events = false) {
  FakeCogOptions options;
  options.openapi = cog::fake_openapi(output, has_events);
  return options;
}
FakeCogOptions other(Generation generation, const std::string& output = kText) {
  FakeCogOptions options = coglet(output);
  options.generation = generation;
  return options;
}

TEST(ShimProcess, RunsAPredictionAndKeepsItsResultUntilItIsStored) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  EXPECT_EQ(daemon.states.back().generation(), "coglet 0.23.1");
  EXPECT_EQ(daemon.states.back().detail(), "model loaded\n");

  daemon.start("p1", R"({"text":"hi"})");
  const v1::Complete result = daemon.until_result("p1");
  EXPECT_EQ(result.outcome(), v1::OUTCOME_SUCCEEDED);
  EXPECT_EQ(result.output(), R"("hi")");
  EXPECT_EQ(result.instance_id(), "instance1");
  EXPECT_EQ(result.last_seq(), 1U);
  ASSERT_EQ(daemon.events["p1"].size(), 1U);
  EXPECT_EQ(daemon.events["p1"][0].kind(), Event::KIND_STARTED);
  // A short run costs the server one request, and no webhook is named in it.
  EXPECT_EQ(instance.server->count("PUT /predictions/p1"), 1);
  for (const auto& request : instance.server->requests()) {
    EXPECT_EQ(request.body.find("webhook"), std::string::npos) << request.body;
  }

  EXPECT_EQ(read_results(instance.config.spool_dir()).size(), 1U);
  daemon.stored("p1");
  eventually("the result is dropped",
             [&] { return read_results(instance.config.spool_dir()).empty(); });
}

TEST(ShimProcess, ShowsTheLogOfAPlainModelWhileItRuns) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"wait"})");
  daemon.until("its log is seen", [&] { return daemon.has("p1", Event::KIND_LOG); });
  EXPECT_EQ(daemon.joined("p1", Event::KIND_LOG), "waiting\n");
  instance.server->release();
  EXPECT_EQ(daemon.until_result("p1").logs(), "waiting\n");
  EXPECT_EQ(daemon.joined("p1", Event::KIND_LOG), "waiting\n");
  EXPECT_EQ(instance.server->runs(), 1) << "a probe must never start the model";
}

TEST(ShimProcess, DeliversTheItemsOfAnIteratorWhileItRuns) {
  Instance instance(coglet(kIterator));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"yield","items":["a","b","c"]})");
  daemon.until("three items came",
               [&] { return daemon.joined("p1", Event::KIND_OUTPUT) == R"("a""b""c")"; });
  EXPECT_FALSE(daemon.results.contains("p1"));
  instance.server->release();
  EXPECT_EQ(daemon.until_result("p1").output(), R"(["a","b","c"])");
  EXPECT_EQ(daemon.joined("p1", Event::KIND_OUTPUT), R"("a""b""c")");
}

TEST(ShimProcess, TakesEventsFromAModelThatStreamsThem) {
  Instance instance(coglet(kIterator, /*has_events=*/true));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"yield","items":["a","b"]})");
  daemon.until("two items came",
               [&] { return daemon.joined("p1", Event::KIND_OUTPUT) == R"("a""b")"; });
  instance.server->release();
  EXPECT_EQ(daemon.until_result("p1").output(), R"(["a","b"])");
  EXPECT_EQ(instance.server->count("PUT"), 1);
}

TEST(ShimProcess, TakesABrokenStreamUpAgainWithoutRepeatingAnything) {
  Instance instance(coglet(kIterator, /*has_events=*/true));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  instance.server->break_stream_after(2);
  daemon.start("p1", R"({"do":"yield","items":["a","b","c"]})");
  daemon.until("all items came",
               [&] { return daemon.joined("p1", Event::KIND_OUTPUT) == R"("a""b""c")"; });
  instance.server->release();
  EXPECT_EQ(daemon.until_result("p1").output(), R"(["a","b","c"])");
  EXPECT_EQ(daemon.joined("p1", Event::KIND_OUTPUT), R"("a""b""c")");
  EXPECT_EQ(instance.server->runs(), 1);
}

TEST(ShimProcess, ReportsAFailureWithTheModelsOwnWordsAndItsLog) {
  Instance instance(coglet());
  // coglet's answer has no logs then: they come from the container's own log.
  std::ofstream(instance.config.container_log_path())
      << R"({"fields":{"message":"before","prediction_id":"p1","source":"Stdout"}})"
      << "\n"
      << R"({"fields":{"message":"Prediction failed","prediction_id":"p1"}})"
      << "\n";
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"fail"})");
  const v1::Complete result = daemon.until_result("p1");
  EXPECT_EQ(result.outcome(), v1::OUTCOME_FAILED);
  EXPECT_EQ(result.cause(), v1::FAILURE_CAUSE_MODEL);
  EXPECT_EQ(result.error(), "ValueError: boom");
  EXPECT_EQ(result.logs(), "before\n");
}

TEST(ShimProcess, WaitsForASlotThatIsFreedAMomentAfterTheLastResult) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  instance.server->refuse_next(2);
  daemon.start("p1", "{}");
  EXPECT_EQ(daemon.until_result("p1").outcome(), v1::OUTCOME_SUCCEEDED);
  EXPECT_EQ(instance.server->count("PUT"), 3);
}

TEST(ShimProcess, RefusesWhatTheServerDoesNotTake) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  instance.server->set_health("BUSY");
  daemon.start("p1", "{}");
  daemon.until("it is refused", [&] { return daemon.refusals.contains("p1"); });
  EXPECT_TRUE(daemon.events["p1"].empty());
  EXPECT_EQ(instance.server->runs(), 0);
}

TEST(ShimProcess, CancelsARunningPrediction) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"wait"})");
  daemon.until("it runs", [&] { return daemon.has("p1", Event::KIND_STARTED); });
  daemon.cancel("p1");
  EXPECT_EQ(daemon.until_result("p1").outcome(), v1::OUTCOME_CANCELED);
  EXPECT_EQ(instance.server->cancels(), 1);
}

TEST(ShimProcess, EndsAPredictionAtItsRunLimit) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"wait"})", /*limit_ms=*/100);
  const v1::Complete result = daemon.until_result("p1");
  EXPECT_EQ(result.outcome(), v1::OUTCOME_FAILED);
  EXPECT_EQ(result.cause(), v1::FAILURE_CAUSE_RUN_LIMIT);
}

TEST(ShimProcess, LosesNothingWhenTheDaemonDiesAndComesBack) {
  Instance instance(coglet(kIterator));
  {
    FakeDaemon daemon(instance.shim().socket_path());
    daemon.until_health(ShimState::HEALTH_READY);
    daemon.start("p1", R"({"do":"yield","items":["a","b"]})");
    daemon.until("it yields", [&] { return daemon.has("p1", Event::KIND_OUTPUT); });
  }
  instance.server->release();
  eventually("it finishes alone",
             [&] { return !read_results(instance.config.spool_dir()).empty(); });

  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until("the state is known", [&] { return !daemon.states.empty(); });
  ASSERT_EQ(daemon.states[0].attempts_size(), 1);
  EXPECT_TRUE(daemon.states[0].attempts(0).finished());
  EXPECT_EQ(daemon.until_result("p1").output(), R"(["a","b"])");
  std::uint64_t seq = 0;
  for (const Event& event : daemon.events["p1"]) EXPECT_EQ(event.seq(), ++seq);
  EXPECT_EQ(seq, daemon.results["p1"].last_seq());
  EXPECT_EQ(daemon.joined("p1", Event::KIND_OUTPUT), R"("a""b")");
  // It is over: the same order again runs nothing.
  daemon.start("p1", R"({"do":"echo"})");
  daemon.stored("p1");
  daemon.start("p2", "{}");
  daemon.until_result("p2");
  EXPECT_EQ(instance.server->runs(), 2);
}

TEST(ShimProcess, SendsAgainOnlyWhatIsNotStored) {
  Instance instance(coglet(kIterator));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"yield","items":["a","b"]})");
  daemon.until("it yields", [&] { return daemon.events["p1"].size() == 3; });
  ToShim stored;
  *stored.mutable_events()->mutable_id() = FakeDaemon::id("p1");
  stored.mutable_events()->set_seq(2);
  daemon.send(stored);
  ToShim replay;
  *replay.mutable_replay()->mutable_id() = FakeDaemon::id("p1");
  daemon.send(replay);
  daemon.until("the rest comes again", [&] { return daemon.events["p1"].size() == 4; });
  EXPECT_EQ(daemon.events["p1"].back().seq(), 3U);
  instance.server->release();
  daemon.until_result("p1");
}

TEST(ShimProcess, LeavesItsResultsBehindWhenItIsKilled) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"text":"kept"})");
  daemon.until_result("p1");
  instance.shim().kill(SIGKILL);
  instance.shim().wait();
  const auto files = read_results(instance.config.spool_dir());
  ASSERT_EQ(files.size(), 1U);
  AttemptResult result;
  ASSERT_TRUE(result.ParseFromString(files[0]));
  EXPECT_EQ(result.complete().output(), R"("kept")");
}

TEST(ShimProcess, SaysWhyTheContainerDied) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"die"})");
  eventually("the model runs", [&] { return instance.server->runs() == 1; });
  ToShim exited;
  exited.mutable_exited()->set_reason("the container ran out of memory (limit 1 GiB)");
  exited.mutable_exited()->set_log_tail("Killed\n");
  daemon.send(exited);
  const v1::Complete result = daemon.until_result("p1");
  EXPECT_EQ(result.outcome(), v1::OUTCOME_FAILED);
  EXPECT_EQ(result.cause(), v1::FAILURE_CAUSE_CONTAINER_EXIT);
  EXPECT_EQ(result.error(), "the container ran out of memory (limit 1 GiB)");
  EXPECT_EQ(result.logs(), "Killed\n");
  daemon.until_health(ShimState::HEALTH_BROKEN);
  // Nothing is left to do once the result is stored.
  daemon.stored("p1");
  EXPECT_EQ(instance.shim().wait(), 0);
}

TEST(ShimProcess, DecidesByItselfThatALostServerIsGone) {
  Instance instance(coglet());
  instance.config.set_exit_wait_ms(300);
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"die"})");
  const v1::Complete result = daemon.until_result("p1");
  EXPECT_EQ(result.cause(), v1::FAILURE_CAUSE_CONTAINER_EXIT);
  daemon.start("p2", "{}");
  daemon.until("the next one is refused", [&] { return daemon.refusals.contains("p2"); });
}

TEST(ShimProcess, ReportsAFailedSetup) {
  FakeCogOptions options = coglet();
  options.health = "SETUP_FAILED";
  options.setup_logs = "no such weights";
  Instance instance(options);
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_SETUP_FAILED);
  EXPECT_EQ(daemon.states.back().detail(), "no such weights");
  daemon.start("p1", "{}");
  daemon.until("it is refused", [&] { return daemon.refusals.contains("p1"); });
}

TEST(ShimProcess, LeavesOutWhatTheServerWouldRefuse) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"text":"null and void","seed":null,"unknown":{"text":1}})");
  EXPECT_EQ(daemon.until_result("p1").output(), R"("null and void")");
  std::string body;
  for (const auto& request : instance.server->requests()) {
    if (request.method == "PUT") body = request.body;
  }
  EXPECT_EQ(body, R"({"id":"p1","input":{"text":"null and void"}})");
}

TEST(ShimProcess, TurnsUploadsIntoReferencesAndDeletesThemWhenStored) {
  Instance instance(coglet(R"({"type":"string","format":"uri"})"));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"upload","name":"cat.png","text":"meow"})");
  const auto output = nlohmann::json::parse(daemon.until_result("p1").output());
  const std::string reference = output.get<std::string>();
  ASSERT_TRUE(reference.starts_with("mimeo-file:")) << reference;
  EXPECT_TRUE(reference.ends_with("/cat.png"));
  const std::string file = instance.file("out/" + reference.substr(11));
  EXPECT_EQ(slurp(file), "meow");
  daemon.stored("p1");
  eventually("the file is deleted", [&] { return !std::filesystem::exists(file); });
}

TEST(ShimProcess, ServesTheInputFilesOfAnAttempt) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  std::filesystem::create_directories(instance.file("in/p1-1/0"));
  std::ofstream(instance.file("in/p1-1/0/in.txt")) << "content";
  daemon.start("p1", R"({"do":"fetch","url":")" + instance.gateway_url + R"(/in/p1-1/0/in.txt"})");
  EXPECT_EQ(daemon.until_result("p1").output(), R"("200 content")");
  daemon.stored("p1");
  eventually("the input is deleted",
             [&] { return !std::filesystem::exists(instance.file("in/p1-1")); });
}

TEST(ShimProcess, DrivesPythonServersByWebhookWhateverOrderTheyComeIn) {
  Instance instance(other(Generation::kPython, kIterator));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  EXPECT_EQ(daemon.states.back().generation(), "python");
  daemon.start("p1", R"({"do":"yield","items":["a","b","c"],"seed":null})");
  daemon.until("all items came",
               [&] { return daemon.joined("p1", Event::KIND_OUTPUT) == R"("a""b""c")"; });
  instance.server->release();
  const v1::Complete result = daemon.until_result("p1");
  EXPECT_EQ(result.outcome(), v1::OUTCOME_SUCCEEDED);
  EXPECT_EQ(result.output(), R"(["a","b","c"])");
  EXPECT_EQ(daemon.joined("p1", Event::KIND_OUTPUT), R"("a""b""c")");
  EXPECT_EQ(instance.server->count("PUT"), 1);
  daemon.start("p2", R"({"do":"wait"})");
  daemon.until("it runs", [&] { return daemon.has("p2", Event::KIND_LOG); });
  daemon.cancel("p2");
  EXPECT_EQ(daemon.until_result("p2").outcome(), v1::OUTCOME_CANCELED);
}

// A training is told from a prediction by its route alone.
void expect_training(FakeCogOptions options, const std::string& route) {
  SCOPED_TRACE(route);
  Instance instance(std::move(options));
  instance.config.set_is_training(true);
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("t1", R"({"do":"upload","name":"w.bin","text":"learned"})");
  const v1::Complete result = daemon.until_result("t1");
  EXPECT_EQ(result.outcome(), v1::OUTCOME_SUCCEEDED) << result.error();
  EXPECT_NE(result.output().find("mimeo-file:"), std::string::npos) << result.output();
  daemon.start("t2", R"({"do":"wait"})");
  daemon.until("it runs", [&] { return daemon.has("t2", Event::KIND_LOG); });
  daemon.cancel("t2");
  EXPECT_EQ(daemon.until_result("t2").outcome(), v1::OUTCOME_CANCELED);
  EXPECT_EQ(instance.server->cancels(), 1);
  daemon.start("t3", R"({"do":"fail"})");
  const std::string error = daemon.until_result("t3").error();  // "ValueError: boom" from coglet.
  EXPECT_TRUE(error.ends_with("boom")) << error;
  EXPECT_EQ(instance.server->runs(), 3);
  EXPECT_GE(instance.server->count("PUT " + route + "/"), 3);
  EXPECT_GE(instance.server->count("POST " + route + "/"), 1) << "the cancel";
}

TEST(ShimProcess, TrainsWhereEachGenerationOfServersDoesIt) {
  FakeCogOptions newest = coglet();
  newest.trainings = cog::FakeTrainings::kWork;
  expect_training(newest, "/trainings");
  FakeCogOptions python = other(Generation::kPython);
  python.trainings = cog::FakeTrainings::kWork;
  expect_training(python, "/trainings");
  python.trainings = cog::FakeTrainings::kBroken;
  expect_training(python, "/predictions");
}

TEST(ShimProcess, DrivesTheGoRuntime) {
  Instance instance(other(Generation::kGo));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  EXPECT_EQ(daemon.states.back().generation(), "go");
  daemon.start("p1", R"({"text":"hi"})");
  EXPECT_EQ(daemon.until_result("p1").output(), R"("hi")");
}

TEST(ShimProcess, DrivesServersOlderThanTheHealthCheck) {
  Instance instance(other(Generation::kLegacy));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  EXPECT_EQ(daemon.states.back().generation(), "legacy");
  daemon.start("p1", R"({"text":"hi"})");
  EXPECT_EQ(daemon.until_result("p1").output(), R"("hi")");
  EXPECT_EQ(instance.server->count("POST /predictions"), 1);
}

TEST(ShimProcess, DrivesACogletWithoutSchemaByWebhook) {
  FakeCogOptions options;  // Validates nothing: a probe could start the model.
  Instance instance(options);
  instance.config.set_openapi_schema(cog::fake_openapi(kIterator));
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"yield","items":["a","b"]})");
  daemon.until("all items came",
               [&] { return daemon.joined("p1", Event::KIND_OUTPUT) == R"("a""b")"; });
  instance.server->release();
  EXPECT_EQ(daemon.until_result("p1").output(), R"(["a","b"])");
  EXPECT_EQ(instance.server->count("PUT"), 1);
  daemon.start("p2", R"({"do":"fail"})");
  EXPECT_EQ(daemon.until_result("p2").logs(), "before\n");
}

TEST(ShimProcess, ForgetsAnAttemptWithoutAWord) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"wait"})");
  daemon.until("it runs", [&] { return daemon.has("p1", Event::KIND_STARTED); });
  ToShim forget;
  *forget.mutable_forget()->mutable_id() = FakeDaemon::id("p1");
  daemon.send(forget);
  eventually("the server cancels it", [&] { return instance.server->cancels() == 1; });
  daemon.start("p2", "{}");
  daemon.until_result("p2");
  EXPECT_FALSE(daemon.results.contains("p1"));
}

TEST(ShimProcess, StopsWhenItIsToldTo) {
  Instance instance(coglet());
  FakeDaemon daemon(instance.shim().socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  instance.shim().kill(SIGHUP);  // The daemon's terminal is not the shim's.
  ToShim shutdown;
  shutdown.mutable_shutdown()->set_grace_ms(0);
  daemon.send(shutdown);
  EXPECT_EQ(instance.shim().wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(instance.config.socket_path()));
}

TEST(ShimProcess, RefusesAConfigThatCannotWork) {
  TestDirectory directory;
  ShimConfig config;
  config.set_instance_id("i");
  config.set_spool_dir(directory.path() + "/spool");
  config.set_socket_path(directory.path() + "/socket");
  EXPECT_EQ(ShimProcess(config).wait(), 1);
}

}  // namespace
}  // namespace mimeo::worker
