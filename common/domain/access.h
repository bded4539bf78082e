// What a caller may do: the scopes of tokens and the roles of an organization's members. Pure
// values; which route needs which scope is in control-plane/http/routes.cc.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo {

enum class Scope : std::uint8_t {
  kRead = 0,         // "read": everything that can be read, but no secrets.
  kPredictions = 1,  // "predictions": create, cancel and read predictions; trainings with kModels.
  kModels = 2,       // "models": models and versions, also pushes of images.
  kDeployments = 3,  // "deployments": deployments.
  kFiles = 4,        // "files": uploaded files.
  kAccount = 5,      // "account": tokens, members, settings, the audit log.
  kBilling = 6,      // "billing": usage and limits.
};
inline constexpr std::uint8_t kScopeCount = 7;

// A set of scopes.
class Scopes {
 public:
  constexpr Scopes() = default;
  constexpr Scopes(std::initializer_list<Scope> scopes) {
    for (const Scope scope : scopes) bits_ |= bit(scope);
  }
  // Also those that later releases add.
  static constexpr Scopes all() { return Scopes(kAll); }

  [[nodiscard]] constexpr bool is_empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool is_all() const { return bits_ == kAll; }
  [[nodiscard]] constexpr bool has(Scope scope) const { return (bits_ & bit(scope)) != 0; }
  [[nodiscard]] constexpr bool contains(Scopes other) const {
    return (bits_ & other.bits_) == other.bits_;
  }
  friend constexpr Scopes operator&(Scopes a, Scopes b) { return Scopes(a.bits_ & b.bits_); }
  friend constexpr Scopes operator|(Scopes a, Scopes b) { return Scopes(a.bits_ | b.bits_); }
  friend constexpr bool operator==(Scopes, Scopes) = default;

 private:
  static constexpr unsigned kAll = 0xFFFF;
  constexpr explicit Scopes(unsigned bits) : bits_(static_cast<std::uint16_t>(bits)) {}
  static constexpr std::uint16_t bit(Scope scope) {
    return static_cast<std::uint16_t>(1U << static_cast<unsigned>(scope));
  }
  std::uint16_t bits_ = 0;
};

[[nodiscard]] std::string_view name_of(Scope scope);
// nullopt for a word that is none. "*" is none either: see add_scope().
[[nodiscard]] std::optional<Scope> scope_named(std::string_view word);
// `scopes` with the one that `word` names, "*" being all of them; kInvalidArgument lists the words.
[[nodiscard]] Result<Scopes> add_scope(Scopes scopes, std::string_view word);

// As stored: words in the order above with a blank between, "*" for all, "" for none.
[[nodiscard]] std::string to_text(Scopes scopes);
// The reverse. A word that this release does not know grants nothing.
[[nodiscard]] Scopes scopes_of_text(std::string_view text);

enum class Role : std::uint8_t {
  kOwner = 0,      // Everything; an organization that has one keeps one.
  kAdmin = 1,      // Everything, but cannot make, change or remove owners.
  kDeveloper = 2,  // Uses and changes models, deployments, files; no members, no foreign tokens.
  kViewer = 3,     // Reads.
  kBilling = 4,    // Sees usage and sets limits; nothing else.
};

[[nodiscard]] std::string_view name_of(Role role);
[[nodiscard]] std::optional<Role> role_named(std::string_view word);
// What a member of this role may do at most.
[[nodiscard]] Scopes scopes_of(Role role);
// Whether it may change members, settings and others' tokens.
[[nodiscard]] constexpr bool is_administrator(Role role) {
  return role == Role::kOwner || role == Role::kAdmin;
}

}  // namespace mimeo
