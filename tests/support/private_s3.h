// An S3 server of the test program's own: nothing shared, nothing left behind.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/blobs/s3_client.h"

namespace mimeo::testing_support {

// A server on a free port of 127.0.0.1 with one bucket, in a temporary directory. One per test
// program, started when it is first asked for. The server dies with the program.
class PrivateS3 {
 public:
  // Ends the program with a message when there is none to run.
  static PrivateS3& shared();

  PrivateS3(const PrivateS3&) = delete;
  PrivateS3& operator=(const PrivateS3&) = delete;
  ~PrivateS3();

  // For the bucket, with good credentials.
  [[nodiscard]] blobs::S3Options options() const;
  // Number of files in the bucket, whatever the server knows of them: objects and parts of uploads.
  [[nodiscard]] std::size_t files() const;

 private:
  PrivateS3();
  bool start(const std::string& program);

  std::filesystem::path root_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace mimeo::testing_support
