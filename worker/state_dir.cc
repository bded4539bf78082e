#include "worker/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Status make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return absl::InternalError("making " + path.string() + ": " + error.message());
  // Inputs and outputs of other people's predictions lie below it.
  fs::permissions(path, fs::perms::owner_all, error);
  return absl::OkStatus();
}

}  // namespace

Status InstanceDir::make() const {
  MIMEO_RETURN_IF_ERROR(make_folder(path));
  MIMEO_RETURN_IF_ERROR(make_folder(fs::path(socket_path).parent_path()));
  return make_folder(spool());
}

Status InstanceDir::remove() const {
  std::error_code error;
  fs::remove(socket_path, error);
  fs::remove_all(path, error);
  if (error) return absl::InternalError("removing " + path.string() + ": " + error.message());
  return absl::OkStatus();
}

Result<std::unique_ptr<StateDir>> StateDir::open(fs::path path, IdGenerator& ids) {
  std::error_code error;
  path = fs::absolute(path, error);
  MIMEO_RETURN_IF_ERROR(make_folder(path));
  MIMEO_RETURN_IF_ERROR(make_folder(path / "instances"));
  const fs::path lock_path = path / "lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return errno_status("opening " + lock_path.string());
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return absl::AlreadyExistsError("another worker uses " + path.string());
  }
  auto dir = std::unique_ptr<StateDir>(new StateDir(std::move(path), lock));
  MIMEO_RETURN_IF_ERROR(dir->load(ids));
  return dir;
}

StateDir::~StateDir() { ::close(lock_); }

Status StateDir::load(IdGenerator& ids) {
  auto content = read_file(path_ / "worker.json");
  if (absl::IsNotFound(content.status())) {
    worker_ = ids.next();
    return save();
  }
  MIMEO_RETURN_IF_ERROR(content.status());
  const json state = json::parse(*content, nullptr, false);
  if (!state.is_object()) {
    return absl::InternalError((path_ / "worker.json").string() + " is damaged");
  }
  MIMEO_ASSIGN_OR_RETURN(worker_, WorkerId::parse(state.value("worker_id", std::string{})));
  incarnation_ = state.value("incarnation", std::uint64_t{1});
  if (state.contains("epochs") && state["epochs"].is_object()) {
    for (const auto& [cell, epoch] : state["epochs"].items()) {
      if (epoch.is_number_unsigned()) epochs_[cell] = epoch.get<std::uint64_t>();
    }
  }
  return absl::OkStatus();
}

Status StateDir::save() const {
  const json state{
      {"worker_id", worker_.str()}, {"incarnation", incarnation_}, {"epochs", epochs_}};
  return write_file_durably(path_ / "worker.json", state.dump(2) + "\n");
}

std::uint64_t StateDir::epoch(std::uint32_t cell) const {
  const auto it = epochs_.find(std::to_string(cell));
  return it == epochs_.end() ? 0 : it->second;
}

Status StateDir::set_incarnation(std::uint64_t incarnation) {
  incarnation_ = incarnation;
  return save();
}

Status StateDir::set_epoch(std::uint32_t cell, std::uint64_t epoch) {
  epochs_[std::to_string(cell)] = epoch;
  return save();
}

InstanceDir StateDir::instance(InstanceId id) const {
  InstanceDir dir;
  dir.path = path_ / "instances" / id.str();
  dir.socket_path = dir.path / "shim.sock";
  if (dir.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
    // Below a short path that this worker alone uses.
    dir.socket_path = (fs::path("/tmp") / ("mimeo-" + worker_.str()) / id.str()).string();
  }
  return dir;
}

std::vector<InstanceId> StateDir::instances() const {
  std::vector<InstanceId> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ / "instances", error)) {
    auto id = InstanceId::parse(entry.path().filename().string());
    if (id.ok()) out.push_back(*id);
  }
  return out;
}

}  // namespace mimeo::worker
