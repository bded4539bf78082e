// mimeo-launch: runs one container without a container engine. Started by mimeo-worker (runtime
// `process`); people use it to clean up after a worker that was killed.
//
//   mimeo-launch run FOLDER      one container, to its end; descriptor 3 is told how the start went
//   mimeo-launch check STATE     can this machine run containers? The last line on stderr says
//   mimeo-launch clean STATE     ends and removes every container of a worker's state directory

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "worker/launch/launcher.h"

namespace mimeo::worker {
namespace {

constexpr int kReady = 3;
constexpr int kWrongUsage = 2;

int run(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  // Containers are found by their paths: the same ones, wherever this is called.
  const std::filesystem::path folder =
      argc == 3 ? std::filesystem::absolute(argv[2]) : std::filesystem::path();
  Status status;
  if (mode == "run") {
    ::fcntl(kReady, F_SETFD, FD_CLOEXEC);
    status = run_container(ContainerFolder(folder), Descriptor(kReady));
  } else if (mode == "check") {
    status = check_machine(folder);
  } else if (mode == "clean") {
    status = remove_containers(folder);
  } else {
    std::cerr << "usage: mimeo-launch run FOLDER | check STATE | clean STATE\n";
    return kWrongUsage;
  }
  if (status.ok()) return 0;
  std::cerr << "mimeo-launch: " << status.message() << '\n';
  return 1;
}

}  // namespace
}  // namespace mimeo::worker

int main(int argc, char** argv) { return mimeo::worker::run(argc, argv); }
