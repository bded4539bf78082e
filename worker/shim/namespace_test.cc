// The shim and a container that has a network namespace of its own, as Docker's `--network none`
// makes it. Needs the right to make one (root): without it, these tests are skipped.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "worker/cog/fake_cog_server.h"
#include "worker/shim/container_network.h"
#include "worker/shim/shim_test_kit.h"

namespace mimeo::worker {
namespace {

// Its first process: a namespace with nothing but its own loopback.
class FakeContainer {
 public:
  FakeContainer() {
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      char result = ::unshare(CLONE_NEWNET) == 0 && raise_loopback() ? 'y' : 'n';
      (void)!::write(ready[1], &result, 1);
      for (;;) ::pause();
    }
    char result = 'n';
    (void)!::read(ready[0], &result, 1);
    ::close(ready[0]);
    ::close(ready[1]);
    is_isolated_ = result == 'y';
  }
  ~FakeContainer() { kill(); }
  FakeContainer(const FakeContainer&) = delete;
  FakeContainer& operator=(const FakeContainer&) = delete;

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
  [[nodiscard]] bool is_isolated() const { return is_isolated_; }

 private:
  static bool raise_loopback() {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    request.ifr_name[0] = 'l';
    request.ifr_name[1] = 'o';
    request.ifr_flags = IFF_UP;
    const bool is_up = ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    ::close(fd);
    return is_up;
  }

  pid_t pid_ = -1;
  bool is_isolated_ = false;
};

class NamespaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!container_.is_isolated()) {
      GTEST_SKIP()
          << "making a network namespace needs root: the namespace path is not tested here";
    }
    config_.set_instance_id("instance1");
    config_.set_spool_dir(directory_.path() + "/spool");
    config_.set_socket_path(directory_.path() + "/socket");
    config_.set_container_pid(container_.pid());
    config_.set_gateway_port(4999);
    config_.set_gateway_secret("s3cret");
    config_.set_log_level("error");
    config_.set_exit_wait_ms(300);
    // Port 5000 of the namespace, not of this host.
    auto network = ContainerNetwork::enter(container_.pid(), {});
    ASSERT_TRUE(network.ok()) << network.status();
    const auto fd = (*network)->listen({});
    ASSERT_TRUE(fd.ok()) << fd.status();
    cog::FakeCogOptions options;
    options.openapi = cog::fake_openapi(R"({"type":"string"})");
    options.listening_fd = *fd;
    server_ = std::make_unique<cog::FakeCogServer>(options);
  }

  FakeContainer container_;
  TestDirectory directory_;
  ShimConfig config_;
  std::unique_ptr<cog::FakeCogServer> server_;
};

TEST_F(NamespaceTest, DrivesAServerThatOnlyItsContainerCanReach) {
  ShimProcess shim(config_);
  FakeDaemon daemon(shim.socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"text":"from inside"})");
  EXPECT_EQ(daemon.until_result("p1").output(), R"("from inside")");
}

// What a process inside of the container would be answered.
std::string ask_from_inside(std::uint32_t pid, const std::string& target) {
  auto network = ContainerNetwork::enter(pid, {"127.0.0.1", 4999});
  boost::asio::io_context io;
  std::string answer;
  boost::asio::co_spawn(io, (*network)->dial(),
                        [&](const std::exception_ptr&, const Result<int>& fd) {
                          if (!fd.ok()) return;
                          const std::string request =
                              "GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
                          ::fcntl(*fd, F_SETFL, 0);
                          (void)!::write(*fd, request.data(), request.size());
                          char buffer[4096];
                          for (ssize_t n = 0; (n = ::read(*fd, buffer, sizeof(buffer))) > 0;) {
                            answer.append(buffer, static_cast<std::size_t>(n));
                          }
                          ::close(*fd);
                        });
  io.run();
  return answer;
}

TEST_F(NamespaceTest, OpensItsGatewayInsideAndNowhereElse) {
  ShimProcess shim(config_);
  FakeDaemon daemon(shim.socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  std::filesystem::create_directories(config_.spool_dir() + "/in/p1-1/0");
  std::ofstream(config_.spool_dir() + "/in/p1-1/0/x") << "for the container";
  EXPECT_TRUE(ask_from_inside(container_.pid(), "/in/p1-1/0/x").ends_with("for the container"));
  // The same port of the host is not the gateway.
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(4999);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_NE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::close(fd);
}

TEST_F(NamespaceTest, NoticesTheEndOfItsContainerAndLeaves) {
  ShimProcess shim(config_);
  FakeDaemon daemon(shim.socket_path());
  daemon.until_health(ShimState::HEALTH_READY);
  daemon.start("p1", R"({"do":"wait"})");
  daemon.until("it runs", [&] { return daemon.has("p1", v1::Event::KIND_STARTED); });
  server_->die();
  container_.kill();
  EXPECT_EQ(daemon.until_result("p1").cause(), v1::FAILURE_CAUSE_CONTAINER_EXIT);
  daemon.stored("p1");
  EXPECT_EQ(shim.wait(), 0);
}

TEST_F(NamespaceTest, FailsAtOnceWhenThereIsNoSuchContainer) {
  container_.kill();
  EXPECT_EQ(ShimProcess(config_).wait(), 1);
}

}  // namespace
}  // namespace mimeo::worker
