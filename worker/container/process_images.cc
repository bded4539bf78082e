#include "worker/container/process_images.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "common/base/descriptor.h"
#include "common/oci/image_unpack.h"
#include "common/oci/registry_client.h"
#include "worker/launch/container_folder.h"
#include "worker/local_file.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Operators choose the registry; it may well be inside.
http::AddressRules registry_rules() {
  http::AddressRules rules;
  rules.allow_private = true;
  return rules;
}

// As Docker does it: no TLS on this machine's own addresses, TLS everywhere else.
std::string url_of(const std::string& registry) {
  const bool is_local = registry.starts_with("127.") || registry.starts_with("localhost:") ||
                        registry == "localhost" || registry.starts_with("[::1]");
  return (is_local ? "http://" : "https://") + registry;
}

// Both mean to the caller that this token does not open this repository.
Status refused_or(const Status& status) {
  if (!absl::IsUnauthenticated(status)) return status;
  return absl::PermissionDeniedError(status.message());
}

std::string to_json(const UnpackedImage& image) {
  json names = json::array();
  for (const auto& name : image.names) {
    names.push_back(
        {{"registry", name.registry}, {"repository", name.repository}, {"digest", name.digest}});
  }
  return json{{"names", names},    {"size_bytes", image.size.count},
              {"env", image.env},  {"entrypoint", image.entrypoint},
              {"cmd", image.cmd},  {"working_dir", image.working_dir},
              {"user", image.user}}
      .dump(1);
}

Result<UnpackedImage> read_image(const fs::path& folder) {
  MIMEO_ASSIGN_OR_RETURN(const std::string text, read_file(folder / "image.json"));
  UnpackedImage image;
  image.rootfs = folder / "rootfs";
  try {
    const json document = json::parse(text);
    for (const auto& name : document.at("names")) {
      image.names.push_back({name.at("registry").get<std::string>(),
                             name.at("repository").get<std::string>(),
                             name.at("digest").get<std::string>()});
    }
    document.at("size_bytes").get_to(image.size.count);
    document.at("env").get_to(image.env);
    document.at("entrypoint").get_to(image.entrypoint);
    document.at("cmd").get_to(image.cmd);
    document.at("working_dir").get_to(image.working_dir);
    document.at("user").get_to(image.user);
  } catch (const json::exception& error) {
    return absl::InternalError(absl::StrCat(folder.string(), ": ", error.what()));
  }
  return image;
}

// What the tree takes on the disk; files with several names count once.
Bytes size_of(const fs::path& tree) {
  Bytes size;
  std::set<ino_t> seen;
  std::error_code error;
  for (fs::recursive_directory_iterator it(tree, error), end; !error && it != end;
       it.increment(error)) {
    struct stat info {};
    if (::lstat(it->path().c_str(), &info) != 0) continue;
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) && !seen.insert(info.st_ino).second) continue;
    size.count += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return size;
}

// All of it is on the disk before it becomes an image: a crash must not leave half of one.
Status sync_disk(const fs::path& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open() || ::syncfs(fd.get()) != 0) return errno_status("syncing " + folder.string());
  return absl::OkStatus();
}

void take_config(oci::ImageConfig config, UnpackedImage& image) {
  image.env = std::move(config.env);
  image.entrypoint = std::move(config.entrypoint);
  image.cmd = std::move(config.cmd);
  image.working_dir = std::move(config.working_dir);
  image.user = std::move(config.user);
}

}  // namespace

ProcessImages::ProcessImages(const fs::path& state, Random& random)
    : folder_(state / "images"), random_(random), outbound_(registry_rules()) {}

fs::path ProcessImages::folder_of(const std::string& digest) const {
  return folder_ / digest.substr(digest.find(':') + 1);
}

Result<fs::path> ProcessImages::fetch(const ImageName& name, const std::string& token,
                                      const PullObserver& observer) const {
  const fs::path folder = folder_ / (kUnfinished + random_.base32(16));
  std::error_code error;
  fs::create_directories(folder / "rootfs", error);
  if (error) return absl::InternalError("making " + folder.string() + ": " + error.message());
  const Status filled = fill(folder, name, token, observer);
  if (filled.ok()) return folder;
  fs::remove_all(folder, error);
  return refused_or(filled);
}

Status ProcessImages::fill(const fs::path& folder, const ImageName& name, const std::string& token,
                           const PullObserver& observer) const {
  if (!oci::is_digest(name.digest)) {
    return absl::InvalidArgumentError("'" + name.digest + "' is no digest");
  }
  const oci::RegistryClient registry(
      outbound_, url_of(name.registry),
      [token](std::string_view) -> Result<std::string> { return token; });
  MIMEO_ASSIGN_OR_RETURN(const auto resolved, registry.resolve(name.repository, name.digest));
  MIMEO_ASSIGN_OR_RETURN(auto config, registry.get_config(name.repository, resolved.image));

  PullProgress progress;
  for (const auto& layer : resolved.image.layers) progress.total_bytes += layer.size_bytes;
  const auto tell = [&]() -> Status {
    if (is_stopping_) return absl::CancelledError("the worker is stopping");
    if (observer) observer(progress);
    return absl::OkStatus();
  };
  std::vector<fs::path> files;
  for (const auto& layer : resolved.image.layers) {
    files.push_back(folder / layer.digest.substr(layer.digest.find(':') + 1));
    if (fs::exists(files.back())) {  // The same layer twice: an empty one, mostly.
      progress.done_bytes += layer.size_bytes;
      continue;
    }
    MIMEO_RETURN_IF_ERROR(
        registry.download_blob(name.repository, layer, files.back(), [&](std::size_t bytes) {
          progress.done_bytes += bytes;
          return tell();
        }));
  }
  progress.is_extracting = true;
  MIMEO_RETURN_IF_ERROR(tell());
  MIMEO_RETURN_IF_ERROR(oci::unpack_layers(files, folder / "rootfs"));
  std::error_code ignored;
  for (const auto& file : files) fs::remove(file, ignored);

  UnpackedImage image;
  image.names = {name};
  image.size = size_of(folder / "rootfs");
  take_config(std::move(config), image);
  MIMEO_RETURN_IF_ERROR(write_file_durably(folder / "image.json", to_json(image)));
  return sync_disk(folder);
}

Status ProcessImages::publish(const ImageName& name, const fs::path& fetched) const {
  const fs::path folder = folder_of(name.digest);
  std::error_code error;
  auto present = read_image(folder);
  if (!present.ok()) {
    fs::rename(fetched, folder, error);
    if (error)
      return absl::InternalError("renaming to " + folder.string() + ": " + error.message());
    return absl::OkStatus();
  }
  // It came meanwhile, or from another repository.
  fs::remove_all(fetched, error);
  if (std::find(present->names.begin(), present->names.end(), name) != present->names.end()) {
    return absl::OkStatus();
  }
  present->names.push_back(name);
  return write_file_durably(folder / "image.json", to_json(*present));
}

Result<UnpackedImage> ProcessImages::find(const ImageName& name) const {
  const Status missing = absl::NotFoundError("there is no image " + name.reference());
  if (!oci::is_digest(name.digest)) return missing;
  auto image = read_image(folder_of(name.digest));
  if (!image.ok()) return absl::IsNotFound(image.status()) ? missing : image.status();
  const auto& names = image->names;
  if (std::find(names.begin(), names.end(), name) == names.end()) return missing;
  return image;
}

std::vector<LocalImage> ProcessImages::list() const {
  std::vector<LocalImage> out;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with('.')) continue;
    const auto image = read_image(it->path());
    if (!image.ok()) continue;  // Not ours.
    for (const auto& name : image->names) out.push_back({name, image->size});
  }
  return out;
}

Result<fs::path> ProcessImages::forget(const ImageName& name) const {
  auto image = find(name);
  if (absl::IsNotFound(image.status())) return fs::path();
  if (!image.ok()) return image.status();
  std::erase(image->names, name);
  const fs::path folder = folder_of(name.digest);
  if (image->names.empty()) return set_aside(folder);
  MIMEO_RETURN_IF_ERROR(write_file_durably(folder / "image.json", to_json(*image)));
  return fs::path();
}

}  // namespace mimeo::worker
