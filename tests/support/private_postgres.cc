#include "tests/support/private_postgres.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <thread>
#include <vector>

#include "common/store/postgres/migrator.h"
#include "common/store/postgres/postgres_store.h"

namespace mimeo::testing_support {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "private Postgres: %s\n", why.c_str());
  std::_Exit(1);
}

// The newest server in Debian's directories, else what pg_config names.
fs::path find_bin() {
  fs::path best;
  int best_version = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (version > best_version && fs::exists(entry.path() / "bin/postgres")) {
      best_version = version;
      best = entry.path() / "bin";
    }
  }
  if (!best.empty()) return best;
  if (FILE* pipe = popen("pg_config --bindir 2>/dev/null", "r")) {
    char line[512] = "";
    if (std::fgets(line, sizeof(line), pipe) != nullptr) best = std::string(line);
    pclose(pipe);
    std::string text = best.string();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    best = text;
  }
  if (best.empty() || !fs::exists(best / "postgres")) {
    die("no server found: install the package postgresql-15");
  }
  return best;
}

// Postgres refuses to run as root: then it runs as the user `postgres`.
const passwd* server_user() { return geteuid() == 0 ? getpwnam("postgres") : nullptr; }

void become_server_user() {
  if (geteuid() != 0) return;
  const passwd* user = server_user();
  if (user == nullptr || initgroups("postgres", user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
      setuid(user->pw_uid) != 0) {
    _exit(126);
  }
}

// In a child: replaces it by `arguments`, with stdout and stderr in `log`.
[[noreturn]] void run_server_program(const std::vector<std::string>& arguments,
                                     const std::string& log) {
  become_server_user();
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// The guardian: starts the server and again when asked ('r'), and ends it when the lifeline breaks.
[[noreturn]] void guard(int lifeline, const std::vector<std::string>& server,
                        const std::string& log, const std::string& root) {
  setsid();  // A Ctrl-C at the terminal is for the program; we follow it in order.
  const int null = open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) dup2(null, fd);  // Nobody waits for our end.
  while (true) {
    const pid_t pid = fork();
    if (pid == 0) {
      close(lifeline);
      run_server_program(server, log);
    }
    char order = 0;
    ssize_t got = 0;
    while ((got = read(lifeline, &order, 1)) < 0 && errno == EINTR) {
    }
    kill(pid, SIGQUIT);  // Immediate: nobody needs the data.
    wait_for(pid);
    if (got <= 0) break;
  }
  execl("/bin/rm", "rm", "-rf", root.c_str(), nullptr);
  _exit(127);
}

}  // namespace

PrivatePostgres& PrivatePostgres::shared() {
  static PrivatePostgres instance;
  return instance;
}

PrivatePostgres::PrivatePostgres() : bin_(find_bin()) {
  std::string pattern = (fs::temp_directory_path() / "mimeo-pg-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) die("cannot make a directory at " + pattern);
  root_ = socket_ = pattern;
  if (geteuid() == 0) {
    const passwd* user = server_user();
    if (user == nullptr) die("there is no user `postgres` to run the server as");
    if (chown(root_.c_str(), user->pw_uid, user->pw_gid) != 0) die("chown failed");
  }
  chmod(root_.c_str(), 0711);  // The program itself may be another user.
  make_cluster();
  start_guardian();
  wait_until_ready();
}

PrivatePostgres::~PrivatePostgres() {
  close(lifeline_);
  wait_for(guardian_);
}

void PrivatePostgres::make_cluster() {
  const std::string log = (root_ / "initdb.log").string();
  const pid_t pid = fork();
  if (pid == 0) {
    run_server_program({(bin_ / "initdb").string(), "-D", (root_ / "data").string(), "-A", "trust",
                        "-U", "mimeo", "--no-locale", "-E", "UTF8", "--no-sync"},
                       log);
  }
  if (wait_for(pid) != 0) {
    std::ifstream text(log);
    die("initdb failed:\n" + std::string(std::istreambuf_iterator<char>(text), {}));
  }
}

void PrivatePostgres::start_guardian() {
  const std::vector<std::string> server = {
      (bin_ / "postgres").string(),
      "-D",
      (root_ / "data").string(),
      "-k",
      socket_.string(),
      "-c",
      "listen_addresses=",
      "-c",
      "fsync=off",
      "-c",
      "full_page_writes=off",
      "-c",
      "max_connections=64",
      "-c",
      "shared_buffers=64MB",
      "-c",
      "deadlock_timeout=100ms",
      "-c",
      "autovacuum=off",
  };
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) die("pipe failed");
  const std::string log = (root_ / "server.log").string();
  guardian_ = fork();
  if (guardian_ == 0) {
    close(ends[1]);
    guard(ends[0], server, log, root_.string());
  }
  close(ends[0]);
  lifeline_ = ends[1];
}

void PrivatePostgres::wait_until_ready() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  std::string last;
  while (std::chrono::steady_clock::now() < deadline) {
    try {
      pqxx::connection probe(conninfo("postgres"));
      pqxx::nontransaction(probe).exec("SELECT 1");
      return;
    } catch (const std::exception& error) {
      last = error.what();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{10});  // Polls for an event, bounded.
  }
  std::ifstream text(root_ / "server.log");
  die("did not start: " + last + "\n" + std::string(std::istreambuf_iterator<char>(text), {}));
}

void PrivatePostgres::restart() {
  const fs::path pid_file = root_ / "data" / "postmaster.pid";
  const auto first_line = [&] {
    std::ifstream file(pid_file);
    std::string line;
    std::getline(file, line);
    return line;
  };
  const std::string before = first_line();
  if (write(lifeline_, "r", 1) != 1) die("the guardian is gone");
  while (first_line() == before) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  wait_until_ready();
}

std::string PrivatePostgres::conninfo(const std::string& database) const {
  return "host=" + socket_.string() + " user=mimeo dbname=" + database;
}

std::string PrivatePostgres::create(const std::string& options) {
  const std::string name = "test" + std::to_string(++databases_);
  pqxx::connection connection(conninfo("postgres"));
  pqxx::nontransaction(connection).exec("CREATE DATABASE " + name + options);
  return conninfo(name);
}

std::string PrivatePostgres::make_empty_database() {
  const std::scoped_lock lock(mutex_);
  return create("");
}

std::string PrivatePostgres::make_database() {
  const std::scoped_lock lock(mutex_);
  if (!has_template_) {
    pqxx::connection connection(conninfo("postgres"));
    pqxx::nontransaction(connection).exec("CREATE DATABASE migrated");
    const auto applied = store::migrate(conninfo("migrated"));
    if (!applied.ok()) die("migrating failed: " + std::string(applied.status().message()));
    store::PostgresStore partitioned({.conninfo = conninfo("migrated"), .max_connections = 1});
    const Status made = partitioned.make_partitions(SystemClock().now(), std::chrono::hours{48});
    if (!made.ok()) die("making partitions failed: " + std::string(made.message()));
    has_template_ = true;
  }
  return create(" TEMPLATE migrated");
}

}  // namespace mimeo::testing_support
