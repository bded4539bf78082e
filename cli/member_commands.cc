// mimeo user, mimeo org: users, organizations and their members. Saying again what is so already is
// no error, so that scripts can be repeated.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "common/base/time_format.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;
using store::AccountType;

constexpr std::size_t kMostMembers = 10'000;
constexpr const char* kRoles = "owner, admin, developer, viewer or billing";

std::string word(Role role) { return std::string(name_of(role)); }

Result<Role> parse_role(const std::string& text) {
  if (const auto role = role_named(text)) return *role;
  return absl::InvalidArgumentError(absl::StrCat("`", text, "` is no role: write ", kRoles));
}

struct CreateOptions {
  std::string username;
  std::string name;
  std::string owner;
  bool if_missing = false;
};

Status create(CommandLine& line, const CreateOptions& options, AccountType type) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  AccountId owner = 0;
  if (!options.owner.empty()) {
    MIMEO_ASSIGN_OR_RETURN(const store::Account user, find_user(stores, options.owner));
    owner = user.id;
  }
  if (options.if_missing) {
    const auto known = stores.catalog.get_account_by_username(options.username);
    if (known.ok() && known->type == type) {
      line.surroundings().error << "`" << options.username << "` exists already.\n";
      line.surroundings().out << options.username << "\n";
      return absl::OkStatus();
    }
  }
  store::Account account;
  account.type = type;
  account.username = options.username;
  account.name = options.name;
  return create_account(line, std::move(account), owner);
}

Result<Json> members_of(const Stores& stores, AccountId organization) {
  MIMEO_ASSIGN_OR_RETURN(const auto members,
                         stores.accounts.list_members(organization, "", kMostMembers));
  Json rows = Json::array();
  for (const store::Membership& member : members) {
    rows.push_back({{"username", member.username},
                    {"role", word(member.role)},
                    {"since", to_rfc3339(member.created_at)}});
  }
  return rows;
}

Result<Json> organizations_of(const Stores& stores, AccountId user) {
  MIMEO_ASSIGN_OR_RETURN(const auto memberships, stores.accounts.list_organizations(user));
  Json rows = Json::array();
  for (const store::Membership& member : memberships) {
    rows.push_back({{"organization", member.organization_name},
                    {"role", word(member.role)},
                    {"since", to_rfc3339(member.created_at)}});
  }
  return rows;
}

Result<store::Account> find(const Stores& stores, const std::string& username, AccountType type) {
  return type == AccountType::kUser ? find_user(stores, username)
                                    : find_organization(stores, username);
}

Status show(CommandLine& line, const std::string& username, AccountType type) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Account account, find(stores, username, type));
  Json object = {{"username", account.username},
                 {"name", account.name},
                 {"weight", account.weight},
                 {"max_running", account.max_running},
                 {"max_queued", account.max_queued},
                 {"created_at", to_rfc3339(account.created_at)},
                 {"disabled_at", time_or_null(account.disabled_at)}};
  if (type == AccountType::kUser) {
    MIMEO_ASSIGN_OR_RETURN(object["organizations"], organizations_of(stores, account.id));
  } else {
    MIMEO_ASSIGN_OR_RETURN(object["members"], members_of(stores, account.id));
  }
  line.surroundings().out << object.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  return absl::OkStatus();
}

enum class Switch : std::uint8_t { kDisable, kEnable };

Status set_disabled(CommandLine& line, const std::string& username, AccountType type, Switch to) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Account account, find(stores, username, type));
  const bool disable = to == Switch::kDisable;
  if (account.disabled_at.has_value() == disable) return absl::OkStatus();
  store::AccountChange change;
  change.disabled_at =
      disable ? std::optional<WallTime>(line.surroundings().clock.now()) : std::nullopt;
  const char* kind = type == AccountType::kUser ? "user." : "organization.";
  return stores.accounts
      .update_account(account.id, change,
                      operator_entry(line, absl::StrCat(kind, disable ? "disable" : "enable"),
                                     account.id, account.username))
      .status();
}

struct MemberOptions {
  std::string organization;
  std::string username;
  std::string role = "developer";
};

enum class MemberChange : std::uint8_t { kAdd, kSetRole };

Status put_member(CommandLine& line, const MemberOptions& options, MemberChange change) {
  MIMEO_ASSIGN_OR_RETURN(const Role role, parse_role(options.role));
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Account organization,
                         find_organization(stores, options.organization));
  MIMEO_ASSIGN_OR_RETURN(const store::Account user, find_user(stores, options.username));
  MIMEO_ASSIGN_OR_RETURN(const auto before, stores.accounts.find_role(organization.id, user.id));
  const std::string pair = absl::StrCat(options.organization, " ", options.username, " ");
  if (before == role) return absl::OkStatus();
  if (change == MemberChange::kAdd && before) {
    return absl::AlreadyExistsError(
        absl::StrCat("`", options.username, "` is ", word(*before), " of `", options.organization,
                     "` already: `mimeo org set-role ", pair, options.role, "` changes that"));
  }
  if (change == MemberChange::kSetRole && !before) {
    return absl::NotFoundError(absl::StrCat("`", options.username, "` is no member of `",
                                            options.organization, "`: `mimeo org add-member ", pair,
                                            "--role ", options.role, "`"));
  }
  store::Membership member;
  member.organization = organization.id;
  member.user = user.id;
  member.role = role;
  member.created_at = line.surroundings().clock.now();
  store::AuditEntry entry = operator_entry(line, "member.set", organization.id,
                                           absl::StrCat(options.organization, "/", user.username));
  entry.details = Json({{"role", options.role}}).dump();
  store::MemberExpectation expected;
  expected.before = before;
  const Status put = stores.accounts.put_member(member, expected, {}, entry);
  if (!absl::IsFailedPrecondition(put)) return put;
  return absl::FailedPreconditionError(
      absl::StrCat("`", options.username, "` is the only owner of `", options.organization,
                   "`: make somebody else owner first"));
}

Status remove_member(CommandLine& line, const MemberOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Account organization,
                         find_organization(stores, options.organization));
  MIMEO_ASSIGN_OR_RETURN(const store::Account user, find_user(stores, options.username));
  const Status removed = stores.accounts.remove_member(
      organization.id, user.id, std::nullopt,
      operator_entry(line, "member.remove", organization.id,
                     absl::StrCat(options.organization, "/", user.username)));
  if (absl::IsNotFound(removed)) {
    line.surroundings().error << "`" << options.username << "` was no member.\n";
    return absl::OkStatus();
  }
  if (!absl::IsFailedPrecondition(removed)) return removed;
  return absl::FailedPreconditionError(
      absl::StrCat("`", options.username, "` is the only owner of `", options.organization,
                   "`: make somebody else owner first"));
}

// What users and organizations have in common.
CLI::App* add_group(CLI::App& app, CommandLine& line, AccountType type) {
  const bool is_user = type == AccountType::kUser;
  auto* group = app.add_subcommand(is_user ? "user" : "org",
                                   is_user ? "People" : "Organizations and their members");
  group->require_subcommand(1);
  auto* create_one = group->add_subcommand("create", "Make one and print its name");
  const auto options = std::make_shared<CreateOptions>();
  create_one
      ->add_option("username", options->username, "[a-z0-9] with single '.', '_' or '-' between")
      ->required();
  create_one->add_option("--name", options->name, "Shown to people");
  create_one->add_flag("--if-missing", options->if_missing, "No error when there is one already");
  if (!is_user)
    create_one->add_option(
        "--owner", options->owner,
        "The user that owns it; without one nobody does until somebody is made owner");
  line.on(*create_one, [&line, options, type] { return create(line, *options, type); });
  line.on_list(*group->add_subcommand("list", "All of them"),
               [&line, type] { return list_accounts(line, type); });

  const auto username = std::make_shared<std::string>();
  const auto add = [&](const char* name, const char* help, std::function<Status()> action) {
    auto* command = group->add_subcommand(name, help);
    command->add_option("username", *username, "Which one")->required();
    line.on(*command, std::move(action));
  };
  add("show", is_user ? "One, and the organizations it is in" : "One, and its members",
      [&line, username, type] { return show(line, *username, type); });
  add("disable", "From now on none of its tokens works",
      [&line, username, type] { return set_disabled(line, *username, type, Switch::kDisable); });
  add("enable", "Take `disable` back",
      [&line, username, type] { return set_disabled(line, *username, type, Switch::kEnable); });
  return group;
}

}  // namespace

void add_member_commands(CLI::App& app, CommandLine& line) {
  add_group(app, line, AccountType::kUser);
  auto* group = add_group(app, line, AccountType::kOrganization);
  const auto options = std::make_shared<MemberOptions>();
  const auto add_command = [&](const char* name, const char* help) {
    auto* command = group->add_subcommand(name, help);
    command->add_option("organization", options->organization, "Which organization")->required();
    command->add_option("username", options->username, "Which user")->required();
    return command;
  };
  auto* add = add_command("add-member", "Make a user a member");
  add->add_option("--role", options->role, kRoles)->capture_default_str();
  line.on(*add, [&line, options] { return put_member(line, *options, MemberChange::kAdd); });
  auto* set = add_command("set-role", "Change what a member may do");
  set->add_option("role", options->role, kRoles)->required();
  line.on(*set, [&line, options] { return put_member(line, *options, MemberChange::kSetRole); });
  auto* remove = add_command(
      "remove-member", "End a membership and, for good, the tokens that this member made there");
  line.on(*remove, [&line, options] { return remove_member(line, *options); });
}

}  // namespace mimeo::cli
