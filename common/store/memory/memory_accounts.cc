// The part of MemoryStore for members, tokens and the audit log.

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/store/memory/memory_store.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

Status no_such(std::string_view what) {
  return absl::NotFoundError(absl::StrCat("no such ", absl::string_view(what.data(), what.size())));
}

// Whether a count that may not pass `limit` (0 = none) has reached it.
bool is_full(std::size_t count, std::size_t limit) { return limit != 0 && count >= limit; }

bool is_wanted(const AuditFilter& filter, const AuditEntry& entry) {
  if (filter.account && entry.account != *filter.account) return false;
  if (filter.below_id != 0 && entry.id >= filter.below_id) return false;
  if (!filter.actor.empty() && entry.actor != filter.actor) return false;
  if (!filter.target.empty() && entry.target != filter.target) return false;
  if (filter.after && entry.at < *filter.after) return false;
  if (filter.before && entry.at >= *filter.before) return false;
  const bool is_kind = filter.action.ends_with('.');
  return filter.action.empty() ||
         (is_kind ? entry.action.starts_with(filter.action) : entry.action == filter.action);
}

}  // namespace

// With mutex_ held, as all private ones.
Result<Account> MemoryStore::insert_account(const Account& account) {
  for (const auto& [id, other] : accounts_) {
    if (other.username == account.username) {
      return absl::AlreadyExistsError("an account of this name exists");
    }
  }
  Account stored = account;
  stored.id = ++last_id_;
  stored.file_secret = next_file_secret();
  stored.name = stored.name.empty() ? stored.username : sanitize_text(stored.name);
  accounts_.emplace(stored.id, stored);
  return stored;
}

// Of the right form, and never the same twice.
std::string MemoryStore::next_file_secret() {
  constexpr std::size_t kLength = 43;
  const std::string number = std::to_string(++last_file_secret_);
  return absl::StrCat("fsec_", std::string(kLength - number.size(), 'x'), number);
}

Result<Token> MemoryStore::insert_token(const Token& token) {
  if (!accounts_.contains(token.account)) return no_such("account");
  for (const auto& [id, other] : tokens_) {
    if (other.hash == token.hash) return absl::AlreadyExistsError("this token exists");
  }
  Token stored = token;
  stored.id = ++last_id_;
  stored.name = sanitize_text(stored.name);
  tokens_.emplace(stored.id, stored);
  return shown(stored);
}

Membership MemoryStore::shown(const Membership& member) const {
  Membership copy = member;
  copy.organization_name = accounts_.at(member.organization).username;
  copy.username = accounts_.at(member.user).username;
  return copy;
}

Token MemoryStore::shown(const Token& token) const {
  Token copy = token;
  const auto creator = accounts_.find(token.created_by);
  copy.creator = creator == accounts_.end() ? "" : creator->second.username;
  return copy;
}

bool MemoryStore::has_owner_besides(AccountId organization, AccountId user) const {
  return std::any_of(members_.begin(), members_.end(), [&](const auto& item) {
    const auto& [key, member] = item;
    return key.first == organization && key.second != user && member.role == Role::kOwner &&
           !accounts_.at(key.second).disabled_at;
  });
}

Status MemoryStore::check_expected(AccountId organization, AccountId user,
                                   const std::optional<MemberExpectation>& expected) const {
  if (!expected) return absl::OkStatus();
  const auto role_of = [&](AccountId member) {
    const auto found = members_.find({organization, member});
    return found == members_.end() ? std::nullopt : std::optional<Role>(found->second.role);
  };
  const bool is_same_caller = expected->by == 0 || role_of(expected->by) == expected->by_role;
  if (is_same_caller && role_of(user) == expected->before) return absl::OkStatus();
  return absl::AbortedError("the members were changed meanwhile: try again");
}

Status MemoryStore::may_join(const Membership& member, const AccountBounds& limits) const {
  std::size_t members = 0;
  std::size_t organizations = 0;
  for (const auto& [key, other] : members_) {
    if (key.first == member.organization) ++members;
    if (key.second == member.user) ++organizations;
  }
  if (is_full(members, limits.members)) {
    return absl::ResourceExhaustedError("the organization has as many members as it may have");
  }
  if (is_full(organizations, limits.organizations)) {
    return absl::ResourceExhaustedError("the user is in as many organizations as it may be");
  }
  return absl::OkStatus();
}

void MemoryStore::log_change(AuditEntry entry) {
  entry.id = ++last_id_;
  for (std::string* text :
       {&entry.action, &entry.target, &entry.actor, &entry.address, &entry.request_id}) {
    *text = sanitize_text(*text);
  }
  audit_.emplace(entry.id, std::move(entry));
}

Result<Account> MemoryStore::add_account(const Account& account, AccountId owner,
                                         const AccountBounds& limits, const AuditEntry& entry) {
  const std::scoped_lock lock(mutex_);
  Membership member;
  member.user = owner;
  member.role = Role::kOwner;
  member.created_at = account.created_at;
  MIMEO_ASSIGN_OR_RETURN(const Account stored, insert_account(account));
  const auto user = accounts_.find(owner);
  Status joined;
  if (owner != 0) {
    const bool is_user = user != accounts_.end() && user->second.type == AccountType::kUser;
    joined = is_user ? may_join(member, limits) : no_such("user");
  }
  if (!joined.ok()) {
    accounts_.erase(stored.id);  // As if it had not been made.
    return joined;
  }
  member.organization = stored.id;
  if (owner != 0) members_[{stored.id, owner}] = member;
  AuditEntry told = entry;
  told.account = stored.id;
  log_change(std::move(told));
  return stored;
}

Result<Account> MemoryStore::update_account(AccountId id, const AccountChange& change,
                                            const AuditEntry& entry) {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(id);
  if (found == accounts_.end()) return no_such("account");
  Account& account = found->second;
  if (change.name) account.name = sanitize_text(*change.name);
  if (change.github_url) account.github_url = sanitize_text(*change.github_url);
  if (change.avatar_url) account.avatar_url = sanitize_text(*change.avatar_url);
  if (change.disabled_at) {
    const bool stays = change.disabled_at->has_value() && account.disabled_at.has_value();
    if (!stays) account.disabled_at = *change.disabled_at;
  }
  log_change(entry);
  return account;
}

Result<std::vector<Membership>> MemoryStore::list_members(AccountId organization,
                                                          std::string_view after,
                                                          std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<Membership> found;
  for (const auto& [key, member] : members_) {
    if (key.first == organization) found.push_back(shown(member));
  }
  std::erase_if(found, [&](const Membership& m) { return m.username <= after; });
  std::sort(found.begin(), found.end(),
            [](const Membership& a, const Membership& b) { return a.username < b.username; });
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<std::vector<Membership>> MemoryStore::list_organizations(AccountId user) {
  const std::scoped_lock lock(mutex_);
  std::vector<Membership> found;
  for (const auto& [key, member] : members_) {
    if (key.second == user) found.push_back(shown(member));
  }
  std::sort(found.begin(), found.end(), [](const Membership& a, const Membership& b) {
    return a.organization_name < b.organization_name;
  });
  return found;
}

Result<std::optional<Role>> MemoryStore::find_role(AccountId organization, AccountId user) {
  const std::scoped_lock lock(mutex_);
  const auto found = members_.find({organization, user});
  if (found == members_.end()) return std::optional<Role>();
  return std::optional<Role>(found->second.role);
}

Status MemoryStore::put_member(const Membership& member,
                               const std::optional<MemberExpectation>& expected,
                               const AccountBounds& limits, const AuditEntry& entry) {
  const std::scoped_lock lock(mutex_);
  const auto organization = accounts_.find(member.organization);
  const auto user = accounts_.find(member.user);
  if (organization == accounts_.end() || organization->second.type != AccountType::kOrganization) {
    return no_such("organization");
  }
  if (user == accounts_.end() || user->second.type != AccountType::kUser) return no_such("user");
  MIMEO_RETURN_IF_ERROR(check_expected(member.organization, member.user, expected));
  const auto before = members_.find({member.organization, member.user});
  if (before == members_.end()) {
    MIMEO_RETURN_IF_ERROR(may_join(member, limits));
    members_[{member.organization, member.user}] = member;
  } else {
    const bool was_owner = before->second.role == Role::kOwner;
    if (was_owner && member.role != Role::kOwner &&
        !has_owner_besides(member.organization, member.user)) {
      return absl::FailedPreconditionError("an organization needs an owner");
    }
    before->second.role = member.role;
  }
  log_change(entry);
  return absl::OkStatus();
}

Status MemoryStore::remove_member(AccountId organization, AccountId user,
                                  const std::optional<MemberExpectation>& expected,
                                  const AuditEntry& entry) {
  const std::scoped_lock lock(mutex_);
  const auto found = members_.find({organization, user});
  if (found == members_.end()) return no_such("member");
  MIMEO_RETURN_IF_ERROR(check_expected(organization, user, expected));
  if (found->second.role == Role::kOwner && !has_owner_besides(organization, user)) {
    return absl::FailedPreconditionError("an organization needs an owner");
  }
  members_.erase(found);
  for (auto& [id, token] : tokens_) {
    const bool is_theirs = token.account == organization && token.created_by == user;
    if (is_theirs && !token.disabled_at) token.disabled_at = entry.at;
  }
  log_change(entry);
  return absl::OkStatus();
}

Result<Token> MemoryStore::add_token(const Token& token, const AccountBounds& limits,
                                     const AuditEntry& entry) {
  const std::scoped_lock lock(mutex_);
  if (token.created_by != 0 && !members_.contains({token.account, token.created_by})) {
    return absl::AbortedError("who makes the token is no member any more");
  }
  const auto live = std::count_if(tokens_.begin(), tokens_.end(), [&](const auto& item) {
    const Token& other = item.second;
    return other.account == token.account && !other.disabled_at &&
           (!other.expires_at || *other.expires_at > token.created_at);
  });
  if (is_full(static_cast<std::size_t>(live), limits.tokens)) {
    return absl::ResourceExhaustedError("the account has as many tokens as it may have");
  }
  MIMEO_ASSIGN_OR_RETURN(Token stored, insert_token(token));
  log_change(entry);
  return stored;
}

Result<Token> MemoryStore::get_token(std::int64_t id) {
  const std::scoped_lock lock(mutex_);
  const auto found = tokens_.find(id);
  if (found == tokens_.end()) return no_such("token");
  return shown(found->second);
}

Result<std::vector<Token>> MemoryStore::page_tokens(AccountId account, AccountId created_by,
                                                    std::int64_t below_id, std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<Token> page;
  for (auto it = tokens_.rbegin(); it != tokens_.rend() && page.size() < limit; ++it) {
    const Token& token = it->second;
    if (token.account != account || (below_id != 0 && token.id >= below_id)) continue;
    if (created_by == 0 || token.created_by == created_by) page.push_back(shown(token));
  }
  return page;
}

Result<Token> MemoryStore::update_token(std::int64_t id, const TokenChange& change,
                                        const AuditEntry& entry) {
  const std::scoped_lock lock(mutex_);
  const auto found = tokens_.find(id);
  if (found == tokens_.end()) return no_such("token");
  Token& token = found->second;
  if (change.name) token.name = sanitize_text(*change.name);
  if (change.disabled_at && !token.disabled_at) token.disabled_at = change.disabled_at;
  log_change(entry);
  return shown(token);
}

Status MemoryStore::append_audit(const AuditEntry& entry) {
  const std::scoped_lock lock(mutex_);
  log_change(entry);
  return absl::OkStatus();
}

Result<std::vector<AuditEntry>> MemoryStore::list_audit(const AuditFilter& filter) {
  const std::scoped_lock lock(mutex_);
  std::vector<AuditEntry> page;
  for (auto it = audit_.rbegin(); it != audit_.rend() && page.size() < filter.limit; ++it) {
    if (!is_wanted(filter, it->second)) continue;
    page.push_back(it->second);
    const auto account = accounts_.find(it->second.account);
    if (account != accounts_.end()) page.back().account_name = account->second.username;
  }
  return page;
}

Result<std::size_t> MemoryStore::forget_access(WallTime before, std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::size_t count = 0;
  std::size_t entries = 0;
  std::size_t tokens = 0;
  count += std::erase_if(
      audit_, [&](const auto& item) { return item.second.at < before && entries++ < limit; });
  count += std::erase_if(tokens_, [&](const auto& item) {
    const Token& token = item.second;
    const bool is_old = (token.disabled_at && *token.disabled_at < before) ||
                        (token.expires_at && *token.expires_at < before);
    return is_old && tokens++ < limit;
  });
  return count;
}

}  // namespace mimeo::store
