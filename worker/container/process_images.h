// Images on this machine's disk without an engine, each as the tree of files that it stands for:
// fetched from the registry, checked, unpacked. Blocking. process_runtime.h says what is called
// when; which images to keep is images/'s business.
//
//   <state>/images/<64 hex of the digest>/image.json   names, size, what to run
//                                         rootfs/      all layers, one over the other
//
// Layers are not shared between images: a disk may hold the same files several times.

#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/outbound.h"
#include "common/oci/manifest.h"
#include "worker/container/runtime.h"

namespace mimeo::worker {

struct UnpackedImage {
  std::vector<ImageName> names;  // The same image may be in several repositories.
  Bytes size;
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::string user;
  std::filesystem::path rootfs;
};

class ProcessImages {
 public:
  // `random` outlives it.
  ProcessImages(const std::filesystem::path& state, Random& random);

  // Fetches the image into a folder that is no image yet; its path. The observer is called on the
  // calling thread. Safe from several threads. kNotFound, kPermissionDenied, kUnavailable,
  // kInvalidArgument (it cannot be used), kResourceExhausted, kCancelled.
  [[nodiscard]] Result<std::filesystem::path> fetch(const ImageName& name, const std::string& token,
                                                    const PullObserver& observer) const;

  // Makes fetches end soon: with the next piece of a download. Any thread.
  void stop() { is_stopping_ = true; }

  // The rest from one thread.

  // Makes an image of what fetch() left, at once.
  Status publish(const ImageName& name, const std::filesystem::path& fetched) const;
  // kNotFound.
  [[nodiscard]] Result<UnpackedImage> find(const ImageName& name) const;
  [[nodiscard]] std::vector<LocalImage> list() const;
  // Takes the name away; with the last one, the image: then the path of what is still to be
  // removed, else an empty path. OK when it was not there.
  [[nodiscard]] Result<std::filesystem::path> forget(const ImageName& name) const;

 private:
  [[nodiscard]] std::filesystem::path folder_of(const std::string& digest) const;
  [[nodiscard]] Status fill(const std::filesystem::path& folder, const ImageName& name,
                            const std::string& token, const PullObserver& observer) const;

  const std::filesystem::path folder_;
  Random& random_;
  const http::Outbound outbound_;
  std::atomic<bool> is_stopping_ = false;
};

}  // namespace mimeo::worker
