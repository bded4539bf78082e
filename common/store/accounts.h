// Persistence of who may do what: organizations' members, changes of accounts and tokens, and the
// log of every change. catalog.h reads accounts and tokens for authentication.
//
// Same rules as predictions.h: methods block, are thread-safe, may be repeated, and are one
// transaction each. Those that change something take the entry that tells of it and write both
// together: a change without its entry does not happen.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/domain/access.h"
#include "common/store/catalog.h"

namespace mimeo::store {

struct Membership {
  AccountId organization = 0;
  AccountId user = 0;
  std::string organization_name;  // Usernames of both; filled by reads.
  std::string username;
  Role role = Role::kViewer;
  WallTime created_at;
};

enum class AuditOutcome : std::uint8_t {
  kDone = 0,
  kRefused = 1,  // The caller may not.
  kFailed = 2,   // Our fault: it may have happened or not.
};

// One change, or the attempt of one. Holds no secrets: no token texts, no bodies.
struct AuditEntry {
  std::int64_t id = 0;  // Given by the store; ascends.
  WallTime at;
  AccountId account = 0;     // Whose thing was changed; 0 = the installation's (hardware).
  std::string account_name;  // Its username; filled by reads.
  std::string action;        // "model.create"
  std::string target;        // "acme/hello"
  AuditOutcome outcome = AuditOutcome::kDone;
  std::string actor;            // For people: "alice", "acme", "operator root".
  AccountId actor_account = 0;  // Of the token that was used; 0 = an operator or the registry.
  AccountId actor_user = 0;     // Who made that token; 0 = unknown.
  std::int64_t token = 0;       // 0 = none.
  std::string address;          // Where the call came from; empty = unknown.
  std::string request_id;
  std::string details = "{}";  // JSON object: what was changed, as the kind of change has it.
};

struct AuditFilter {
  std::optional<AccountId> account;  // nullopt = all, the installation's too.
  std::string action;                // Exact, or a kind: "model." with its dot. Empty = all.
  std::string actor;                 // Exact; empty = all.
  std::string target;                // Exact; empty = all.
  std::optional<WallTime> after;     // At or after.
  std::optional<WallTime> before;    // Before.
  std::int64_t below_id = 0;         // Cursor: ids below it; 0 = from the newest.
  std::size_t limit = 50;
};

// Unset = as before.
struct AccountChange {
  std::optional<std::string> name, github_url, avatar_url;
  // Disabled at that time, or (inner nullopt) enabled again. Disabling twice keeps the first time.
  std::optional<std::optional<WallTime>> disabled_at;
};
struct TokenChange {
  std::optional<std::string> name;
  std::optional<WallTime> disabled_at;  // For good: the first time stays.
};

// What a change of a member was allowed upon. It is looked at again under the lock: when something
// changed meanwhile, the change is kAborted.
struct MemberExpectation {
  AccountId by = 0;  // The member who makes the change; 0 = nobody whose role counts.
  Role by_role = Role::kOwner;
  std::optional<Role> before;  // Of the member who is changed; nullopt = none yet.
};

// Upper bounds of one account; 0 = none. Reaching one is kResourceExhausted.
struct AccountBounds {
  std::size_t tokens = 0;         // Of an account, that neither ended nor are disabled.
  std::size_t organizations = 0;  // That one user is a member of.
  std::size_t members = 0;        // Of one organization.
};

class AccountsStore {
 public:
  virtual ~AccountsStore() = default;

  // Makes an account; an organization gets the user `owner` as its first member unless that is 0.
  // kAlreadyExists when the name is taken, kNotFound when `owner` is no user, in this order and
  // before any limit. The entry's account becomes the new one.
  virtual Result<Account> add_account(const Account& account, AccountId owner,
                                      const AccountBounds& limits, const AuditEntry& entry) = 0;
  // kNotFound.
  virtual Result<Account> update_account(AccountId id, const AccountChange& change,
                                         const AuditEntry& entry) = 0;

  // By username, those behind `after` (empty = from the first).
  virtual Result<std::vector<Membership>> list_members(AccountId organization,
                                                       std::string_view after,
                                                       std::size_t limit) = 0;
  // By the organization's name; bounded by AccountBounds::organizations.
  virtual Result<std::vector<Membership>> list_organizations(AccountId user) = 0;
  virtual Result<std::optional<Role>> find_role(AccountId organization, AccountId user) = 0;
  // Makes a member or changes its role. kFailedPrecondition when no owner would be left whose
  // account is enabled, kNotFound when either account is missing or of the wrong type, kAborted
  // when it is not as expected (nullopt = whatever it is).
  virtual Status put_member(const Membership& member,
                            const std::optional<MemberExpectation>& expected,
                            const AccountBounds& limits, const AuditEntry& entry) = 0;
  // Ends a membership and disables, at the time of the entry, every token that this user made
  // there. kNotFound for who is no member; otherwise as put_member().
  virtual Status remove_member(AccountId organization, AccountId user,
                               const std::optional<MemberExpectation>& expected,
                               const AuditEntry& entry) = 0;

  // kNotFound without such an account; kAborted when who makes it is no member (any more).
  virtual Result<Token> add_token(const Token& token, const AccountBounds& limits,
                                  const AuditEntry& entry) = 0;
  virtual Result<Token> get_token(std::int64_t id) = 0;
  // Newest first, ids below `below_id` (0 = from the newest); `created_by` 0 = whoever made them.
  virtual Result<std::vector<Token>> page_tokens(AccountId account, AccountId created_by,
                                                 std::int64_t below_id, std::size_t limit) = 0;
  // kNotFound.
  virtual Result<Token> update_token(std::int64_t id, const TokenChange& change,
                                     const AuditEntry& entry) = 0;

  // For changes that are made elsewhere. Repeating it makes a second entry.
  virtual Status append_audit(const AuditEntry& entry) = 0;
  // Newest first.
  virtual Result<std::vector<AuditEntry>> list_audit(const AuditFilter& filter) = 0;
  // Removes up to `limit` entries from before `before`, and as many tokens that ended or were
  // disabled before then. How many in all.
  virtual Result<std::size_t> forget_access(WallTime before, std::size_t limit) = 0;
};

}  // namespace mimeo::store
