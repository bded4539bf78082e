// What a worker remembers between its lives: who it is, how often it registered, the highest epoch
// that it obeyed, and one folder per instance (below). Everything else is told by the containers,
// the shims and the scheduler.
//
//   <state-dir>/lock             held while a daemon uses the folder
//   <state-dir>/worker.json      {"worker_id", "incarnation", "epochs": {"<cell>": epoch}}
//   <state-dir>/images.json      images/image_store.h's
//   <state-dir>/instances/<id>/  instance (EnsureInstance), container (its id), shim.json,
//   shim.pid,
//                                shim.log, spool/ (the shim's), shim.sock unless that path is too
//                                long

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "worker/local_file.h"

namespace mimeo::worker {

// The folder of one instance.
struct InstanceDir {
  std::filesystem::path path;
  std::string socket_path;

  [[nodiscard]] std::filesystem::path instance_file() const { return path / "instance"; }
  [[nodiscard]] std::filesystem::path container_file() const { return path / "container"; }
  [[nodiscard]] std::filesystem::path shim_config() const { return path / "shim.json"; }
  [[nodiscard]] std::filesystem::path shim_pid() const { return path / "shim.pid"; }
  [[nodiscard]] std::filesystem::path shim_log() const { return path / "shim.log"; }
  [[nodiscard]] std::filesystem::path spool() const { return path / "spool"; }

  // Makes it and its spool; OK when it is there.
  Status make() const;
  Status remove() const;
};

// On one thread.
class StateDir {
 public:
  // Makes what is missing. kAlreadyExists when another daemon uses it.
  static Result<std::unique_ptr<StateDir>> open(std::filesystem::path path, IdGenerator& ids);
  ~StateDir();
  StateDir(const StateDir&) = delete;
  StateDir& operator=(const StateDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] WorkerId worker() const { return worker_; }
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }
  [[nodiscard]] std::uint64_t epoch(std::uint32_t cell) const;
  // Both are on disk when they return OK.
  Status set_incarnation(std::uint64_t incarnation);
  Status set_epoch(std::uint32_t cell, std::uint64_t epoch);

  [[nodiscard]] InstanceDir instance(InstanceId id) const;
  // Every folder that is there.
  [[nodiscard]] std::vector<InstanceId> instances() const;

 private:
  StateDir(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
  Status load(IdGenerator& ids);
  Status save() const;

  const std::filesystem::path path_;
  const int lock_;  // Descriptor; the lock ends with the process.
  WorkerId worker_;
  std::uint64_t incarnation_ = 1;
  std::map<std::string, std::uint64_t> epochs_;  // By cell.
};

}  // namespace mimeo::worker
