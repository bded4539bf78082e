#include "common/domain/access.h"

#include <array>

namespace mimeo {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, kScopeCount> kScopeNames = {
    "read", "predictions", "models", "deployments", "files", "account", "billing"};
constexpr std::array<std::string_view, 5> kRoleNames = {"owner", "admin", "developer", "viewer",
                                                        "billing"};

}  // namespace

std::string_view name_of(Scope scope) { return kScopeNames.at(static_cast<std::size_t>(scope)); }

std::optional<Scope> scope_named(std::string_view word) {
  for (std::size_t i = 0; i < kScopeNames.size(); ++i) {
    if (kScopeNames[i] == word) return static_cast<Scope>(i);
  }
  return std::nullopt;
}

Result<Scopes> add_scope(Scopes scopes, std::string_view word) {
  if (word == "*") return Scopes::all();
  if (const auto scope = scope_named(word)) return scopes | Scopes{*scope};
  std::string message = "\"" + std::string(word) + "\" is no scope: there are *";
  for (const std::string_view name : kScopeNames) message.append(", ").append(name);
  return absl::InvalidArgumentError(message);
}

std::string to_text(Scopes scopes) {
  if (scopes.is_all()) return "*";
  std::string text;
  for (std::size_t i = 0; i < kScopeNames.size(); ++i) {
    if (!scopes.has(static_cast<Scope>(i))) continue;
    if (!text.empty()) text.push_back(' ');
    text.append(kScopeNames[i]);
  }
  return text;
}

Scopes scopes_of_text(std::string_view text) {
  Scopes scopes;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (word == "*") return Scopes::all();
    if (const auto scope = scope_named(word)) scopes = scopes | Scopes{*scope};
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return scopes;
}

std::string_view name_of(Role role) { return kRoleNames.at(static_cast<std::size_t>(role)); }

std::optional<Role> role_named(std::string_view word) {
  for (std::size_t i = 0; i < kRoleNames.size(); ++i) {
    if (kRoleNames[i] == word) return static_cast<Role>(i);
  }
  return std::nullopt;
}

Scopes scopes_of(Role role) {
  switch (role) {
    case Role::kOwner:
    case Role::kAdmin:
      return Scopes::all();
    case Role::kDeveloper:
      return {Scope::kRead, Scope::kPredictions, Scope::kModels, Scope::kDeployments,
              Scope::kFiles};
    case Role::kViewer:
      return {Scope::kRead};
    case Role::kBilling:
      return {Scope::kBilling};
  }
  return {};
}

}  // namespace mimeo
