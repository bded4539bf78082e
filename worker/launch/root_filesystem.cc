#include "worker/launch/root_filesystem.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "worker/local_file.h"
#include "worker/text.h"

extern char** environ;  // NOLINT: POSIX gives no header for it.

namespace mimeo::worker {
namespace {

constexpr std::size_t kMaxImageFile = 1 << 20;
constexpr unsigned long kQuiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;

constexpr std::array<const char*, 6> kDevices{"null", "zero", "full", "random", "urandom", "tty"};
// What says too much about the machine. The list is the one that container engines agree on.
constexpr std::array<const char*, 15> kHidden{
    "/proc/acpi",          "/proc/asound",      "/proc/interrupts",
    "/proc/kcore",         "/proc/keys",        "/proc/kmsg",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
    "/proc/timer_list",    "/proc/timer_stats", "/proc/vmallocinfo",
    "/sys/firmware",       "/sys/fs/cgroup",    "/sys/devices/virtual/powercap"};
// The machine's own settings: files of root, who is root inside as well.
constexpr std::array<const char*, 7> kUnwritable{"/proc/bus",          "/proc/fs",   "/proc/irq",
                                                 "/proc/sys",          "/proc/mtrr", "/proc/driver",
                                                 "/proc/sysrq-trigger"};

Status do_mount(const char* source, const char* target, const char* type, unsigned long flags,
                const std::string& options = {}) {
  if (::mount(source, target, type, flags, options.empty() ? nullptr : options.c_str()) == 0) {
    return absl::OkStatus();
  }
  return errno_status(absl::StrCat("mounting ", type == nullptr ? source : type, " at ", target));
}

// The image as it is, copied. For where the kernel has no overlay, or the state directory lies on a
// file system that cannot be the upper layer of one (another overlay: a container): costs the time
// and the space of the image, and works anywhere.
Status copy_image(const std::string& rootfs) {
  const std::string from = rootfs + "/.";
  const std::array<const char*, 6> words{"cp",         "-a",    "--reflink=auto",
                                         from.c_str(), "root/", nullptr};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, "cp", nullptr, &attributes,
                                 const_cast<char* const*>(words.data()), environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return absl::InternalError(absl::StrCat("running cp: ", std::strerror(error)));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return absl::InternalError("copying the image failed; is the disk full?");
  return do_mount("root", "root", nullptr, MS_BIND);
}

// The image below a layer of the container's own, mounted at "root" of the current directory, which
// is the container's. By relative names: options of an overlay cannot hold every path.
Status mount_image(const LaunchPlan& plan) {
  MIMEO_RETURN_IF_ERROR(do_mount(plan.rootfs.c_str(), "lower", nullptr, MS_BIND));
  const Status mounted = do_mount("overlay", "root", "overlay", MS_NOSUID | MS_NODEV,
                                  "lowerdir=lower,upperdir=upper,workdir=work");
  return mounted.ok() ? mounted : copy_image(plan.rootfs);
}

// Whoever made the image chose what is at `path`: a link there must not lead a mount elsewhere.
Status make_real_folder(const char* path, mode_t mode) {
  struct stat info {};
  if (::lstat(path, &info) == 0) {
    if (S_ISDIR(info.st_mode)) return absl::OkStatus();
    if (::unlink(path) != 0) return errno_status(absl::StrCat("replacing ", path));
  }
  if (::mkdir(path, mode) != 0) return errno_status(absl::StrCat("making ", path));
  return absl::OkStatus();
}

// Every folder on the way. Links are followed: they lead nowhere but into the image.
void make_folders(const std::string& path) {
  std::string at;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty()) continue;
    at.append("/").append(part);
    ::mkdir(at.c_str(), 0755);
  }
}

// Names of this machine, for programs that look them up. In the container's own layer.
void write_hosts() {
  make_folders("/etc");
  const Descriptor file(
      ::open("/etc/hosts", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
  const std::string text = absl::StrCat("127.0.0.1\tlocalhost ", kContainerHostname,
                                        "\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  (void)!::write(file.get(), text.data(), text.size());
}

// The machine's devices, held before its files are out of reach. Those that it lacks are left out.
std::vector<std::pair<std::string, Descriptor>> hold_devices() {
  std::vector<std::pair<std::string, Descriptor>> out;
  for (const char* name : kDevices) {
    const std::string path = absl::StrCat("/dev/", name);
    Descriptor fd(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (fd.is_open()) out.emplace_back(path, std::move(fd));
  }
  return out;
}

Status mount_devices(const std::vector<std::pair<std::string, Descriptor>>& devices, Bytes shm) {
  MIMEO_RETURN_IF_ERROR(make_real_folder("/dev", 0755));
  MIMEO_RETURN_IF_ERROR(
      do_mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=65536k"));
  for (const auto& [path, device] : devices) {
    const Descriptor file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    if (::move_mount(device.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      return errno_status("mounting " + path);
    }
  }
  ::mkdir("/dev/pts", 0755);
  MIMEO_RETURN_IF_ERROR(do_mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                                 "newinstance,ptmxmode=0666,mode=0620"));
  ::mkdir("/dev/shm", 01777);
  MIMEO_RETURN_IF_ERROR(
      do_mount("shm", "/dev/shm", "tmpfs", kQuiet, absl::StrCat("mode=1777,size=", shm.count)));
  static constexpr std::array<std::pair<const char*, const char*>, 5> kLinks{
      {{"pts/ptmx", "/dev/ptmx"},
       {"/proc/self/fd", "/dev/fd"},
       {"/proc/self/fd/0", "/dev/stdin"},
       {"/proc/self/fd/1", "/dev/stdout"},
       {"/proc/self/fd/2", "/dev/stderr"}}};
  for (const auto& [target, path] : kLinks) {
    if (::symlink(target, path) != 0) return errno_status(absl::StrCat("making ", path));
  }
  return absl::OkStatus();
}

Status mount_kernel() {
  MIMEO_RETURN_IF_ERROR(make_real_folder("/proc", 0755));
  MIMEO_RETURN_IF_ERROR(make_real_folder("/sys", 0755));
  MIMEO_RETURN_IF_ERROR(do_mount("proc", "/proc", "proc", kQuiet));
  // Libraries ask it about processors and memory. Where it is not permitted they do without.
  (void)do_mount("sysfs", "/sys", "sysfs", kQuiet | MS_RDONLY);
  for (const char* path : kUnwritable) {
    struct stat info {};
    if (::stat(path, &info) != 0) continue;
    MIMEO_RETURN_IF_ERROR(do_mount(path, path, nullptr, MS_BIND | MS_REC));
    MIMEO_RETURN_IF_ERROR(do_mount(path, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kQuiet));
  }
  for (const char* path : kHidden) {
    struct stat info {};
    if (::stat(path, &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      MIMEO_RETURN_IF_ERROR(
          do_mount("tmpfs", path, "tmpfs", MS_RDONLY | kQuiet, "mode=755,size=0"));
    } else {
      MIMEO_RETURN_IF_ERROR(do_mount("/dev/null", path, nullptr, MS_BIND));
    }
  }
  return absl::OkStatus();
}

Status seal_root() {
  // Cog servers say there that they are ready.
  make_folders("/var/run/cog");
  MIMEO_RETURN_IF_ERROR(
      do_mount("tmpfs", "/var/run/cog", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1048576"));
  return do_mount("/", "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV);
}

}  // namespace

Status enter_root(const ContainerFolder& folder, const LaunchPlan& plan) {
  // Nothing that is mounted here is seen outside.
  MIMEO_RETURN_IF_ERROR(do_mount("none", "/", nullptr, MS_REC | MS_PRIVATE));
  if (::chdir(folder.path().c_str()) != 0) return errno_status(folder.path().string());
  MIMEO_RETURN_IF_ERROR(mount_image(plan));
  const auto devices = hold_devices();
  if (::chdir("root") != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 ||
      ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
    return errno_status("pivot_root");
  }
  // While there is nothing but the image, into which links may lead.
  write_hosts();
  make_folders(plan.working_dir);
  MIMEO_RETURN_IF_ERROR(mount_devices(devices, plan.shm));
  MIMEO_RETURN_IF_ERROR(mount_kernel());
  MIMEO_RETURN_IF_ERROR(make_real_folder("/tmp", 01777));
  // exec: compilers of kernels (Triton, Inductor) load what they put there.
  MIMEO_RETURN_IF_ERROR(do_mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
                                 absl::StrCat("mode=1777,size=", plan.tmp.count)));
  if (plan.root == RootFilesystem::kReadOnly) MIMEO_RETURN_IF_ERROR(seal_root());
  return absl::OkStatus();
}

std::string image_file(const char* path) {
  const Descriptor fd(::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  std::string text(kMaxImageFile, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = ::read(fd.get(), text.data() + size, text.size() - size);
    if (n <= 0) break;
    size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  return text;
}

}  // namespace mimeo::worker
