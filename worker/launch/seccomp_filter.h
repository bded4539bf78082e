// Which system calls the processes of a container may make: a list of what is allowed; what is
// known to reach beyond a container is refused (EPERM), everything else does not exist (ENOSYS), so
// that programs fall back to what they did on older kernels. The choice is that of Docker's own
// default for a container without capabilities.

#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::worker {

class SeccompFilter {
 public:
  // kInternal when libseccomp cannot build it.
  static Result<SeccompFilter> build();
  ~SeccompFilter();
  SeccompFilter(SeccompFilter&& other) noexcept;
  SeccompFilter& operator=(SeccompFilter&&) = delete;

  // For the calling thread and all of its children, for ever. Needs no_new_privs.
  Status load() const;

 private:
  explicit SeccompFilter(void* context) : context_(context) {}
  void* context_;  // scmp_filter_ctx.
};

// For tests, which hold that every system call known to libseccomp is in one of these.
[[nodiscard]] std::span<const std::string_view> allowed_calls();
[[nodiscard]] std::span<const std::string_view> refused_calls();
// Those whose arguments decide, and those that no kernel has any more.
[[nodiscard]] std::span<const std::string_view> other_calls();

}  // namespace mimeo::worker
