// Whom the processes of a container run as: the user of the image's config, looked up in the
// image's own /etc/passwd and /etc/group. Pure; both texts come from whoever made the image.

#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace mimeo::worker {

struct ContainerUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // Besides `gid`.
  std::string home = "/";
};

// `user`: "", "app", "1000", "app:users", "1000:1000"; empty = root. Numbers need no entry, names
// do: kInvalidArgument.
[[nodiscard]] Result<ContainerUser> find_user(std::string_view user, std::string_view passwd,
                                              std::string_view group);

}  // namespace mimeo::worker
