#include "worker/launch/seccomp_filter.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace mimeo::worker {
namespace {

// clang-format off
constexpr std::string_view kAllowed[] = {
    // Files.
    "access", "chdir", "chmod", "chown", "close", "close_range", "copy_file_range", "creat", "dup", "dup2", "dup3",
    "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown",
    "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr", "fsetxattr", "fstat",
    "fstatfs", "fsync", "ftruncate", "futimesat", "getcwd", "getdents", "getdents64", "getxattr", "ioctl", "lchown",
    "lgetxattr", "link", "linkat", "listxattr", "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "mkdir",
    "mkdirat", "mknod", "mknodat", "name_to_handle_at", "newfstatat", "open", "openat", "openat2", "pread64", "preadv",
    "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "removexattr",
    "rename", "renameat", "renameat2", "rmdir", "sendfile", "setxattr", "splice", "stat", "statfs", "statx", "symlink",
    "symlinkat", "sync", "sync_file_range", "syncfs", "tee", "truncate", "umask", "unlink", "unlinkat", "utime",
    "utimensat", "utimes", "vmsplice", "write", "writev", "cachestat",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "fanotify_mark",
    // Waiting, pipes, sockets. socket() itself is below.
    "accept", "accept4", "bind", "connect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "eventfd", "eventfd2", "getpeername", "getsockname", "getsockopt", "listen", "pipe", "pipe2", "poll",
    "ppoll", "pselect6", "recvfrom", "recvmmsg", "recvmsg", "select", "sendmmsg", "sendmsg", "sendto", "setsockopt",
    "shutdown", "signalfd", "signalfd4", "socketpair", "timerfd_create", "timerfd_gettime", "timerfd_settime",
    "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit",
    // Memory.
    "brk", "madvise", "map_shadow_stack", "memfd_create", "memfd_secret", "mincore", "mlock", "mlock2", "mlockall",
    "mmap", "mprotect", "mremap", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect",
    "remap_file_pages", "process_mrelease",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "msgctl", "msgget", "msgrcv",
    "msgsnd", "semctl", "semget", "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
    // Processes and threads. clone() is below.
    "arch_prctl", "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_requeue", "futex_wait",
    "futex_waitv", "futex_wake", "get_robust_list", "get_thread_area", "getcpu", "getpgid", "getpgrp", "getpid",
    "getppid", "getpriority", "getrlimit", "getrusage", "getsid", "gettid", "ioprio_get", "ioprio_set", "kill", "membarrier",
    "modify_ldt", "pause", "pidfd_open", "pidfd_send_signal", "prctl", "prlimit64", "restart_syscall", "rseq",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
    "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "set_robust_list", "set_thread_area",
    "set_tid_address", "setpgid", "setpriority", "setrlimit", "setsid", "sigaltstack", "tgkill", "tkill", "vfork",
    "wait4", "waitid",
    // Of processes of the same container, which the pid namespace holds.
    "kcmp", "process_vm_readv", "process_vm_writev", "ptrace",
    // Whom they run as: without capabilities nobody becomes more.
    "capget", "capset", "getegid", "geteuid", "getgid", "getgroups", "getresgid", "getresuid", "getuid", "landlock_add_rule",
    "landlock_create_ruleset", "landlock_restrict_self", "seccomp", "setfsgid", "setfsuid", "setgid", "setgroups",
    "setregid", "setresgid", "setresuid", "setreuid", "setuid",
    // Time, the machine. adjtimex() also reads.
    "adjtimex", "alarm", "clock_getres", "clock_gettime", "clock_nanosleep", "getitimer", "getrandom", "gettimeofday",
    "nanosleep", "setitimer", "sysinfo", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
    "timer_settime", "times", "uname",
};

constexpr std::string_view kRefused[] = {
    // Namespaces and mounts: ways around the walls.
    "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree",
    "pivot_root", "setns", "umount2", "unshare", "open_by_handle_at",
    // The machine's own state.
    "acct", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "init_module", "ioperm", "iopl",
    "kexec_file_load", "kexec_load", "quotactl", "quotactl_fd", "reboot", "setdomainname", "sethostname",
    "settimeofday", "swapoff", "swapon", "syslog", "vhangup",
    // Keys are not in any namespace.
    "add_key", "keyctl", "request_key",
    // Large parts of the kernel that attacks have come through, and that models do without.
    "bpf", "fanotify_init", "io_uring_enter", "io_uring_register", "io_uring_setup", "perf_event_open", "userfaultfd",
    // Other processes and where their memory lies.
    "get_mempolicy", "lookup_dcookie", "mbind", "migrate_pages", "move_pages", "pidfd_getfd", "process_madvise",
    "set_mempolicy", "set_mempolicy_home_node",
    // Obsolete, and there.
    "sysfs", "uselib", "ustat",
};

constexpr std::string_view kOthers[] = {
    "clone", "personality", "socket",
    // Its flags lie in memory, where a filter cannot look: C libraries fall back to clone().
    "clone3",
    "_sysctl", "afs_syscall", "create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms", "getpmsg",
    "nfsservctl", "putpmsg", "query_module", "security", "tuxcall", "vserver",
};
// clang-format on

constexpr std::array<std::uint64_t, 7> kNamespaceFlags{CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                                       CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                                       CLONE_NEWNET};
// What execution domain a program asks for: Linux, the same with 32-bit uname, "tell me".
constexpr std::array<std::uint64_t, 3> kPersonalities{0x0, 0x8, 0xffffffff};
constexpr std::array<int, 4> kSocketFamilies{AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

scmp_arg_cmp first_argument(scmp_compare how, std::uint64_t a, std::uint64_t b = 0) {
  scmp_arg_cmp compare{};
  compare.arg = 0;
  compare.op = how;
  compare.datum_a = a;
  compare.datum_b = b;
  return compare;
}

// 0 or a negative error number. One that this libseccomp does not know stays "does not exist".
int add(scmp_filter_ctx context, std::uint32_t action, std::string_view name) {
  const int number = seccomp_syscall_resolve_name(std::string(name).c_str());
  if (number == __NR_SCMP_ERROR) return 0;
  return seccomp_rule_add_array(context, action, number, 0, nullptr);
}

int add_if(scmp_filter_ctx context, std::uint32_t action, int number, scmp_arg_cmp compare) {
  return seccomp_rule_add_array(context, action, number, 1, &compare);
}

int add_clone(scmp_filter_ctx context) {
  std::uint64_t all = 0;
  for (const auto flag : kNamespaceFlags) all |= flag;
  int result =
      add_if(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), first_argument(SCMP_CMP_MASKED_EQ, all, 0));
  for (const auto flag : kNamespaceFlags) {
    if (result != 0) return result;
    result = add_if(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone),
                    first_argument(SCMP_CMP_MASKED_EQ, flag, flag));
  }
  return result;
}

int add_socket(scmp_filter_ctx context) {
  int result = add_if(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket),
                      first_argument(SCMP_CMP_GT, AF_NETLINK));
  for (int family = 0; family <= AF_NETLINK && result == 0; ++family) {
    const bool is_allowed =
        std::find(kSocketFamilies.begin(), kSocketFamilies.end(), family) != kSocketFamilies.end();
    result =
        add_if(context, is_allowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EAFNOSUPPORT),
               SCMP_SYS(socket), first_argument(SCMP_CMP_EQ, static_cast<std::uint64_t>(family)));
  }
  return result;
}

int add_all(scmp_filter_ctx context) {
  // Calls of other architectures (32 bit) do not exist either.
  int result = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
  for (const auto name : kAllowed) {
    if (result == 0) result = add(context, SCMP_ACT_ALLOW, name);
  }
  for (const auto name : kRefused) {
    if (result == 0) result = add(context, SCMP_ACT_ERRNO(EPERM), name);
  }
  for (const auto value : kPersonalities) {
    if (result != 0) return result;
    result =
        add_if(context, SCMP_ACT_ALLOW, SCMP_SYS(personality), first_argument(SCMP_CMP_EQ, value));
  }
  if (result == 0) result = add_clone(context);
  if (result == 0) result = add_socket(context);
  return result;
}

}  // namespace

Result<SeccompFilter> SeccompFilter::build() {
  SeccompFilter filter(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (filter.context_ == nullptr) return absl::InternalError("seccomp_init failed");
  const int result = add_all(filter.context_);
  if (result != 0) {
    return absl::InternalError(std::string("seccomp filter: ") + std::strerror(-result));
  }
  return filter;
}

SeccompFilter::~SeccompFilter() {
  if (context_ != nullptr) seccomp_release(context_);
}

SeccompFilter::SeccompFilter(SeccompFilter&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)) {}

Status SeccompFilter::load() const {
  const int result = seccomp_load(context_);
  if (result == 0) return absl::OkStatus();
  return absl::InternalError(std::string("seccomp_load: ") + std::strerror(-result));
}

std::span<const std::string_view> allowed_calls() { return kAllowed; }
std::span<const std::string_view> refused_calls() { return kRefused; }
std::span<const std::string_view> other_calls() { return kOthers; }

}  // namespace mimeo::worker
