// How many files and sockets this process may have open.

#pragma once

#include <sys/resource.h>

#include <cstdint>

namespace mimeo {

// Raises the limit to the highest that this process may set itself: what starts services usually
// gives them 1,024, for the sake of programs that use select(). Returns the limit from now on.
inline std::uint64_t raise_open_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

}  // namespace mimeo
