#include "tests/support/private_s3.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "common/base/descriptor.h"

namespace mimeo::testing_support {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAccessKey = "testkey";
constexpr const char* kSecretKey = "testsecret123";
constexpr const char* kBucket = "bucket";

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "private S3: %s\n", why.c_str());
  std::_Exit(1);
}

std::string find_program() {
  FILE* pipe = popen(MIMEO_SOURCE_DIR "/tests/support/s3-server", "r");
  char line[1024] = "";
  if (pipe == nullptr || std::fgets(line, sizeof(line), pipe) == nullptr || pclose(pipe) != 0) {
    die("tests/support/s3-server found none");
  }
  std::string path = line;
  while (!path.empty() && path.back() == '\n') path.pop_back();
  return path;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// One that is free now; the server, which cannot choose by itself, may still lose it to another.
std::uint16_t free_port() {
  const Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) die("no free port");
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool answers(std::uint16_t port) {
  const Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

PrivateS3& PrivateS3::shared() {
  static PrivateS3 instance;
  return instance;
}

PrivateS3::PrivateS3() {
  std::string pattern = (fs::temp_directory_path() / "mimeo-s3-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) die("cannot make a directory at " + pattern);
  root_ = pattern;
  fs::create_directories(root_ / "data" / kBucket);
  fs::create_directories(root_ / "attributes");
  const std::string program = find_program();
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (start(program)) return;
  }
  die("the server does not start, see " + (root_ / "log").string());
}

PrivateS3::~PrivateS3() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

bool PrivateS3::start(const std::string& program) {
  port_ = free_port();
  const std::string listen = "127.0.0.1:" + std::to_string(port_);
  const std::string log = (root_ / "log").string();
  const std::string attributes = (root_ / "attributes").string();
  const std::string data = (root_ / "data").string();
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) _exit(127);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::setenv("ROOT_ACCESS_KEY", kAccessKey, 1);
    ::setenv("ROOT_SECRET_KEY", kSecretKey, 1);
    ::execl(program.c_str(), program.c_str(), "--port", listen.c_str(), "--keep-alive", "posix",
            "--sidecar", attributes.c_str(), data.c_str(), nullptr);
    _exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (std::chrono::steady_clock::now() < deadline) {
    if (answers(port_)) return true;
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
  return false;
}

blobs::S3Options PrivateS3::options() const {
  blobs::S3Options options;
  options.endpoint = "http://127.0.0.1:" + std::to_string(port_);
  options.bucket = kBucket;
  options.addressing = blobs::S3Addressing::kPath;
  options.credentials = {kAccessKey, kSecretKey, ""};
  return options;
}

std::size_t PrivateS3::files() const {
  std::size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root_ / "data" / kBucket)) {
    count += entry.is_regular_file() ? 1 : 0;
  }
  return count;
}

}  // namespace mimeo::testing_support
