// For tests: images that hold nothing but the test model, pushed to a registry of the test.

#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/oci/testing/test_registry.h"
#include "worker/container/runtime.h"

namespace mimeo::worker {

// What an image's config says besides the arguments.
struct TestImageConfig {
  std::vector<std::string> entrypoint{"/model"};
  std::string user;
  std::string working_dir = "/";
};

class TestImages {
 public:
  // Starts the registry and pushes the layer with the test model. kNotFound when there is no
  // docker-registry.
  static Result<std::unique_ptr<TestImages>> start();

  // An image that runs the test model with these arguments.
  Result<ImageName> push(const std::vector<std::string>& arguments,
                         const TestImageConfig& image = {});

 private:
  TestImages() = default;
  oci::TestRegistry registry_;
  std::unique_ptr<oci::TestPusher> pusher_;
  std::string layer_digest_;
  std::size_t layer_size_ = 0;
};

// A tar archive (ustar) with one regular, executable file.
[[nodiscard]] std::string tar_of(const std::string& name, const std::string& content);

}  // namespace mimeo::worker
