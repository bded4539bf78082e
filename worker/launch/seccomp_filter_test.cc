#include "worker/launch/seccomp_filter.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>

namespace mimeo::worker {
namespace {

// Calls of Linux 6.8 and later do not exist in a container until somebody thinks of them.
constexpr int kBeyondAnyCall = 457;

TEST(SeccompFilter, EverySystemCallWasThoughtOfOnce) {
  std::map<std::string, int> named;
  for (const auto list : {allowed_calls(), refused_calls(), other_calls()}) {
    for (const auto name : list) ++named[std::string(name)];
  }
  for (int number = 0; number < kBeyondAnyCall; ++number) {
    char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
    if (name == nullptr) continue;
    EXPECT_EQ(named[name], 1) << name;
    std::free(name);
  }
}

// What `call` leaves in errno in a process with the filter; 0 when it succeeds.
int errno_under_filter(const std::function<long()>& call) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto filter = SeccompFilter::build();
    const bool is_loaded =
        filter.ok() && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter->load().ok();
    if (!is_loaded) ::_exit(255);
    errno = 0;
    ::_exit(call() < 0 ? errno : 0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(SeccompFilter, WaysAroundTheWallsAreRefused) {
  EXPECT_EQ(errno_under_filter([] { return ::unshare(CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(errno_under_filter([] { return ::mount("", "/", "", MS_BIND, nullptr); }), EPERM);
  EXPECT_EQ(errno_under_filter([] { return ::setns(-1, 0); }), EPERM);
  EXPECT_EQ(errno_under_filter([] { return ::syscall(SYS_bpf, 0, nullptr, 0); }), EPERM);
  EXPECT_EQ(errno_under_filter([] { return ::syscall(SYS_keyctl, 0, 0); }), EPERM);
  EXPECT_EQ(errno_under_filter([] { return ::syscall(SYS_clone, CLONE_NEWUSER, nullptr); }), EPERM);
  EXPECT_EQ(errno_under_filter([] { return ::syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
  EXPECT_EQ(errno_under_filter([] { return ::syscall(9999); }), ENOSYS);
}

TEST(SeccompFilter, OnlyUsualFamiliesOfSockets) {
  EXPECT_EQ(errno_under_filter([] { return ::socket(AF_VSOCK, SOCK_STREAM, 0); }), EAFNOSUPPORT);
  EXPECT_EQ(errno_under_filter([] { return ::socket(AF_ALG, SOCK_SEQPACKET, 0); }), EAFNOSUPPORT);
  EXPECT_EQ(errno_under_filter([] { return ::socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(errno_under_filter([] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), 0);
}

TEST(SeccompFilter, ThreadsAndProcessesCanBeMade) {
  EXPECT_EQ(errno_under_filter([] {
              std::thread([] {}).join();
              const pid_t pid = ::fork();
              if (pid == 0) ::_exit(0);
              return static_cast<long>(::waitpid(pid, nullptr, 0) == pid ? 0 : -1);
            }),
            0);
}

}  // namespace
}  // namespace mimeo::worker
