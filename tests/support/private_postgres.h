// A Postgres of the test program's own: nothing shared, nothing left behind.

#pragma once

#include <sys/types.h>

#include <filesystem>
#include <mutex>
#include <string>

namespace mimeo::testing_support {

// A server in a temporary directory that listens on a Unix socket only and does not wait for the
// disk. One per test program, started when it is first asked for; each test takes a database of its
// own. A guardian process stops the server and removes the directory when the program ends, also
// when it crashes or is killed.
class PrivatePostgres {
 public:
  // Ends the program with a message when there is no Postgres to run.
  static PrivatePostgres& shared();

  PrivatePostgres(const PrivatePostgres&) = delete;
  PrivatePostgres& operator=(const PrivatePostgres&) = delete;
  ~PrivatePostgres();

  // Connection string of a new, empty, migrated database with the partitions of the next two days.
  std::string make_database();
  // The same without the schema.
  std::string make_empty_database();
  // Stops the server at once, as a crash would, and starts it again; for tests of reconnecting.
  void restart();

  [[nodiscard]] const std::filesystem::path& bin() const { return bin_; }
  [[nodiscard]] const std::filesystem::path& socket_directory() const { return socket_; }

 private:
  PrivatePostgres();
  void make_cluster();
  void start_guardian();
  void wait_until_ready();
  [[nodiscard]] std::string conninfo(const std::string& database) const;
  std::string create(const std::string& options);

  std::filesystem::path bin_;     // initdb, postgres, pg_ctl, pg_dump.
  std::filesystem::path root_;    // Everything; removed at the end.
  std::filesystem::path socket_;  // Short: socket paths are limited to 107 bytes.
  pid_t guardian_ = -1;
  int lifeline_ = -1;  // The guardian ends when this is closed.
  std::mutex mutex_;
  int databases_ = 0;          // Guarded by mutex_.
  bool has_template_ = false;  // Guarded by mutex_.
};

}  // namespace mimeo::testing_support
