#include "worker/launch/user.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "worker/text.h"

namespace mimeo::worker {
namespace {

constexpr std::size_t kMaxGroups = 1024;

using Fields = std::vector<std::string_view>;

std::optional<std::uint32_t> number(std::string_view text) {
  const auto value = to_number<std::uint32_t>(text);
  if (value == UINT32_MAX) return std::nullopt;  // "Leave as it is" to the kernel.
  return value;
}

// The first line whose name, or whose number in the third field, is `key`.
std::optional<Fields> find_entry(std::string_view text, std::string_view key,
                                 std::size_t min_fields) {
  const auto wanted = number(key);
  for (const std::string_view line : split(text, '\n')) {
    Fields fields = split(line, ':');
    if (fields.size() < min_fields) continue;
    const bool is_it = wanted ? number(fields[2]) == wanted : fields[0] == key;
    if (is_it) return fields;
  }
  return std::nullopt;
}

std::vector<gid_t> groups_of(std::string_view name, std::string_view group) {
  std::vector<gid_t> out;
  for (const std::string_view line : split(group, '\n')) {
    const Fields fields = split(line, ':');
    if (fields.size() < 4) continue;
    const Fields members = split(fields[3], ',');
    const auto gid = number(fields[2]);
    if (!gid || std::find(members.begin(), members.end(), name) == members.end()) continue;
    if (out.size() < kMaxGroups) out.push_back(*gid);
  }
  return out;
}

}  // namespace

Result<ContainerUser> find_user(std::string_view user, std::string_view passwd,
                                std::string_view group) {
  const std::size_t colon = std::min(user.find(':'), user.size());
  const std::string_view named_group = user.substr(std::min(colon + 1, user.size()));
  const std::string_view who = colon == 0 ? "0" : user.substr(0, colon);
  ContainerUser out;
  const auto entry = find_entry(passwd, who, 6);
  const auto uid = number(entry ? (*entry)[2] : who);
  if (!uid) {
    return absl::InvalidArgumentError("the image's user '" + std::string(who) +
                                      "' is not in its /etc/passwd");
  }
  out.uid = *uid;
  if (entry) {
    out.gid = number((*entry)[3]).value_or(0);
    if (!(*entry)[5].empty()) out.home = std::string((*entry)[5]);
    out.groups = groups_of((*entry)[0], group);
  }
  if (named_group.empty()) return out;
  const auto group_entry = find_entry(group, named_group, 3);
  const auto gid = number(group_entry ? (*group_entry)[2] : named_group);
  if (!gid) {
    return absl::InvalidArgumentError("the image's group '" + std::string(named_group) +
                                      "' is not in its /etc/group");
  }
  out.gid = *gid;
  out.groups.clear();  // A group that is named is the only one.
  return out;
}

}  // namespace mimeo::worker
