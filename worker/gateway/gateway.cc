#include "worker/gateway/gateway.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "common/base/file_io.h"

namespace mimeo::worker {

using boost::asio::awaitable;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 256 * 1024;
constexpr std::size_t kTokenCharacters = 26;

std::string error_text(int error) { return std::system_category().message(error); }

// Closes at the end of the scope; the pool's jobs share it with the coroutine.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  const int fd_;
};

http::Response plain(int status, std::string text) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(text);
  return response;
}

Result<std::string> read_piece(int fd) {
  std::string piece(kPiece, '\0');
  ssize_t got = 0;
  do {
    got = ::read(fd, piece.data(), piece.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return absl::InternalError(error_text(errno));
  piece.resize(static_cast<std::size_t>(got));
  return piece;
}

bool has_odd_segment(const std::vector<std::string>& segments) {
  return std::any_of(segments.begin(), segments.end(), [](const std::string& segment) {
    return segment.empty() || segment == "." || segment == ".." ||
           segment.find('/') != std::string::npos || segment.find('\0') != std::string::npos;
  });
}

}  // namespace

Result<int> open_beneath(const std::string& directory, const std::string& relative) {
  const int root = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return absl::NotFoundError(error_text(errno));
  const File closes_root(root);
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // Non-blocking: a FIFO must not hang us.
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, root, relative.c_str(), &how, sizeof(how));
  if (fd < 0) return absl::NotFoundError(error_text(errno));
  struct stat info {};
  if (::fstat(static_cast<int>(fd), &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(static_cast<int>(fd));
    return absl::NotFoundError("not a regular file");
  }
  return static_cast<int>(fd);
}

Gateway::Gateway(GatewayOptions options, BlockingPool& pool, Random& random)
    : options_(std::move(options)),
      pool_(pool),
      random_(random),
      uploads_(options_.spool_dir + "/out",
               absl::StrCat(options_.base_url, "/out/", options_.secret, "/"), options_.uploads,
               random, [&pool](std::string directory) {
                 pool.post([directory = std::move(directory)] {
                   std::error_code left_behind;  // Goes with the whole spool.
                   fs::remove_all(directory, left_behind);
                 });
               }) {
  std::error_code ignored;
  fs::create_directories(options_.spool_dir + "/in", ignored);
}

awaitable<void> Gateway::handle(http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  const std::vector<std::string>& segments = head.segments;
  if (head.method == "GET" && segments.size() == 4 && segments[0] == "in") {
    co_await serve_input(exchange);
  } else if (head.method == "PUT" && segments.size() >= 2 && segments[0] == "out" &&
             !options_.secret.empty() && segments[1] == options_.secret) {
    co_await take_output(exchange);
  } else if (head.method == "POST" && segments.size() == 2 && segments[0] == "webhook" &&
             webhooks_.contains(segments[1])) {
    co_await take_webhook(exchange);
  } else {
    http::Response response = plain(404, "not found\n");
    (void)co_await exchange.respond(std::move(response));
  }
}

awaitable<void> Gateway::serve_input(http::Exchange& exchange) {
  std::vector<std::string> path(exchange.head().segments.begin() + 1,
                                exchange.head().segments.end());
  Result<int> opened = absl::NotFoundError("odd path");
  if (!has_odd_segment(path)) {
    auto open = [directory = options_.spool_dir + "/in", relative = absl::StrJoin(path, "/")] {
      return open_beneath(directory, relative);
    };
    opened = co_await pool_.run(std::move(open));
  }
  if (!opened.ok()) {
    http::Response response = plain(404, "no such input file\n");
    (void)co_await exchange.respond(std::move(response));
    co_return;
  }
  const auto file = std::make_shared<File>(*opened);
  struct stat info {};
  ::fstat(file->fd(), &info);
  http::Response head;
  head.headers.add("Content-Type", "application/octet-stream");
  head.headers.add("Content-Length", absl::StrCat(info.st_size));
  Status sent = co_await exchange.start_stream(std::move(head));
  while (sent.ok()) {
    auto read = [file] { return read_piece(file->fd()); };
    Result<std::string> piece = co_await pool_.run(std::move(read));
    if (!piece.ok()) co_return;  // Cut short: the reader sees too few bytes.
    if (piece->empty()) break;
    sent = co_await exchange.write(*std::move(piece));
  }
  if (sent.ok()) (void)co_await exchange.end_stream();
}

awaitable<void> Gateway::take_output(http::Exchange& exchange) {
  const std::vector<std::string>& segments = exchange.head().segments;
  // A name that held slashes arrives as several segments: the last one is the name.
  const std::string name = segments.size() > 2 ? segments.back() : std::string();
  const Result<std::string> path = uploads_.prepare(name);
  Result<std::uint64_t> size = absl::InternalError("no directory");
  if (path.ok()) size = co_await receive(exchange, *path);
  http::Response response;
  if (size.ok()) {
    response.status = 201;
    response.headers.add("Location", uploads_.add(*path, *size));
  } else {
    response = plain(absl::IsResourceExhausted(size.status()) ? 413 : 500,
                     absl::StrCat(size.status().message(), "\n"));
  }
  (void)co_await exchange.respond(std::move(response));
}

awaitable<Result<std::uint64_t>> Gateway::receive(http::Exchange& exchange, std::string path) {
  const std::string absolute = uploads_.absolute(path);
  const int fd =
      ::open(absolute.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
  if (fd < 0) {
    const Status status = absl::InternalError(error_text(errno));
    uploads_.discard(path, 0);
    co_return status;
  }
  const auto file = std::make_shared<File>(fd);
  std::uint64_t total = 0;
  Status status;
  std::vector<char> buffer(kPiece);
  for (;;) {
    const Result<std::size_t> got = co_await exchange.read_some(buffer);
    if (!got.ok()) status = got.status();
    if (!status.ok() || *got == 0) break;
    status = uploads_.reserve(total, *got);
    if (!status.ok()) break;
    total += *got;
    auto write = [file, data = std::string(buffer.data(), *got)] {
      return write_all(file->fd(), data, "writing an output file");
    };
    status = co_await pool_.run(std::move(write));
    if (!status.ok()) break;
  }
  if (!status.ok()) {
    uploads_.discard(path, total);
    co_return status;
  }
  co_return total;
}

awaitable<void> Gateway::take_webhook(http::Exchange& exchange) {
  const std::string token = exchange.head().segments[1];
  Result<std::string> body = co_await exchange.read_body(Bytes{options_.max_webhook_bytes});
  // Answered first: Python's worker waits for it.
  http::Response response = body.ok() ? http::Response{} : plain(413, "too large\n");
  (void)co_await exchange.respond(std::move(response));
  if (!body.ok()) co_return;
  const auto found = webhooks_.find(token);
  if (found == webhooks_.end()) co_return;
  const OnWebhook on_webhook = found->second;  // A copy: the call may remove the token.
  on_webhook(*std::move(body));
}

std::string Gateway::add_webhook(OnWebhook on_webhook) {
  const std::string token = random_.base32(kTokenCharacters);
  webhooks_.emplace(token, std::move(on_webhook));
  return absl::StrCat(options_.base_url, "/webhook/", token);
}

void Gateway::remove_webhook(const std::string& url) {
  webhooks_.erase(url.substr(url.rfind('/') + 1));
}

}  // namespace mimeo::worker
